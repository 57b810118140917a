"""Snapshots for peers whose next entries are gone from the log.

    raft: MsgSnap --> view of the committed state --> body, in a worker --> network --> sent

The message leaves with what the view holds: index, term and configuration are read from it, and so
is the list of members. The entries behind it are kept (`wants`) while a body is on its way, and
until the peer has caught up: under load it would find them gone otherwise, and need the next
snapshot, and so on.

A peer that a snapshot did not help (its disk is full, say) makes raft ask for the next one with
every heartbeat. It gets that after a pause, which grows with each try; and a body that did not
arrive is sent again, until the log is cut behind it.

It does not do: choosing who gets one (raft), streaming (the network).
Source: etcd's merged snapshot messages; etcd keeps the entries for 30 s in any case, pauses for one
heartbeat only and makes every body anew.
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
from petcd.server.surroundings import Loop
from petcd.storage.backend import Backend, Batch, View
from petcd.storage.snapshot_store import Saved, SnapshotStore

# As etcd: who needs one beyond these waits until raft tries again.
IN_FLIGHT_MAX: Final = 16
# A peer has this time to catch up, or as long as its body took if that is longer; a large one takes
# the peer long, too. Entries pile up meanwhile. So long a body is kept for the next try.
CATCH_UP_S: Final = 30.0
# From the end of a try that did not help to the next one; the last pause goes on.
PAUSES_S: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
# After so many a body is made anew: it may be ours that is to blame.
TRIES_OF_A_BODY_MAX: Final = 10


class Made(NamedTuple):
    """A snapshot and its body."""

    snapshot: Snapshot
    saved: Saved

    @property
    def up_to(self) -> int:
        """The index that it reaches."""
        return self.snapshot.metadata.index


class _Peer:
    """Who needs a snapshot, from the first try until it has caught up or is given up.

    `made` is there from when the body is made until it is of no use. `index` is that of the last
    one that left, 0 for none. `catches_up`: it has got that, and is not as far yet.
    """

    __slots__ = ("began_s", "catches_up", "index", "is_sending", "made", "next_s", "tries")

    def __init__(self) -> None:
        self.began_s = self.next_s = 0.0
        self.index = self.tries = 0
        self.is_sending = self.catches_up = False
        self.made: Made | None = None


class SnapshotSender:
    """Makes and sends; one body a peer at a time. All methods belong to the loop thread."""

    def __init__(
        self,
        loop: Loop,
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
        self._loop = loop
        self._backend = backend
        self._committer = committer
        self._jobs = jobs
        self._store = store
        self._network = network
        self._member = member
        self._failed = failed
        self._lines = lines
        self._peers: dict[int, _Peer] = {}

    def wants(self, index: int) -> bool:
        """Whether entries up to there are to be kept for a member that gets a snapshot, or got it
        and is not as far yet."""
        member = self._member
        for peer_id, peer in list(self._peers.items()):
            if member.membership.get(peer_id) is None:
                self._forget(peer_id)
            elif not member.is_ahead_of(peer_id, index):
                peer.catches_up = False
        return any(peer.is_sending or peer.catches_up for peer in self._peers.values())

    def send(self, message: Message) -> None:
        """Send a snapshot in the place of the one that the message names."""
        peer = self._due(message.to)
        if peer is None:
            self._failed(message.to)
            return
        peer.began_s = self._loop.time()
        peer.is_sending, peer.catches_up = True, False
        peer.tries += 1
        assert message.snapshot is not None
        if peer.made is not None and peer.made.up_to >= message.snapshot.metadata.index:
            self._post(message, peer, peer.made)
            return
        self._drop_body(peer)
        view: View

        def prepare() -> Callable[[], Made]:
            nonlocal view
            view = self._backend.snapshot_view()
            return partial(self._make, view)

        def done(future: "Future[Made]") -> None:
            view.close()
            self._made(message, peer, future)

        self._committer.when_synced(lambda: self._jobs.run(prepare, done))

    def _due(self, peer_id: int) -> _Peer | None:
        """The peer if it may get one now."""
        if sum(peer.is_sending for peer in self._peers.values()) >= IN_FLIGHT_MAX:
            return None
        peer = self._peers.get(peer_id)
        if peer is None:
            peer = self._peers[peer_id] = _Peer()
        elif peer.is_sending:
            return None
        elif peer.index and not self._member.is_ahead_of(peer_id, peer.index):
            peer.tries = 0  # the one before helped
        elif self._loop.time() < peer.next_s:
            return None
        return peer

    def _make(self, view: View) -> Made:
        """In a worker."""
        return Made(snapshot_of(view), self._store.save(view))

    def _made(self, message: Message, peer: _Peer, future: "Future[Made]") -> None:
        error = future.exception()
        if error is not None:
            self._lines.warn("no snapshot made", to=format_id(message.to), error=str(error))
            self.ended(message.to, False)
            self._failed(message.to)
            return
        peer.made = future.result()
        if self._peers.get(message.to) is peer:
            self._post(message, peer, peer.made)
        else:  # it was removed meanwhile
            self._drop_body(peer)

    def _post(self, message: Message, peer: _Peer, made: Made) -> None:
        message.snapshot, peer.index = made.snapshot, made.up_to
        self._lines.info(
            "sending a snapshot",
            to=format_id(message.to),
            index=made.up_to,
            bytes=made.saved.size_bytes,
            tries=peer.tries,
        )
        self._network.send_snapshot(message, made.saved.body, made.saved.size_bytes)

    def ended(self, peer_id: int, ok: bool) -> None:
        """Sending to this peer is over, well or not."""
        peer = self._peers.get(peer_id)
        if peer is None or not peer.is_sending:
            return
        now_s = self._loop.time()
        pause_s = PAUSES_S[min(peer.tries, len(PAUSES_S)) - 1]
        peer.is_sending, peer.catches_up, peer.next_s = False, ok, now_s + pause_s
        if ok or peer.tries % TRIES_OF_A_BODY_MAX == 0:
            self._drop_body(peer)
        if not ok:
            self._lines.warn("no snapshot arrived", to=format_id(peer_id), next_in_s=pause_s)
        patience_s = max(CATCH_UP_S, now_s - peer.began_s)
        self._loop.call_later(patience_s, self._give_up, peer_id, peer, peer.began_s)

    def _give_up(self, peer_id: int, peer: _Peer, began_s: float) -> None:
        """Unless something else was tried meanwhile."""
        if self._peers.get(peer_id) is peer and peer.began_s == began_s:
            self._forget(peer_id)

    def _forget(self, peer_id: int) -> None:
        self._drop_body(self._peers.pop(peer_id))

    def _drop_body(self, peer: _Peer) -> None:
        made, peer.made = peer.made, None
        if made is not None:
            self._jobs.clean_up(partial(self._store.discard, made.saved.body))


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
