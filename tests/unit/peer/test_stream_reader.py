"""The life of a stream that we read: dialled, open, silent, refused, dialled again."""

import pytest
from peer_endpoints import CLUSTER_ID
from peer_fakes import LOCAL_ID, REMOTE_ID, Bench, FakeStream

from petcd.peer.context import DEFAULT_TIMEOUTS, PeerStatus
from petcd.peer.stream_kind import MESSAGE
from petcd.peer.stream_reader import DIAL_EVERY_S, StreamReader
from petcd.peer.streams import MessageWriter, frame
from petcd.peer.url_picker import UrlPicker
from petcd.raft.types import Message, MessageType
from petcd.transport.http_client import Unreachable

SILENCE_MAX_S = DEFAULT_TIMEOUTS.read_s


class Rig:
    """A reader of the message stream of a peer with two URLs."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.status = PeerStatus(bench.context, REMOTE_ID)
        picker = UrlPicker(["http://one:2380/", "http://two:2380"])
        self.reader = StreamReader(bench.context, REMOTE_ID, MESSAGE, picker, self.status)
        self.reader.start()

    @property
    def streams(self) -> list[FakeStream]:
        return self.bench.client.streams

    def wait(self, seconds: float) -> None:
        """Time passes, with a tick each half second."""
        for _ in range(round(seconds * 2)):
            self.bench.clock.pass_by(0.5)
            self.reader.tick(self.bench.clock.now)


@pytest.fixture
def rig(bench: Bench) -> Rig:
    return Rig(bench)


def test_the_dial_introduces_us_and_says_whom_we_mean(rig: Rig) -> None:
    (stream,) = rig.streams
    assert (stream.url, stream.target) == (
        "http://one:2380",
        f"/raft/stream/message/{LOCAL_ID:x}",
    )
    assert stream.headers == {
        b"x-server-from": f"{LOCAL_ID:x}".encode(),
        b"x-server-version": b"3.5.33",
        b"x-min-cluster-version": b"3.0.0",
        b"x-etcd-cluster-id": f"{CLUSTER_ID:x}".encode(),
        b"x-raft-to": b"b2",
        b"x-peerurls": b"http://here:2380",
    }


def test_messages_are_handed_over_and_heartbeats_of_the_link_are_not(rig: Rig) -> None:
    message = Message(MessageType.APP_RESP, LOCAL_ID, REMOTE_ID, 1, index=4)
    rig.streams[0].answers(200, MessageWriter.heartbeat + frame(message))
    assert rig.bench.news.messages == [message] and rig.reader.reading and rig.status.active


def test_messages_of_removed_members_and_for_others_are_dropped(rig: Rig) -> None:
    rig.bench.news.removed.add(0xBAD)
    for to, sender in ((LOCAL_ID, 0xBAD), (0xC3, REMOTE_ID)):
        rig.streams[0].answers(200, frame(Message(MessageType.APP_RESP, to, sender, 1)))
    assert rig.bench.news.messages == []


def test_a_stream_that_ends_is_dialled_again_and_the_peer_stays_active(rig: Rig) -> None:
    rig.streams[0].answers(200)
    rig.wait(2)
    rig.streams[0].sink.end()
    rig.bench.clock.pass_by(0)
    assert len(rig.streams) == 2 and rig.status.active
    assert rig.streams[1].url == "http://one:2380"


def test_a_failed_dial_is_repeated_at_the_next_url_and_not_at_once(rig: Rig) -> None:
    for attempt in range(4):
        assert len(rig.streams) == attempt + 1
        rig.streams[-1].sink.failed(Unreachable("refused"))
        rig.bench.clock.pass_by(DIAL_EVERY_S * 0.9)
        assert len(rig.streams) == attempt + 1
        rig.bench.clock.pass_by(DIAL_EVERY_S * 0.1)
    assert [s.url for s in rig.streams][:4] == ["http://one:2380", "http://two:2380"] * 2
    assert not rig.status.active


def test_a_silent_stream_is_cut_and_one_with_heartbeats_is_not(rig: Rig) -> None:
    stream = rig.streams[0]
    stream.answers(200)
    for _ in range(5):
        rig.wait(SILENCE_MAX_S - 1)
        stream.sink.body(MessageWriter.heartbeat)
    assert not stream.closed
    rig.wait(SILENCE_MAX_S + 1)
    assert stream.closed and not rig.status.active and len(rig.streams) == 2


def test_a_dial_without_an_answer_is_given_up(rig: Rig) -> None:
    rig.wait(SILENCE_MAX_S + 1)
    assert rig.streams[0].closed and len(rig.streams) == 2


def test_malformed_bytes_cut_the_stream(rig: Rig) -> None:
    rig.streams[0].answers(200, b"\xff" * 8)
    assert rig.streams[0].closed and not rig.status.active
    assert rig.bench.counters.of(REMOTE_ID).received_failures == 1
    rig.bench.clock.pass_by(DIAL_EVERY_S)
    assert len(rig.streams) == 2


def test_half_a_message_of_a_lost_stream_is_forgotten(rig: Rig) -> None:
    message = Message(MessageType.APP_RESP, LOCAL_ID, REMOTE_ID, 1, index=4)
    rig.streams[0].answers(200, frame(message)[:20])
    rig.streams[0].sink.failed(ConnectionResetError())
    rig.bench.clock.pass_by(1)
    rig.streams[1].answers(200, frame(message))
    assert rig.bench.news.messages == [message]


@pytest.mark.parametrize(
    ("status", "text", "told", "removed"),
    [
        (410, b"removed member\n", "permanently removed", 1),
        (412, b"cluster ID mismatch\n", "cluster ID mismatch", 0),
        (412, b"incompatible version\n", "incompatible version", 0),
        (404, b"error sender not found\n", "404: error sender not found", 0),
        (503, b"", "unexpected http status 503", 0),
    ],
)
def test_a_refusal_is_told_and_the_dial_repeated(
    rig: Rig, status: int, text: bytes, told: str, removed: int
) -> None:
    rig.streams[0].answers(status, text)
    assert rig.bench.told_removed == removed and not rig.status.active
    assert any(told in str(fields.get("error")) for _, fields in rig.bench.log.lines)
    rig.bench.clock.pass_by(DIAL_EVERY_S)
    assert len(rig.streams) == 2


def test_a_stopped_reader_dials_no_more(rig: Rig) -> None:
    rig.streams[0].sink.failed(Unreachable("refused"))
    rig.reader.stop()
    rig.wait(10)
    assert len(rig.streams) == 1


def test_stopping_cuts_an_open_stream(rig: Rig) -> None:
    rig.streams[0].answers(200)
    rig.reader.stop()
    assert rig.streams[0].closed
