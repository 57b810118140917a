"""Warnings of what takes too long: their words, their fields, and that they do not flood."""

import pytest

from petcd.member.errors import TimedOut
from petcd.raft.kinds import EntryType
from petcd.raft.types import Entry
from petcd.server.slowness import Slowness, duration
from petcd.transport.call import Call
from petcd.transport.router import UNARY, Method
from petcd.wire.hot import internal_put, internal_request
from petcd.wire.kv import DeleteRangeRequest, PutRequest, RangeRequest, TxnRequest

APPLY = "apply request took too long"
HEARTBEAT = (
    "leader failed to send out heartbeat on time; took too long, leader is overloaded likely "
    "from slow disk"
)
PEER = 0xB2


class Rig:
    """Slowness with a clock set by hand and lines kept in a list."""

    def __init__(self):
        self.now_s = 100.0
        self.lines = []
        self.slowness = Slowness(self, lambda: self.now_s, 0.1, 0.3, 0.1)

    def warn(self, message, **fields):
        self.lines.append((message, fields))


@pytest.fixture
def rig():
    return Rig()


def put_entry(request_id, key=b"k", value=b"v"):
    data = internal_put(request_id, PutRequest(key=key, value=value).encode())
    return Entry(EntryType.NORMAL, 1, request_id, data)


class FakeEngine:
    peer = "127.0.0.1:50000"


def call(started_s):
    method = Method(b"/etcdserverpb.KV/Put", UNARY, lambda call, body: None)
    return Call(FakeEngine(), b"\0\0\0\1", 0, started_s, None, method, None)


# -- applying and serving ----------------------------------------------------------------------


def test_of_a_batch_that_was_slow_to_apply_the_largest_request_is_shown(rig):
    delete = internal_request(2, 5, DeleteRangeRequest(key=b"a", range_end=b"z" * 30).encode())
    entries = [put_entry(1), Entry(EntryType.NORMAL, 1, 2, delete), Entry(EntryType.NORMAL, 1, 3)]
    rig.slowness.applied(0.25, entries)
    assert rig.lines == [
        (
            APPLY,
            {
                "took": "250ms",
                "expected-duration": "100ms",
                "prefix": "",
                "request": 'header:<ID:2 > delete_range:<key:"a" range_end:"' + "z" * 30 + '" >',
                "response": "",
                "requests": 3,
            },
        )
    ]
    assert rig.slowness.slow_applies == 1


def test_a_slow_range_is_shown_with_the_size_of_its_answer(rig):
    rig.slowness.read(1.5, RangeRequest(key=b"a", range_end=b"b"), 4096)
    ((message, fields),) = rig.lines
    assert message == APPLY and fields["prefix"] == "read-only range "
    assert fields["request"] == 'key:"a" range_end:"b" ' and fields["response"] == "size:4096"
    assert fields["took"] == "1.5s" and "requests" not in fields


def test_reads_that_waited_for_their_index_are_told_of_by_the_first_of_them(rig):
    contexts = [None, (call(0), b"key"), (call(0), RangeRequest(key=b"r"))]
    rig.slowness.read_index_late(0.2, contexts, None)
    ((_, fields),) = rig.lines
    assert fields["prefix"] == "read-only range " and fields["request"] == 'key:"key" '
    assert fields["requests"] == 2 and "error" not in fields


def test_reads_that_are_refused_are_told_of_with_the_reason(rig):
    rig.slowness.read_index_late(7.0, [(call(0), TxnRequest())], TimedOut())
    ((_, fields),) = rig.lines
    assert fields["prefix"] == "read-only txn "
    assert fields["error"] == "etcdserver: request timed out"


def test_of_the_members_own_reads_nothing_is_said(rig):
    rig.slowness.read_index_late(0.2, [None, object()], None)
    assert not rig.lines and rig.slowness.slow_applies == 0


# -- from the call to the answer ---------------------------------------------------------------


