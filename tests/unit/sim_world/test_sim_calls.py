"""Calls of simulated clients: slow streams, and what is said to API 2 and by it."""

from random import Random

from petcd.transport.router import BIDI, Method, Router
from sim.calls import Connection, ServerCall
from sim.check.v2_records import (
    V2Delete,
    V2Error,
    V2Expiration,
    V2Get,
    V2Node,
    V2Response,
    V2Set,
    V2Watch,
)
from sim.loop import Process, Schedule
from sim.v2_requests import answer, sent

PATH = b"/test.Stream/Open"


class Stream:
    """A client's stream to a handler that keeps the call."""

    def __init__(self) -> None:
        self.schedule = Schedule()
        client, server = Process(self.schedule, 0), Process(self.schedule, 1)
        router = Router()
        router.add(Method(PATH, BIDI, lambda call: None))
        self.heard: list[bytes] = []
        self.ended: list[int] = []
        self.connection = Connection(
            1, 1, client, server, router, lambda request, respond: None, Random(1)
        )
        self.call: ServerCall = self.connection.call(
            PATH, b"", self.heard.append, lambda code, text: self.ended.append(code)
        )
        self.run()

    def run(self) -> None:
        self.schedule.run(self.schedule.now_s + 0.1)


def test_what_is_sent_waits_while_the_client_reads_nothing() -> None:
    stream = Stream()
    drained: list[int] = []
    stream.call.on_drain = lambda: drained.append(stream.call.queued_bytes)
    stream.call.magnified = 10
    stream.call.send(b"one")
    stream.connection.hold(stream.call)
    stream.run()
    stream.call.send(b"two")
    stream.call.send(b"three")
    stream.run()
    assert (stream.heard, stream.call.queued_bytes, drained) == ([b"one"], 80, [])
    stream.connection.release(stream.call)
    stream.run()
    assert stream.heard == [b"one", b"two", b"three"]
    assert (stream.call.queued_bytes, stream.call.held_bytes_max, drained) == (0, 8, [0])


def test_the_end_of_a_stream_waits_behind_what_was_sent() -> None:
    stream = Stream()
    stream.connection.hold(stream.call)
    stream.run()
    stream.call.send(b"last")
    stream.call.finish(14, "gone")
    stream.run()
    assert (stream.heard, stream.ended) == ([], [])
    stream.connection.release(stream.call)
    stream.run()
    assert (stream.heard, stream.ended) == ([b"last"], [14])


def test_requests_of_api_2_are_written_and_their_answers_read() -> None:
    assert sent(V2Get(b"/k", quorum=True)).target == "/v2/keys/k?quorum=true"
    assert sent(V2Delete(b"/k", 7, b"x")) == ("DELETE", "/v2/keys/k?prevIndex=7&prevValue=x", b"")
    assert sent(V2Set(b"/k", b"1", 5, prev_exist="true")).body == b"prevExist=true&ttl=5&value=1"
    assert sent(V2Set(b"/k", b"", 5, refresh=True)).body == b"ttl=5&refresh=true"
    watch = V2Watch(1, b"/", 9, stream=True)
    assert sent(watch).target == "/v2/keys/?wait=true&waitIndex=9&recursive=true&stream=true"
    said = (
        b'201 9 {"action":"set","node":{"key":"/k","value":"1","expiration":'
        b'"2023-11-14T22:13:21.5Z","ttl":5,"modifiedIndex":9,"createdIndex":9}}'
    )
    response, revision, expirations = answer(said, epoch_s=1_700_000_000)
    assert response == V2Response("set", V2Node(b"/k", b"1", 9, 9))
    assert (revision, expirations) == (9, (V2Expiration(b"/k", 9, 1.5),))
    assert answer(b'404 8 {"errorCode":100,"index":8}', 0)[:2] == (V2Error(100), 8)
    assert answer(b'500 0 {"errorCode":300,"index":0}', 0)[:2] == (None, 0)
