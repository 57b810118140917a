"""The state of one raft node and its role transitions.

`Raft` holds everything a node knows; the modules above hold what it does with it:

    step         terms, votes, dispatch by role; ticks
    leader  candidate  follower        one module per role
    membership   configurations        election   campaigns
    reads        linearizable reads    replication  what a leader sends
    storage_acks what happens when writes are done

                    times out                 wins
      follower ------------> candidate ---------------> leader
          ^    (pre-candidate first,   |                  |
          |     if pre_vote is on)     | sees a leader    | sees a higher term,
          +----------------------------+------------------+ or loses its quorum

Invariants:
* `term` never falls; `vote` changes from one id to another only when the term rises.
* a message that promises something (APP_RESP, VOTE_RESP, PRE_VOTE_RESP) waits in
  `msgs_after_append` until everything it rests upon is durable; the others may leave at once.
* a leader is never its own message target, except for acknowledgements of its own disk.

Nothing here reads a clock, a file or a socket; chance comes from `random`.
"""

from __future__ import annotations

from typing import Final

from petcd.raft.config import Config
from petcd.raft.errors import broken
from petcd.raft.kinds import MESSAGE_TYPE_NAMES, NONE, STATE_NAMES, MessageType, StateType
from petcd.raft.log import RaftLog
from petcd.raft.logger import INFO, Logger
from petcd.raft.read_only import ReadOnly, ReadRequest
from petcd.raft.tracker import Tracker
from petcd.raft.types import Entry, HardState, Message, ReadState, SoftState

_APP_RESP: Final = MessageType.APP_RESP
_VOTE_TYPES: Final = (
    MessageType.VOTE,
    MessageType.VOTE_RESP,
    MessageType.PRE_VOTE,
    MessageType.PRE_VOTE_RESP,
)
_FORWARDED_TYPES: Final = (MessageType.PROP, MessageType.READ_INDEX)
_PROMISES: Final = (_APP_RESP, MessageType.VOTE_RESP, MessageType.PRE_VOTE_RESP)


