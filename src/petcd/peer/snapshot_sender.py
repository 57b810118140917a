"""A database snapshot to a peer: its raft message and the file behind it, as one request.

The file is read in pieces on the executor and sent as fast as the peer takes them, over a
connection of its own; raft's messages do not wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from pathlib import Path
from typing import BinaryIO

from petcd.cluster import format_id
from petcd.peer.answers import refusal
from petcd.peer.context import Context, PeerStatus
from petcd.peer.errors import MemberRemoved, PeerError, PeerRefused
from petcd.peer.streams import frame
from petcd.peer.url_picker import UrlPicker
from petcd.raft.types import Message
from petcd.transport.http import Header

PIECE_BYTES = 256 << 10
STALL_MAX_S = 30.0
"""A peer that takes nothing for so long has failed."""
ANSWER_MAX_S = 300.0
"""The peer syncs the whole file to its disk before it answers. etcd waits for ever."""
_OCTETS: Header = (b"content-type", b"application/octet-stream")


class SnapshotSender:
    """Sends snapshots to one peer."""

    def __init__(
        self,
        context: Context,
        peer_id: int,
        picker: UrlPicker,
        status: PeerStatus,
        executor: Executor,
    ) -> None:
        self._context = context
        self._peer_id = peer_id
        self._picker = picker
        self._status = status
        self._executor = executor
        self._counters = context.counters.of(peer_id)
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, message: Message, path: Path, size_bytes: int) -> None:
        """Send the message and the first `size_bytes` of the file; the events tell how it went."""
        task = asyncio.get_running_loop().create_task(self._send(message, path, size_bytes))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Cut what is under way."""
        for task in self._tasks:
            task.cancel()

    async def _send(self, message: Message, path: Path, size_bytes: int) -> None:
        counters, clock = self._counters.snapshot_sends, self._context.clock
        began = clock.time()
        url = self._picker.pick()
        self._tell("sending database snapshot", message, size_bytes)
        counters.in_flight += 1
        try:
            await self._post(url, frame(message), path, size_bytes)
        except Exception as error:  # whatever it was: nothing else is sent until we tell
            self._failed(url, message, size_bytes, error)
        else:
            self._status.activate()
            self._counters.sent_bytes += size_bytes
            counters.successes += 1
            counters.seconds.observe(clock.time() - began)
            self._tell("sent database snapshot", message, size_bytes)
            self._context.events.snapshot_sent(self._peer_id, True)
        finally:
            counters.in_flight -= 1

    async def _post(self, url: str, head: bytes, path: Path, size_bytes: int) -> None:
        answer = await self._context.client.post(
            url,
            "/raft/snapshot",
            [*self._context.identity.headers(), _OCTETS],
            len(head) + size_bytes,
            self._pieces(head, path, size_bytes),
            STALL_MAX_S,
            ANSWER_MAX_S,
        )
        if answer.status != 204:
            raise refusal(answer.status, answer.body)

    async def _pieces(
        self, head: bytes, path: Path, size_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        file: BinaryIO = await loop.run_in_executor(self._executor, path.open, "rb")
        try:
            yield head
            left = size_bytes
            while left:
                wanted = min(left, PIECE_BYTES)
                piece = await loop.run_in_executor(self._executor, file.read, wanted)
                if not piece:
                    raise PeerError(f"{path} is {left} bytes shorter than announced")
                left -= len(piece)
                yield piece
        finally:
            file.close()

    def _failed(self, url: str, message: Message, size_bytes: int, error: Exception) -> None:
        if not isinstance(error, PeerRefused):  # who answers is connected
            self._picker.unreachable(url)
            self._status.deactivate("post", "sendMsgSnap", error)
        self._counters.sent_failures += 1
        self._counters.snapshot_sends.failures += 1
        self._tell("failed to send database snapshot", message, size_bytes, error=str(error))
        self._context.events.unreachable(self._peer_id)
        self._context.events.snapshot_sent(self._peer_id, False)
        if isinstance(error, MemberRemoved):
            self._context.removed()

    def _tell(self, what: str, message: Message, size_bytes: int, **fields: object) -> None:
        assert message.snapshot is not None
        write = self._context.log.warn if fields else self._context.log.info
        write(
            what,
            snapshot_index=message.snapshot.metadata.index,
            remote_peer_id=format_id(self._peer_id),
            bytes=size_bytes,
            **fields,
        )
