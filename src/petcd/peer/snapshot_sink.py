"""A database snapshot from a peer: the raft message at the head of the body, the file behind it.

```
  head ------> saving --------------> committed: events.snapshot_received(message, path), 204
  (message)    (incoming_file)
```

The body goes to the file in pieces on the executor; what waits for the disk is bounded, and the
sender held back. A snapshot that does not arrive whole leaves nothing behind. One that the disk has
no room for is refused before it comes; members of etcd do not announce how much will come, and are
refused when the room comes to an end. Answers are etcd's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from petcd.cluster import format_id
from petcd.peer.context import Context
from petcd.peer.counters import PeerCounters
from petcd.peer.errors import MalformedPeerData
from petcd.peer.http_errors import send_error
from petcd.peer.incoming_file import IncomingFile
from petcd.peer.messages import decode_message
from petcd.peer.streams import MESSAGE_BYTES_MAX
from petcd.raft.types import Message, MessageType
from petcd.transport.http import Header, HttpResponder

WAITING_BYTES_MAX = 4 << 20
"""Bytes in memory that the disk has not taken."""


class SnapshotSink:
    """Takes one snapshot; a `transport.http.BodySink`."""

    def __init__(
        self,
        context: Context,
        directory: Path,
        executor: Executor,
        respond: HttpResponder,
        headers: list[Header],
        announced_bytes: int,
        on_end: Callable[[], None],
    ) -> None:
        """`headers` go with every answer; `announced_bytes` of body will come, 0 when that was not
        said; `on_end` is called once when it is over."""
        self._context = context
        self._directory = directory
        self._executor = executor
        self._respond = respond
        self._headers = headers
        self._announced_bytes = announced_bytes
        self._on_end = on_end
        self.more_wanted: Callable[[], None] = lambda: None
        self._head = bytearray()
        self._message: Message | None = None
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._complete = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        respond.on_close = self._lost

    # -- the body ----------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether enough waits for the disk."""
        return self._waiting_bytes >= WAITING_BYTES_MAX

    def write(self, piece: bytes) -> None:
        """See `BodySink`."""
        if self._message is None:
            self._head += piece
            self._take_head()
        else:
            self._keep(piece)

    def end(self) -> None:
        """See `BodySink`."""
        if self._message is None:
            self.refuse(400, "failed to decode raft message (unexpected EOF)")
            return
        self._complete = True
        self._wake.set()

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._waiting_bytes += len(piece)
        self._wake.set()

    def _take_head(self) -> None:
        head = self._head
        if len(head) < 8:
            return
        length = int.from_bytes(head[:8], "big")
        if length > MESSAGE_BYTES_MAX:
            self.refuse(400, "failed to decode raft message (rafthttp: error limit exceeded)")
            return
        end = 8 + length
        if len(head) < end:
            return
        try:
            message = decode_message(bytes(head[8:end]))
        except MalformedPeerData as error:
            self.refuse(400, f"failed to decode raft message ({error})")
            return
        if message.type != MessageType.SNAP:
            self.refuse(400, "wrong raft message type")
        elif self._context.events.is_removed(message.from_):
            self.refuse(403, "cannot process message from removed member")
        else:
            self._message = message
            rest = bytes(head[end:])
            self._head = bytearray()
            if rest:
                self._keep(rest)
            self._task = asyncio.get_running_loop().create_task(self._receive(message))

    # -- the file ----------------------------------------------------------------------------------

    async def _receive(self, message: Message) -> None:
        assert message.snapshot is not None
        context = self._context
        index = message.snapshot.metadata.index
        counters = context.counters.of(message.from_)
        sender = format_id(message.from_)
        began = context.clock.time()
        context.log.info(
            "receiving database snapshot",
            remote_snapshot_sender_id=sender,
            incoming_snapshot_index=index,
        )
        counters.snapshot_receives.in_flight += 1
        try:
            path, size = await self._save(index)
        except OSError as error:
            counters.snapshot_receives.failures += 1
            context.log.warn(
                "failed to save incoming database snapshot",
                remote_snapshot_sender_id=sender,
                incoming_snapshot_index=index,
                error=str(error),
            )
            self.refuse(500, f"failed to save KV snapshot ({error.strerror or error})")
            return
        finally:
            counters.snapshot_receives.in_flight -= 1
        context.log.info(
            "received and saved database snapshot",
            remote_snapshot_sender_id=sender,
            incoming_snapshot_index=index,
            incoming_snapshot_size_bytes=size,
        )
        counters.received_bytes += size
        self._received(message, path, counters, began)

    def _received(self, message: Message, path: Path, counters: PeerCounters, began: float) -> None:
        counters.snapshot_receives.successes += 1
        took_s = self._context.clock.time() - began
        counters.snapshot_receives.seconds.observe(took_s)
        self._context.counters.snapshot_saves.observe(took_s)
        self._context.events.snapshot_received(message, path)
        self._finish()
        self._respond.send(204, self._headers, b"")

    async def _save(self, index: int) -> tuple[Path, int]:
        """The file's path once it is there for good, and its size. Raises OSError."""
        loop = asyncio.get_running_loop()
        file = IncomingFile(self._directory)
        size = 0
        try:
            await loop.run_in_executor(self._executor, file.expect, self._announced_bytes)
            while self._pieces or not self._complete:
                if not self._pieces:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                data = b"".join(self._pieces)
                self._pieces.clear()
                await loop.run_in_executor(self._executor, file.write, data)
                size += len(data)
                self._waiting_bytes -= len(data)
                self.more_wanted()
            name = f"{index:016x}.snap.db"
            path = await loop.run_in_executor(self._executor, file.commit, name)
            self._context.counters.snapshot_syncs.observe(file.sync_s)
            return path, size
        finally:
            self._executor.submit(file.discard)

    # -- the end -----------------------------------------------------------------------------------

    def refuse(self, status: int, text: str) -> None:
        """Answer that it is not taken."""
        self._finish()
        send_error(self._respond, status, text, self._headers)

    def _lost(self) -> None:
        """The sender is gone."""
        if self._task is not None:
            self._task.cancel()
        self._finish()

    def _finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._on_end()