class Raft:
    """One node. Read its fields freely; change them through the modules named above."""

    __slots__ = (
        "check_quorum",
        "disable_conf_change_validation",
        "disable_proposal_forwarding",
        "election_elapsed",
        "election_timeout",
        "heartbeat_elapsed",
        "heartbeat_timeout",
        "id",
        "is_learner",
        "lead",
        "lead_transferee",
        "logger",
        "max_msg_size",
        "max_uncommitted_size",
        "msgs",
        "msgs_after_append",
        "pending_conf_index",
        "pending_reads",
        "pre_vote",
        "raft_log",
        "random",
        "randomized_election_timeout",
        "read_only",
        "read_states",
        "state",
        "step_down_on_removal",
        "term",
        "tracker",
        "uncommitted_size",
        "vote",
    )

    def __init__(self, config: Config) -> None:
        self.id = config.id
        self.term = 0
        self.vote = NONE
        self.lead = NONE
        self.state: int = StateType.FOLLOWER
        self.is_learner = False
        self.logger: Logger = config.logger
        self.raft_log = RaftLog(config.storage, config.logger, config.max_committed_size_per_ready)
        self.tracker = Tracker(config.max_inflight_msgs, config.max_inflight_bytes)
        self.read_only = ReadOnly(config.read_only_option)

        self.msgs: list[Message] = []
        """To other nodes, may leave at once."""
        self.msgs_after_append: list[Message] = []
        """To other nodes or to ourselves, once all unstable state is durable."""
        self.read_states: list[ReadState] = []
        self.pending_reads: list[ReadRequest] = []
        """Reads that wait for the first commit of our term."""

        self.lead_transferee = NONE
        self.pending_conf_index = 0
        """No configuration change may be proposed until the log is applied up to here."""
        self.uncommitted_size = 0
        """Payload bytes of our uncommitted proposals; an estimate that never exceeds the truth."""

        self.election_elapsed = 0
        """Ticks since we last heard a leader, or since the leader last checked its quorum."""
        self.heartbeat_elapsed = 0
        self.election_timeout = config.election_tick
        self.heartbeat_timeout = config.heartbeat_tick
        self.randomized_election_timeout = 0
        self.random = config.random

        self.max_msg_size = config.max_size_per_msg
        self.max_uncommitted_size = config.max_uncommitted_size
        self.check_quorum = config.check_quorum
        self.pre_vote = config.pre_vote
        self.disable_proposal_forwarding = config.disable_proposal_forwarding
        self.disable_conf_change_validation = config.disable_conf_change_validation
        self.step_down_on_removal = config.step_down_on_removal

    # ---- state that leaves the node ----

    def soft_state(self) -> SoftState:
        """Leader and role."""
        return SoftState(self.lead, self.state)

    def hard_state(self) -> HardState:
        """Term, vote and commit index."""
        return HardState(self.term, self.vote, self.raft_log.committed)

    def promotable(self) -> bool:
        """May this node campaign? It must be a voter, and not be waiting for a snapshot."""
        progress = self.tracker.progress.get(self.id)
        return (
            progress is not None
            and not progress.is_learner
            and self.raft_log.unstable.snapshot is None
        )

    def committed_in_term(self) -> bool:
        """Has this leader committed an entry of its own term? (dissertation section 6.4)"""
        return self.raft_log.maybe_term(self.raft_log.committed) == self.term

    # ---- messages ----

    def send(self, message: Message) -> None:
        """Queue a message; its `term` and `from_` are filled in unless its type brings them.

        Promises wait until the state they rest upon is durable (dissertation section 3.8). That
        holds for refusals too: they are rare, and no shortcut is worth a proof.
        """
        kind = message.type
        if message.from_ == NONE:
            message.from_ = self.id
        if kind in _VOTE_TYPES:
            if message.term == 0:
                broken(f"term should be set when sending {MESSAGE_TYPE_NAMES[kind]}")
        else:
            if message.term != 0:
                broken(
                    f"term should not be set when sending {MESSAGE_TYPE_NAMES[kind]} "
                    f"(was {message.term})"
                )
            if kind not in _FORWARDED_TYPES:
                message.term = self.term
        if kind in _PROMISES:
            self.msgs_after_append.append(message)
            return
        if message.to == self.id:
            broken(f"message should not be self-addressed when sending {MESSAGE_TYPE_NAMES[kind]}")
        self.msgs.append(message)

    def append_entries(self, entries: list[Entry]) -> None:
        """Append entries of our own term; our disk's acknowledgement counts us in later."""
        last = self.raft_log.append(entries)
        self.msgs_after_append.append(Message(_APP_RESP, self.id, self.id, self.term, 0, last))

    # ---- roles ----

    def become_follower(self, term: int, lead: int) -> None:
        """Follow `lead` (0: not known yet) in `term`."""
        self._reset(term)
        self.lead = lead
        self.state = StateType.FOLLOWER
        if self.logger.level <= INFO:
            self.logger.info(f"{self.id:x} became follower at term {self.term}")

    def become_candidate(self) -> None:
        """Enter a new term and vote for ourselves."""
        self._refuse_from(StateType.LEADER, "candidate")
        self._reset(self.term + 1)
        self.vote = self.id
        self.state = StateType.CANDIDATE
        if self.logger.level <= INFO:
            self.logger.info(f"{self.id:x} became candidate at term {self.term}")

    def become_pre_candidate(self) -> None:
        """Ask around before raising the term: neither term nor vote change."""
        self._refuse_from(StateType.LEADER, "pre-candidate")
        self.tracker.clear_votes()
        self.lead = NONE
        self.state = StateType.PRE_CANDIDATE
        if self.logger.level <= INFO:
            self.logger.info(f"{self.id:x} became pre-candidate at term {self.term}")

    def become_leader(self) -> None:
        """Lead the current term, beginning with an empty entry (Raft section 8).

        A configuration change may be pending anywhere in the log; rather than look for it, no
        further one is allowed until all of the present log is applied.
        """
        self._refuse_from(StateType.FOLLOWER, "leader")
        self._reset(self.term)
        self.lead = self.id
        self.state = StateType.LEADER
        progress = self.tracker.progress[self.id]
        progress.become_replicate()
        progress.recent_active = True
        last = self.raft_log.last_index()
        self.pending_conf_index = last
        self.append_entries([Entry(0, self.term, last + 1)])
        if self.logger.level <= INFO:
            self.logger.info(f"{self.id:x} became leader at term {self.term}")

    def _refuse_from(self, state: int, to: str) -> None:
        if self.state == state:
            broken(f"invalid transition [{STATE_NAMES[state][5:].lower()} -> {to}]")

    def _reset(self, term: int) -> None:
        """What every change of role begins with. Reads that wait are dropped: their callers ask
        again, and no answer may outlive the leadership it was asked under."""
        if self.term != term:
            self.term = term
            self.vote = NONE
        self.lead = NONE
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.reset_randomized_election_timeout()
        self.lead_transferee = NONE
        self.tracker.clear_votes()
        last = self.raft_log.last_index()
        for one, progress in self.tracker.progress.items():
            progress.restart(last if one == self.id else 0, last + 1)
        self.pending_conf_index = 0
        self.uncommitted_size = 0
        self.read_only = ReadOnly(self.read_only.option)
        self.pending_reads = []

    # ---- time ----

    def reset_randomized_election_timeout(self) -> None:
        """Draw the next election timeout from [election_timeout, 2 * election_timeout)."""
        self.randomized_election_timeout = self.election_timeout + self.random(
            self.election_timeout
        )

    def past_election_timeout(self) -> bool:
        """Is it time to campaign?"""
        return self.election_elapsed >= self.randomized_election_timeout
