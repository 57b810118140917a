"""Calls of simulated clients: one that reads nothing holds up its own stream, and only that."""

from random import Random

from petcd.transport.router import BIDI, Method, Router
from sim.calls import Connection, ServerCall
from sim.loop import Process, Schedule

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
