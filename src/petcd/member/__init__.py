"""The mind of a member: raft and the replicated state machines behind one pair of verbs.

See `member.py` for the contract between the mind and the shell that drives it.
"""

from petcd.member.apply import Applier, Outcome
from petcd.member.member import Member

__all__ = ["Applier", "Member", "Outcome"]
