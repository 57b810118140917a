"""One remote member: everything that goes to it and comes from it.

```
             MsgApp -> append stream ---.
  send  ->   others -> message stream --+-> flush: one write per stream
             neither is open -> pipeline
  two StreamReaders dial the peer's streams; a SnapshotSender and a Prober stand beside
```

An append goes by the message stream when only that one is open, as in etcd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from petcd.peer.context import Context, PeerStatus
from petcd.peer.pipeline import Pipeline
from petcd.peer.prober import Prober
from petcd.peer.snapshot_sender import SnapshotSender
from petcd.peer.stream_kind import APPEND, MESSAGE, StreamKind
from petcd.peer.stream_reader import StreamReader
from petcd.peer.stream_writer import StreamWriter
from petcd.peer.url_picker import UrlPicker
from petcd.raft.types import MESSAGE_TYPE_NAMES, Message, MessageType
from petcd.transport.http import HttpResponder

_APP = MessageType.APP


class Peer:
    """One remote member. `stop` once."""

    def __init__(
        self,
        context: Context,
        member_id: int,
        urls: Sequence[str],
        executor: Executor,
        wall: Callable[[], float],
    ) -> None:
        self.member_id = member_id
        self._context = context
        self.counters = context.counters.of(member_id)
        self.counters.known = True
        self.picker = UrlPicker(urls)
        self.status = PeerStatus(context, member_id)
        self._appends = StreamWriter(context, member_id, APPEND, self.status)
        self._messages = StreamWriter(context, member_id, MESSAGE, self.status)
        self._pipeline = Pipeline(context, member_id, self.picker, self.status)
        self._snapshots = SnapshotSender(context, member_id, self.picker, self.status, executor)
        self.prober = Prober(context, member_id, self.picker, wall)
        self._readers = [
            StreamReader(context, member_id, kind, self.picker, self.status)
            for kind in (APPEND, MESSAGE)
        ]
        for reader in self._readers:
            reader.start()

    def stop(self) -> None:
        """Close everything."""
        for reader in self._readers:
            reader.stop()
        self._appends.detach()
        self._messages.detach()
        self._pipeline.stop()
        self._snapshots.stop()
        self.prober.stop()
        self.counters.known = self.counters.active = False

    def update(self, urls: Sequence[str]) -> None:
        """The peer is reached under other URLs; what is open stays open."""
        self.picker.update(urls)

    def attach(self, kind: StreamKind, respond: HttpResponder) -> None:
        """The peer has dialled one of our streams."""
        (self._appends if kind is APPEND else self._messages).attach(respond)

    @property
    def streaming(self) -> bool:
        """Whether the peer has opened both of our streams."""
        return self._appends.working and self._messages.working

    @property
    def queued_bytes(self) -> int:
        """Bytes on both streams that the sockets have not taken."""
        return self._appends.queued_bytes + self._messages.queued_bytes

    def send(self, message: Message) -> None:
        """Take a message; what does not fit is dropped and the peer reported unreachable."""
        if message.type == _APP and self._appends.working:
            taken = self._appends.send(message)
        elif self._messages.working:
            taken = self._messages.send(message)
        else:
            taken = self._pipeline.send(message)
        if not taken:
            self._drop(message)

    def send_snapshot(self, message: Message, path: Path, size_bytes: int) -> None:
        """Send a snapshot; the events tell how it went."""
        self._snapshots.send(message, path, size_bytes)

    def flush(self) -> None:
        """Write what was taken."""
        self._appends.flush()
        self._messages.flush()

    def tick(self, now: float) -> None:
        """Keep silent streams alive, cut dead ones."""
        self._appends.tick(now)
        self._messages.tick(now)
        for reader in self._readers:
            reader.tick(now)

    def _drop(self, message: Message) -> None:
        self.counters.sent_failures += 1
        self._context.log.warn(
            "dropped internal Raft message since sending buffer is full (overloaded network)",
            message_type=MESSAGE_TYPE_NAMES[message.type],
            remote_peer_id=self.status.id,
            remote_peer_active=self.status.active,
        )
        # Not now: the caller is in the middle of a turn.
        self._context.clock.call_soon(self._context.events.unreachable, self.member_id)
