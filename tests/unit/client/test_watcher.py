"""Watches over streams that break."""

import pytest

from petcd.client import methods
from petcd.client.watcher import Watcher
from petcd.wire.header import ResponseHeader
from petcd.wire.kv import Event, KeyValue
from petcd.wire.watch import WatchCreateRequest, WatchRequest, WatchResponse


class WatchServer:
    """A Watch handler that creates what is asked for and then does what the script says for each
    stream: revisions to deliver, then a status to end with (None: stay open)."""

    def __init__(self, *script: tuple[list[int], tuple[int, str] | None]) -> None:
        self.script = list(script)
        self.requests: list[WatchCreateRequest] = []
        self.metadata: list[dict[bytes, bytes]] = []

    def __call__(self, call) -> None:
        revisions, end = self.script.pop(0)
        self.metadata.append(call.metadata())

        def on_message(body: bytes) -> None:
            request = WatchRequest.decode(body).create_request
            if request is None:
                return
            self.requests.append(request)
            header = ResponseHeader(revision=1)
            call.send(WatchResponse(header=header, created=True).encode())
            for revision in revisions:
                event = Event(kv=KeyValue(key=request.key, mod_revision=revision))
                header = ResponseHeader(revision=revision)
                call.send(WatchResponse(header=header, events=[event]).encode())
            if end is not None:
                call.finish(*end)

        call.on_message = on_message
        call.on_half_close = call.finish


def collect(watcher: Watcher, count: int):
    updates = []
    while len(updates) < count:
        updates += watcher.wait()[0]
    return updates


def revisions(updates) -> list[int]:
    return [event.kv.mod_revision for update in updates for event in update.events or ()]


@pytest.mark.parametrize("end", [(14, "moving"), (13, "broken"), (0, "")])
def test_a_broken_stream_resumes_without_loss_or_repetition(serve, open_channel, end) -> None:
    handler = WatchServer(([5, 6], end), ([7], None))
    watcher = Watcher(open_channel(serve().stream(methods.WATCH, handler).start()))
    watcher.create(WatchCreateRequest(key=b"a", start_revision=5))
    assert revisions(collect(watcher, 3)) == [5, 6, 7]
    assert [request.start_revision for request in handler.requests] == [5, 7]
    assert handler.metadata[0][b"hasleader"] == b"true"
    watcher.close()


def test_another_endpoint_takes_over(serve, open_channel) -> None:
    first, second = WatchServer(([5], None)), WatchServer(([6], None))
    servers = [serve().stream(methods.WATCH, handler).start() for handler in (first, second)]
    watcher = Watcher(open_channel(*servers))
    watcher.create(WatchCreateRequest(key=b"a", start_revision=5))
    assert revisions(collect(watcher, 1)) == [5]
    servers[0].stop()
    assert revisions(collect(watcher, 1)) == [6]


@pytest.mark.parametrize(
    "end", [(14, "etcdserver: no leader"), (7, "etcdserver: permission denied")]
)
def test_an_end_that_trying_again_cannot_mend_ends_the_watch(serve, open_channel, end) -> None:
    watcher = Watcher(open_channel(serve().stream(methods.WATCH, WatchServer(([], end))).start()))
    watch = watcher.create(WatchCreateRequest(key=b"a"))
    (update,) = collect(watcher, 1)
    assert (update.watch, update.canceled, update.reason) == (watch, True, end[1])


def test_an_answer_that_is_no_message_ends_the_watch(serve, open_channel) -> None:
    def handler(call) -> None:
        call.on_message = lambda body: call.send(b"\xff")

    watcher = Watcher(open_channel(serve().stream(methods.WATCH, handler).start()))
    watcher.create(WatchCreateRequest(key=b"a"))
    (update,) = collect(watcher, 1)
    assert update.reason.startswith("malformed watch response")
