"""Snapshots for peers whose next entries are gone from the log.

    raft: MsgSnap --> view of the committed state --> body, in a worker --> network --> sent

The message leaves with what the view holds: index, term and configuration are read from it, and so
is the list of members. While a body is on its way the log is not cut (`in_flight`), so that the
entries behind it are there when the peer asks for them.

It does not do: choosing who gets one (raft), streaming (the network).
Source: etcd's merged snapshot messages.
"""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Final, NamedTuple

from petcd.cluster import Membership, format_id
from petcd.cluster.v2_store import MemberRecords
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


class Made(NamedTuple):
    """A snapshot and its body."""

    snapshot: Snapshot
    saved: Saved


class SnapshotSender:
    """Makes and sends; one body a peer at a time. All methods belong to the loop thread."""

    def __init__(
        self,
        backend: Backend,
        committer: Committer[Batch],
        jobs: LongJobs,
        store: SnapshotStore,
        network: Network,
        membership: Membership,
        failed: Callable[[int], None],
        lines: LogLines,
    ) -> None:
        """`failed` is called with the id of a peer that got none."""
        self._backend = backend
        self._committer = committer
        self._jobs = jobs
        self._store = store
        self._network = network
        self._membership = membership
        self._failed = failed
        self._lines = lines
        self._sending: dict[int, Saved | None] = {}

    def in_flight(self) -> bool:
        """Whether a body is being made or sent to somebody who is still a member."""
        for peer in [peer for peer in self._sending if self._membership.get(peer) is None]:
            self.ended(peer)
        return bool(self._sending)

    def send(self, message: Message) -> None:
        """Send a snapshot in the place of the one that the message names."""
        peer = message.to
        if peer in self._sending or len(self._sending) >= IN_FLIGHT_MAX:
            self._failed(peer)
            return
        self._sending[peer] = None
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
            self.ended(peer)
            self._failed(peer)
            return
        message.snapshot, saved = future.result()
        if peer not in self._sending:  # it was removed meanwhile
            self._discard(saved)
            return
        self._sending[peer] = saved
        self._lines.info(
            "sending a snapshot",
            to=format_id(peer),
            index=message.snapshot.metadata.index,
            bytes=saved.size_bytes,
        )
        self._network.send_snapshot(message, saved.body, saved.size_bytes)

    def ended(self, peer: int) -> None:
        """Sending to this peer is over, well or not; the body is not needed any more."""
        saved = self._sending.pop(peer, None)
        if saved is not None:
            self._discard(saved)

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
