"""Messages as single requests, for a peer that has not opened its streams (yet).

At most `IN_FLIGHT_MAX` requests at a time and `QUEUED_MAX` messages waiting, as in etcd; more are
dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque

from petcd.peer.answers import refusal
from petcd.peer.context import Context, PeerStatus
from petcd.peer.errors import MemberRemoved
from petcd.peer.messages import encode_message
from petcd.peer.url_picker import UrlPicker
from petcd.raft.types import Message, MessageType
from petcd.transport.http import Header
from petcd.transport.http1_answer import ExchangeFailed

IN_FLIGHT_MAX = 4
QUEUED_MAX = 64
POST_TIMEOUT_S = 5.0
"""For one message, the dial included. etcd waits for ever."""
_PROTOBUF: Header = (b"content-type", b"application/protobuf")


class Pipeline:
    """Single requests to one peer."""

    def __init__(
        self, context: Context, peer_id: int, picker: UrlPicker, status: PeerStatus
    ) -> None:
        self._context = context
        self._peer_id = peer_id
        self._picker = picker
        self._status = status
        self._counters = context.counters.of(peer_id)
        self._headers = [*context.identity.headers(), _PROTOBUF]
        self._queue: deque[Message] = deque()
        self._workers: set[asyncio.Task[None]] = set()

    def send(self, message: Message) -> bool:
        """Send a message when its turn comes; False when too many wait."""
        if len(self._queue) >= QUEUED_MAX:
            return False
        self._queue.append(message)
        if len(self._workers) < IN_FLIGHT_MAX:
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return True

    def stop(self) -> None:
        """Drop what waits and cut what is under way."""
        self._queue.clear()
        for worker in self._workers:
            worker.cancel()

    async def _work(self) -> None:
        while self._queue:
            await self._post(self._queue.popleft())

    async def _post(self, message: Message) -> None:
        url = self._picker.pick()
        body = encode_message(message)
        try:
            answer = await self._context.client.fetch(
                url, "POST", "/raft", self._headers, body, POST_TIMEOUT_S
            )
            if answer.status != 204:
                raise refusal(answer.status, answer.body)
        except (ExchangeFailed, OSError) as error:
            if message.type == MessageType.APP:
                self._counters.follower.fail += 1
            self._failed(url, error)
        else:
            self._status.activate()
            self._counters.sent_bytes += len(body)
            if message.type == MessageType.APP:
                self._counters.follower.succeeded(1, answer.duration_s)

    def _failed(self, url: str, error: Exception) -> None:
        self._picker.unreachable(url)
        self._status.deactivate("write", "pipeline", error)
        self._counters.sent_failures += 1
        self._context.events.unreachable(self._peer_id)
        if isinstance(error, MemberRemoved):
            self._context.removed()
