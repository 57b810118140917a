"""Settings of one raft node."""

from __future__ import annotations

from collections.abc import Callable

from petcd.raft.kinds import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, NO_LIMIT, ReadOnlyOption
from petcd.raft.logger import Logger, SilentLogger
from petcd.raft.storage import Storage


class Config:
    """Settings of one raft node. A wrong one raises `ValueError` when the node is made.

    id: our own id, never 0, never reused for another node.
    election_tick: ticks without word from a leader before we campaign; the real timeout is drawn
        from [election_tick, 2 * election_tick). Must exceed heartbeat_tick; ten times it is usual.
    heartbeat_tick: ticks between a leader's heartbeats.
    storage: the stable log, read only by raft.
    random: random(n) gives an int in [0, n); the only source of chance.
    applied: last applied index when restarting; entries up to it are not handed out again.
    async_storage_writes: storage work comes as messages (see `petcd.raft`), not by advance().
    max_size_per_msg: bytes of entries in one append; 0 means one entry each. etcd: 512 KiB.
    max_committed_size_per_ready: bytes handed out for applying and not reported back;
        0 means as max_size_per_msg. One entry is always allowed.
    max_uncommitted_size: bytes of uncommitted proposals before more are dropped; 0: no limit.
    max_inflight_msgs: appends under way to one follower. etcd: 512.
    max_inflight_bytes: their payload bytes; 0: no limit, else at least max_size_per_msg.
    check_quorum: a leader that lost its quorum for an election timeout steps down, and a follower
        that hears its leader ignores candidates.
    pre_vote: ask before raising the term (dissertation section 9.6).
    read_only_option: SAFE, or LEASE_BASED, which needs check_quorum and clocks that do not jump.
    disable_proposal_forwarding: followers drop proposals.
    disable_conf_change_validation: skip the best-effort check of proposed changes; an invalid
        change that is committed then ends the process.
    step_down_on_removal: a leader that removed or demoted itself becomes a follower at once. If
        its last messages are lost, the others may not learn that the change is committed, and
        then need the vote of a node whose log is longer than theirs: no leader, for ever. With
        the option off it leads on, without taking proposals, until its application stops it,
        which should be after a few heartbeats or a transfer.
    """

    def __init__(
        self,
        *,
        id: int,
        election_tick: int,
        heartbeat_tick: int,
        storage: Storage,
        random: Callable[[int], int],
        applied: int = 0,
        async_storage_writes: bool = False,
        max_size_per_msg: int = 512 * 1024,
        max_committed_size_per_ready: int = 0,
        max_uncommitted_size: int = 0,
        max_inflight_msgs: int = 512,
        max_inflight_bytes: int = 0,
        check_quorum: bool = False,
        pre_vote: bool = False,
        read_only_option: int = ReadOnlyOption.SAFE,
        logger: Logger | None = None,
        disable_proposal_forwarding: bool = False,
        disable_conf_change_validation: bool = False,
        step_down_on_removal: bool = False,
    ) -> None:
        self.id = id
        self.election_tick = election_tick
        self.heartbeat_tick = heartbeat_tick
        self.storage = storage
        self.random = random
        self.applied = applied
        self.async_storage_writes = async_storage_writes
        self.max_size_per_msg = max_size_per_msg
        # Never 0: that would mean that nothing may be applied, ever.
        self.max_committed_size_per_ready = max_committed_size_per_ready or max_size_per_msg or 1
        self.max_uncommitted_size = max_uncommitted_size or NO_LIMIT
        self.max_inflight_msgs = max_inflight_msgs
        self.max_inflight_bytes = max_inflight_bytes or NO_LIMIT
        self.check_quorum = check_quorum
        self.pre_vote = pre_vote
        self.read_only_option = read_only_option
        self.logger: Logger = SilentLogger() if logger is None else logger
        self.disable_proposal_forwarding = disable_proposal_forwarding
        self.disable_conf_change_validation = disable_conf_change_validation
        self.step_down_on_removal = step_down_on_removal

    def validate(self) -> None:
        """Raise `ValueError` with the reason if these settings cannot work."""
        if self.id == 0:
            raise ValueError("cannot use none as id")
        if self.id in (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD):
            raise ValueError("cannot use local target as id")
        if self.heartbeat_tick <= 0:
            raise ValueError("heartbeat tick must be greater than 0")
        if self.election_tick <= self.heartbeat_tick:
            raise ValueError("election tick must be greater than heartbeat tick")
        if self.max_inflight_msgs <= 0:
            raise ValueError("max inflight messages must be greater than 0")
        if self.max_inflight_bytes < self.max_size_per_msg < NO_LIMIT:
            raise ValueError("max inflight bytes must be >= max message size")
        if self.max_inflight_bytes < NO_LIMIT <= self.max_size_per_msg:
            raise ValueError("max inflight bytes must be >= max message size")
        if self.read_only_option == ReadOnlyOption.LEASE_BASED and not self.check_quorum:
            raise ValueError(
                "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased"
            )
