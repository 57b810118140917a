"""etcdserverpb.Watch: one stream of many watches.

The hub decides what goes to whom; this module hands it to the call and tells the hub when the
client takes no more. A stream holds at most STREAM_QUEUE_BYTES that the client has not accepted;
beyond that its watchers wait in the hub and read history once it has drained.
"""

from petcd.api.errors import status_of
from petcd.mvcc.watch_hub import WatchHub
from petcd.transport.call import Call
from petcd.transport.router import BIDI, Method, Router
from petcd.wire.codec import DecodeError
from petcd.wire.watch import WatchRequest

# etcd holds 1,024 responses for a stream; here it is bytes, since responses differ in size.
STREAM_QUEUE_BYTES = 1024 * 1024


class CallSink:
    """A watch stream's way out: the call it came in on."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def ready(self) -> bool:
        """Whether the client keeps up."""
        return self._call.queued_bytes < STREAM_QUEUE_BYTES

    def send(self, response: bytes) -> None:
        """One response."""
        self._call.send(response)

    def send_many(self, responses: list[bytes]) -> None:
        """Several responses, in order."""
        self._call.send_many(responses)


class WatchService:
    """Handler of the Watch service."""

    def __init__(self, hub: WatchHub) -> None:
        self._hub = hub

    def register(self, router: Router) -> None:
        """Add the method to the router."""
        router.add(Method(b"/etcdserverpb.Watch/Watch", BIDI, self.watch))

    def watch(self, call: Call) -> None:
        """Watch."""
        stream = self._hub.open(CallSink(call))

        def on_message(body: bytes) -> None:
            try:
                request = WatchRequest.decode(body)
            except DecodeError as error:
                stream.close()
                call.finish(*status_of(error))
                return
            stream.receive(request)

        # A client that will ask no more still hears of changes until it cancels, as in etcd.
        call.on_message = on_message
        call.on_cancel = stream.close
        call.on_drain = stream.drained
