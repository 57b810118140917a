"""petcd or the real etcd as a test sees it: a process, and calls that keep code, text and answer.

The client is grpcio, which knows nothing of ours; messages are petcd.wire's.
"""

import asyncio
import contextlib
import queue
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

import grpc

from bench.servers import Server
from petcd.wire.codec import Message

CALL_TIMEOUT_S = 20

M = TypeVar("M", bound=Message)


class Answer(NamedTuple, Generic[M]):
    """What came of a call: gRPC's code and text, and the message when the code is 0."""

    code: int
    text: str
    message: M | None


class Peer:
    """A running server and a channel to it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.kind = server.kind
        self.channel = self._channel()

    def _channel(self) -> grpc.Channel:
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),  # a restarted server gets a new connection
        ]
        return grpc.insecure_channel(f"127.0.0.1:{self.server.port}", options)

    def begin(self, path: str, request: Message, response: type[M]) -> Callable[[], Answer[M]]:
        """Sends a call; what is returned waits for the answer."""
        future = self.channel.unary_unary(path).future(request.encode(), CALL_TIMEOUT_S)

        def answer() -> Answer[M]:
            try:
                return Answer(0, "", response.decode(future.result()))
            except grpc.RpcError as error:
                return Answer(error.code().value[0], error.details() or "", None)

        return answer

    def call(self, path: str, request: Message, response: type[M]) -> Answer[M]:
        return self.begin(path, request, response)()

    def stream(self, path: str, response: type[M]) -> "Stream[M]":
        return Stream(self.channel, path, response)

    def restart(self) -> None:
        self.channel.close()
        self.server.stop()
        asyncio.run(self.server.start())
        self.channel = self._channel()

    def close(self) -> None:
        self.channel.close()
        self.server.close()


class Stream(Generic[M]):
    """A call with messages both ways."""

    def __init__(self, channel: grpc.Channel, path: str, response: type[M]) -> None:
        self.outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.response = response
        self.call = channel.stream_stream(path)(iter(self.outgoing.get, None))

    def send(self, request: Message) -> None:
        self.outgoing.put(request.encode())

    def half_close(self) -> None:
        self.outgoing.put(None)

    def __iter__(self) -> Iterator[M]:
        """Messages until the stream ends; how it ended is `Stream.ended`."""
        with contextlib.suppress(grpc.RpcError):
            for data in self.call:
                yield self.response.decode(data)

    def ended(self) -> tuple[int, str]:
        return self.call.code().value[0], self.call.details() or ""

    def cancel(self) -> None:
        self.outgoing.put(None)
        self.call.cancel()


def start(kind: str, *flags: str) -> Peer:
    """A fresh server of this kind; the caller closes it."""
    server = Server(kind, *flags)
    try:
        asyncio.run(server.start())
    except BaseException:
        server.close()
        raise
    return Peer(server)
