"""Snapshots for peers whose next entries are gone from the log.

    raft: MsgSnap --> view of the committed state --> body, in a worker --> network --> sent

The message leaves with what the view holds: index, term and configuration are read from it, and so
is the list of members. The entries behind it are kept (`wants`) while a body is on its way, and
until the peer has caught up: under load it would find them gone otherwise, and need the next
snapshot, and so on.

It does not do: choosing who gets one (raft), streaming (the network).
Source: etcd's merged snapshot messages; etcd keeps the entries for 30 s in any case.
"""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Final, NamedTuple

from petcd.cluster import format_id
from petcd.cluster.v2_store import MemberRecords
from petcd.member import Member
from petcd.member.meta import META, load_applied, load_conf_state
from petcd.raft.types import Message, Snapshot, SnapshotMetadata
from petcd.server.committer import Committer
from petcd.server.log import LogLines
from petcd.server.long_jobs import LongJobs
from petcd.server.network import Network
from petcd.storage.backend import Backend, Batch, View
from petcd.storage.snapshot_store import Saved, SnapshotStore

# As etcd: who needs one beyond these waits until raft tries again.
IN_FLIGHT_MAX: Final = 16
# A peer has this time to catch up, or as long as its body took if that is longer; a large one takes
# the peer long, too. Entries pile up meanwhile.
CATCH_UP_S: Final = 30.0


class Made(NamedTuple):
    """A snapshot and its body."""

    snapshot: Snapshot
    saved: Saved


class _Sending:
    """A body for a peer; `saved` is None while it is made."""

    __slots__ = ("began_s", "saved")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.saved: Saved | None = None


class SnapshotSender:
    """Makes and sends; one body a peer at a time. All methods belong to the loop thread."""

    def __init__(
        self,
        now_s: Callable[[], float],
        backend: Backend,
        committer: Committer[Batch],
        jobs: LongJobs,
        store: SnapshotStore,
        network: Network,
        member: Member,
        failed: Callable[[int], None],
        lines: LogLines,
    ) -> None:
        """`failed` is called with the id of a peer that got none."""
        self._now_s = now_s
        self._backend = backend
        self._committer = committer
        self._jobs = jobs
        self._store = store
        self._network = network
        self._member = member
        self._failed = failed
        self._lines = lines
        self._sending: dict[int, _Sending] = {}
        # Who has got one and is to catch up, until when.
        self._catching_up: dict[int, float] = {}

    def wants(self, index: int) -> bool:
        """Whether entries up to there are to be kept for a member that gets a snapshot, or got it
        and is not as far yet."""
        member, now_s = self._member, self._now_s()
        for peer in [peer for peer in self._sending if member.membership.get(peer) is None]:
            self.ended(peer, False)
        self._catching_up = {
            peer: until_s
            for peer, until_s in self._catching_up.items()
            if now_s < until_s and member.is_ahead_of(peer, index)
        }
        return bool(self._sending or self._catching_up)

    def send(self, message: Message) -> None:
        """Send a snapshot in the place of the one that the message names."""
        peer = message.to
        if peer in self._sending or len(self._sending) >= IN_FLIGHT_MAX:
            self._failed(peer)
            return
        self._sending[peer] = _Sending(self._now_s())
        view: View

        def prepare() -> Callable[[], Made]:
            nonlocal view
            view = self._backend.snapshot_view()
            return partial(self._make, view)

        def done(future: "Future[Made]") -> None:
            view.close()
            self._made(message, future)

        self._committer.when_synced(lambda: self._jobs.run(prepare, done))

    def _make(self, view: View) -> Made:
        """In a worker."""
        return Made(snapshot_of(view), self._store.save(view))

    def _made(self, message: Message, future: "Future[Made]") -> None:
        peer = message.to
        error = future.exception()
        if error is not None:
            self._lines.warn("no snapshot made", to=format_id(peer), error=str(error))
            self.ended(peer, False)
            self._failed(peer)
            return
        message.snapshot, saved = future.result()
        sending = self._sending.get(peer)
        if sending is None:  # it was removed meanwhile
            self._discard(saved)
            return
        sending.saved = saved
        self._lines.info(
            "sending a snapshot",
            to=format_id(peer),
            index=message.snapshot.metadata.index,
            bytes=saved.size_bytes,
        )
        self._network.send_snapshot(message, saved.body, saved.size_bytes)

    def ended(self, peer: int, ok: bool) -> None:
        """Sending to this peer is over, well or not; the body is not needed any more."""
        sending = self._sending.pop(peer, None)
        if sending is None:
            return
        if ok:
            now_s = self._now_s()
            self._catching_up[peer] = now_s + max(CATCH_UP_S, now_s - sending.began_s)
        if sending.saved is not None:
            self._discard(sending.saved)

    def _discard(self, saved: Saved) -> None:
        self._jobs.clean_up(partial(self._store.discard, saved.body))


class _MetaRows:
    """The rows of bucket `meta` in a view."""

    def __init__(self, view: View) -> None:
        self._rows = dict(view.scan(META, b"", None))

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        assert bucket == META, bucket
        return self._rows.get(key)


def snapshot_of(view: View) -> Snapshot:
    """What raft and the other members are to know of the state that a view shows."""
    meta = _MetaRows(view)
    index, term = load_applied(meta)
    metadata = SnapshotMetadata(load_conf_state(meta), index, term)
    return Snapshot(MemberRecords.read(view).encode(), metadata)