def test_a_slow_write_is_told_of_with_who_asked_and_since_when(rig):
    rig.slowness.answered(10.5, (call(10.1), "more"), [put_entry(9)])
    assert rig.lines == [
        (
            "request stats",
            {
                "time spent": "400ms",
                "remote": "127.0.0.1:50000",
                "response type": "/etcdserverpb.KV/Put",
                "request size": len(put_entry(9).data),
                "request content": 'header:<ID:9 > put:<key:"k" value_size:1 >',
            },
        )
    ]


def test_a_write_whose_call_began_later_than_the_turn_is_not_slow(rig):
    rig.slowness.answered(10.5, call(10.3), [put_entry(9)])
    assert not rig.lines


def test_a_write_that_is_given_up_is_told_of(rig):
    rig.slowness.gave_up(17.0, call(10.0))
    ((message, fields),) = rig.lines
    assert message == "request stats" and fields["time spent"] == "7s"
    assert fields["request size"] == -1


def test_a_change_of_the_members_has_no_content(rig):
    change = Entry(EntryType.CONF_CHANGE, 1, 5, b"\x08\x01")
    rig.slowness.answered(11.0, call(10.0), [change])
    assert rig.lines[0][1]["request content"] == ""


def test_of_the_members_own_writes_nothing_is_said(rig):
    rig.slowness.answered(20.0, None, [put_entry(1)])
    rig.slowness.gave_up(20.0, ())
    assert not rig.lines


# -- disk and leader ---------------------------------------------------------------------------


def test_a_sync_of_more_than_a_second_is_told_of(rig):
    rig.slowness.synced(0.9)
    rig.slowness.synced(1.25)
    assert rig.lines == [("slow fdatasync", {"took": "1.25s", "expected-duration": "1s"})]


def test_a_heartbeat_is_late_after_two_intervals(rig):
    rig.slowness.heartbeat_sent(PEER, 3)
    rig.now_s += 0.19
    rig.slowness.heartbeat_sent(PEER, 3)
    assert rig.slowness.late_heartbeats == 0
    rig.now_s += 0.25
    rig.slowness.heartbeat_sent(PEER, 3)
    assert rig.slowness.late_heartbeats == 1
    assert rig.lines == [
        (
            HEARTBEAT,
            {
                "to": "b2",
                "heartbeat-interval": "100ms",
                "expected-duration": "200ms",
                "exceeded-duration": "50ms",
            },
        )
    ]


def test_a_new_reign_and_another_peer_begin_anew(rig):
    rig.slowness.heartbeat_sent(PEER, 3)
    rig.now_s += 60
    rig.slowness.heartbeat_sent(PEER, 4)
    rig.slowness.heartbeat_sent(PEER + 1, 4)
    assert rig.slowness.late_heartbeats == 0 and not rig.lines


# -- lines -------------------------------------------------------------------------------------


def test_one_line_a_second_is_written_and_the_next_one_tells_of_the_others(rig):
    for _ in range(10):
        rig.slowness.synced(2.0)
        rig.now_s += 0.25
    assert [fields.get("skipped-lines") for _, fields in rig.lines] == [None, 3, 3]


def test_every_slow_batch_is_counted_though_not_every_one_has_a_line(rig):
    for _ in range(5):
        rig.slowness.applied(0.5, [put_entry(1)])
    assert rig.slowness.slow_applies == 5 and len(rig.lines) == 1


def test_each_message_has_its_own_second(rig):
    rig.slowness.synced(2.0)
    rig.slowness.read_index_retried(17, 0.5)
    rig.slowness.read_index_failed(7.0)
    assert [message for message, _ in rig.lines] == [
        "slow fdatasync",
        "waiting for ReadIndex response took too long, retrying",
        "timed out waiting for read index response (local node might have slow network)",
    ]
    assert rig.lines[1][1] == {"sent-request-id": 17, "retry-timeout": "500ms"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.1, "100ms"),
        (0.0001234, "0.123ms"),
        (0.123456, "123.456ms"),
        (1.0, "1s"),
        (1.5, "1.5s"),
        (59.25, "59.25s"),
        (61.0, "1m1s"),
        (3600.0, "1h0m0s"),
    ],
)
def test_a_duration_looks_as_go_prints_it(seconds, text):
    assert duration(seconds) == text
