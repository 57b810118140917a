"""Linearizable reads that wait until a quorum has confirmed the leader.

Every read gets the next position, 1, 2, 3, ...; a heartbeat carries the position of the newest
read, and its answer confirms all reads up to there. So each read is confirmed by heartbeats sent
after it arrived, never by older ones, and any number of reads share a round:

    confirmed ]  [ waiting ...................... ]
              ^ `confirmed` reads in all         ^ confirmed + len(waiting): the heartbeat's context

Positions mean something only to this leader in this term: with every change of role a new
`ReadOnly` begins, and answers from an earlier term are refused by their term.
Source: dissertation section 6.4.
"""

from __future__ import annotations

from petcd.raft.quorum import JointVoters


class ReadRequest:
    """A read asked for by node `from_` (0 or our own id: by ourselves), with its context."""

    __slots__ = ("context", "from_", "index")

    def __init__(self, from_: int, context: bytes) -> None:
        self.from_ = from_
        self.context = context
        self.index = 0
        """Commit index when the leader took up the read."""


class ReadOnly:
    """The reads of one leadership that wait for confirmation."""

    __slots__ = ("_acks", "_confirmed", "_waiting", "option")

    def __init__(self, option: int) -> None:
        self.option = option
        self._acks: dict[int, int] = {}
        self._waiting: list[ReadRequest] = []
        self._confirmed = 0

    def add(self, request: ReadRequest, commit: int) -> None:
        """Queue a read that sees at least everything up to `commit`."""
        request.index = commit
        self._waiting.append(request)

    def waiting_count(self) -> int:
        """How many reads wait."""
        return len(self._waiting)

    def heartbeat_context(self) -> bytes:
        """What a heartbeat must carry to confirm all waiting reads; empty if there is none."""
        if not self._waiting:
            return b""
        return (self._confirmed + len(self._waiting)).to_bytes(8, "little")

    def acknowledge(self, node: int, context: bytes) -> None:
        """`node` answered a heartbeat with this context; a malformed one tells nothing."""
        if len(context) == 8:
            position = int.from_bytes(context, "little")
            if position > self._acks.get(node, 0):
                self._acks[node] = position

    def take_confirmed(self, voters: JointVoters) -> list[ReadRequest]:
        """Remove and return the reads that a quorum of `voters` has confirmed."""
        confirmed = min(voters.committed_index(self._acks), self._confirmed + len(self._waiting))
        if confirmed <= self._confirmed:
            return []
        count = confirmed - self._confirmed
        taken = self._waiting[:count]
        del self._waiting[:count]
        self._confirmed = confirmed
        return taken
