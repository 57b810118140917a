"""A stream that we write: one write a flush, heartbeats in silence, bounds, loss."""

import pytest
from peer_fakes import LOCAL_ID, REMOTE_ID, Bench, FakeResponder

from petcd.peer.context import DEFAULT_TIMEOUTS, PeerStatus
from petcd.peer.stream_kind import APPEND
from petcd.peer.stream_writer import STREAM_BYTES_MAX, StreamWriter
from petcd.peer.streams import AppendReader
from petcd.raft.types import Entry, Message, MessageType

HEARTBEAT_EVERY_S = DEFAULT_TIMEOUTS.heartbeat_s


class Rig:
    """A writer of the append stream, attached."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.status = PeerStatus(bench.context, REMOTE_ID)
        self.writer = StreamWriter(bench.context, REMOTE_ID, APPEND, self.status)
        self.respond = FakeResponder()
        self.writer.attach(self.respond)


@pytest.fixture
def rig(bench: Bench) -> Rig:
    return Rig(bench)


def app(index: int) -> Message:
    return Message(MessageType.APP, REMOTE_ID, LOCAL_ID, 1, 1, index, [Entry(0, 1, index + 1)], 1)


def read(respond: FakeResponder) -> list[Message]:
    return AppendReader(REMOTE_ID, LOCAL_ID).feed(respond.body)


def test_what_was_taken_leaves_in_one_write(rig: Rig) -> None:
    messages = [app(n) for n in range(5, 15)]
    assert all(rig.writer.send(message) for message in messages)
    assert rig.respond.writes == 0
    rig.writer.flush()
    rig.writer.flush()
    assert rig.respond.writes == 1 and read(rig.respond) == messages
    assert rig.bench.counters.of(REMOTE_ID).sent_bytes == len(rig.respond.body)


def test_a_silent_stream_gets_heartbeats_and_a_busy_one_does_not(rig: Rig) -> None:
    for n in range(5, 9):
        rig.bench.clock.pass_by(HEARTBEAT_EVERY_S * 0.9)
        rig.writer.tick(rig.bench.clock.now)
        rig.writer.send(app(n))
        rig.writer.flush()
    assert rig.respond.writes == 4
    rig.bench.clock.pass_by(HEARTBEAT_EVERY_S)
    rig.writer.tick(rig.bench.clock.now)
    assert rig.respond.writes == 5 and rig.respond.body.endswith(b"\0")


def test_what_the_peer_does_not_take_is_not_taken_from_raft(rig: Rig) -> None:
    rig.respond.queued_bytes = STREAM_BYTES_MAX
    assert rig.writer.send(app(5)), "the bound itself is allowed"
    assert not rig.writer.send(app(6))
    rig.writer.flush()
    rig.respond.queued_bytes = 0
    assert rig.writer.send(app(7))
    rig.writer.flush()
    assert [m.index for m in read(rig.respond)] == [5, 7]


def test_a_lost_connection_is_told_and_no_more_written(rig: Rig) -> None:
    rig.writer.send(app(5))
    rig.respond.lose()
    assert not rig.writer.working and not rig.status.active
    assert rig.bench.news.unreachables == [REMOTE_ID]
    rig.writer.flush()
    rig.writer.tick(1000.0)
    assert rig.respond.writes == 0


def test_a_second_connection_replaces_the_first_and_starts_anew(rig: Rig) -> None:
    rig.writer.send(app(5))
    rig.writer.flush()
    second = FakeResponder()
    rig.writer.attach(second)
    assert rig.respond.closed and rig.writer.working
    rig.respond.lose()  # says nothing about the second
    rig.writer.send(app(6))
    rig.writer.flush()
    assert read(second) == [app(6)] and not rig.bench.news.unreachables


def test_a_detached_stream_ends_properly(rig: Rig) -> None:
    rig.writer.detach()
    assert rig.respond.closed and not rig.writer.working
    rig.writer.detach()


def test_appends_are_counted_by_follower_and_together(rig: Rig) -> None:
    for n in range(5, 8):
        rig.writer.send(app(n))
    rig.writer.flush()
    rig.bench.clock.pass_by(HEARTBEAT_EVERY_S)
    rig.writer.tick(rig.bench.clock.now)
    assert rig.bench.counters.of(REMOTE_ID).follower.success == 3
    assert rig.bench.counters.sent_appends.count == 3
