"""Snapshots from the leader: from the body that arrived to the state that is served.

    body arrived --> staged beside the backend (worker) --> its keys read (slices of the loop)
        --> commits held, message to raft --> raft wants it: install, else: dropped

Everything slow is done before raft hears of the snapshot, while the old state is served and log
entries are applied to it. What is left is done between two turns' effects, in this order:

    log: snapshot record, hard state, one sync        from here on the new state counts
    backend: what was staged takes its place          a start does this if a crash prevents it
    state machines load; watchers are told to skip

It does not do: deciding (raft does), receiving (the network).
"""

from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple, Protocol

from petcd.cluster import format_id
from petcd.cluster.v2_store import MemberRecords
from petcd.member import Member
from petcd.member.meta import save_applied, save_conf_state, save_log_start
from petcd.member.users import UsersAreOn, check_users_are_off
from petcd.mvcc.keyspace import KeySpace
from petcd.raft.types import ConfState, Message, Snapshot
from petcd.server.committer import Committer
from petcd.server.log import LogLines
from petcd.server.long_jobs import LongJobs
from petcd.storage.backend import Backend, Batch
from petcd.storage.snapshot_store import SnapshotStore

Drive = Callable[[Generator[object, None, Any], Callable[[Any, object], None], Any], None]


class InstallLog(Protocol):
    """The write-ahead log as an install uses it."""

    def save_snapshot(self, index: int, term: int, conf_state: ConfState | None) -> None: ...

    def sync(self) -> None: ...


class Prepared(NamedTuple):
    """A snapshot that can be installed at once."""

    snapshot: Snapshot
    staged: Backend
    space: KeySpace


class SnapshotReceiver:
    """Prepares one snapshot at a time. All methods belong to the loop thread."""

    def __init__(
        self,
        member: Member,
        log: InstallLog,
        save_hard_state: Callable[[], None],
        committer: Committer[Batch],
        jobs: LongJobs,
        store: SnapshotStore,
        drive: Drive,
        to_raft: Callable[[Message], None],
        installed: Callable[[int], None],
        die: Callable[[BaseException], None],
        lines: LogLines,
    ) -> None:
        """`to_raft` steps the message with the next turn; `installed` is told the new index; `die`
        ends the member, when it cannot be one of its cluster."""
        self._member = member
        self._log = log
        self._save_hard_state = save_hard_state
        self._committer = committer
        self._jobs = jobs
        self._store = store
        self._drive = drive
        self._to_raft = to_raft
        self._installed = installed
        self._die = die
        self._lines = lines
        self._busy = False
        self._coming_index = 0
        self._next: tuple[Message, Any] | None = None
        self._prepared: Prepared | None = None

    # -- getting ready ------------------------------------------------------------------------

    def received(self, message: Message, body: Any) -> None:
        """A snapshot message came with its body."""
        if self._is_old(message):
            self._discard(body)
            self._to_raft(message)  # which tells the leader how far we are
        elif self._busy:
            self._keep_newer(message, body)
        else:
            self._busy = True
            self._coming_index = _index(message)
            self._jobs.run(
                lambda: partial(self._stage, message, body), partial(self._staged, message, body)
            )

    @property
    def is_busy(self) -> bool:
        """Whether a snapshot is being made ready."""
        return self._busy

    def is_coming(self, index: int) -> bool:
        """See `messages.Snapshots`."""
        if index > self._coming_index:  # mostly so: none is coming
            return False
        return index > self._member.node.raft.raft_log.last_index()

    def _is_old(self, message: Message) -> bool:
        return _index(message) <= self._member.applied_index

    def _keep_newer(self, message: Message, body: Any) -> None:
        """One more may wait for the one that is being prepared."""
        waiting = self._next
        if waiting is not None and _index(waiting[0]) >= _index(message):
            self._discard(body)
            return
        if waiting is not None:
            self._discard(waiting[1])
        self._next = (message, body)

    def _stage(self, message: Message, body: Any) -> Backend:
        """In a worker."""
        snapshot = _snapshot(message)
        metadata = snapshot.metadata
        records = MemberRecords.decode(snapshot.data)

        def edit(staged: Backend) -> None:
            check_users_are_off(staged)
            records.write(staged)
            save_applied(staged, metadata.index, metadata.term)
            save_conf_state(staged, metadata.conf_state)
            save_log_start(staged, metadata.index, metadata.term)

        return self._store.stage(body, edit)

    def _staged(self, message: Message, body: Any, future: "Future[Backend]") -> None:
        self._discard(body)
        error = future.exception()
        if isinstance(error, UsersAreOn):
            self._die(error)
            return
        if error is not None:
            self._lines.error("a snapshot cannot be used", **_fields(message), error=str(error))
            self._end()
            return
        staged = future.result()

        def read(context: None, outcome: object) -> None:
            self._read(message, staged, outcome)

        self._drive(self._member.store.read_steps(staged), read, None)

    def _read(self, message: Message, staged: Backend, outcome: object) -> None:
        if isinstance(outcome, Exception):
            self._lines.error("a snapshot cannot be used", **_fields(message), error=str(outcome))
            self._drop(staged)
            return
        assert isinstance(outcome, KeySpace), outcome
        prepared = Prepared(_snapshot(message), staged, outcome)
        self._committer.hold(lambda: self._hand_over(message, prepared))

    def _hand_over(self, message: Message, prepared: Prepared) -> None:
        """Nothing but raft's word is missing."""
        self._prepared = prepared
        self._to_raft(message)

    # -- the decision -------------------------------------------------------------------------

    def turn_ended(self) -> None:
        """Raft has seen the message if it had one: when it does not want it, it goes."""
        prepared = self._prepared
        if prepared is None or self._member.node.raft.raft_log.unstable.snapshot is not None:
            return
        self._prepared = None
        self._committer.resume()
        self._drop(prepared.staged)

    def install(self, snapshot: Snapshot) -> None:
        """Become what was prepared. Raises StorageFailed."""
        prepared, self._prepared = self._prepared, None
        assert prepared is not None and prepared.snapshot == snapshot, snapshot
        metadata, member = snapshot.metadata, self._member
        self._log.save_snapshot(metadata.index, metadata.term, metadata.conf_state)
        self._save_hard_state()
        self._log.sync()
        self._jobs.clean_up(self._store.install(prepared.staged))
        member.lessor.load()  # before the store, which attaches keys to leases
        member.store.adopt(prepared.space)
        member.membership.load()
        member.alarms.load()
        member.applier.v2.load()
        member.installed(snapshot)
        self._committer.installed(metadata.index)
        self._committer.resume()
        self._installed(metadata.index)
        self._lines.info("installed a snapshot", index=metadata.index, term=metadata.term)
        self._end()

    def _drop(self, staged: Backend) -> None:
        self._jobs.clean_up(partial(self._store.unstage, staged))
        self._end()

    def _discard(self, body: Any) -> None:
        self._jobs.clean_up(partial(self._store.discard, body))

    def _end(self) -> None:
        """Go on with the one that waits."""
        self._busy = False
        self._coming_index = 0
        if self._next is not None:
            waiting, self._next = self._next, None
            self.received(*waiting)


def _snapshot(message: Message) -> Snapshot:
    assert message.snapshot is not None, message
    return message.snapshot


def _index(message: Message) -> int:
    return _snapshot(message).metadata.index


def _fields(message: Message) -> dict[str, object]:
    return {"index": _index(message), "from_member": format_id(message.from_)}
