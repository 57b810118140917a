"""raft's messages as bytes, against the general codec as a second opinion."""

import random

import pytest
from raft_messages import LOCAL_ID, REMOTE_ID, number, random_message, to_wire

from petcd.peer import messages
from petcd.peer.errors import MalformedPeerData
from petcd.peer.messages import Route, decode_message, encode_message
from petcd.raft.types import Entry, Message, MessageType, Snapshot
from petcd.wire import raftpb

ROUTE = Route(LOCAL_ID, REMOTE_ID)
ROUNDS = 1500


def test_what_is_written_is_what_the_general_codec_writes() -> None:
    rng = random.Random(1)
    for _ in range(ROUNDS):
        message = random_message(rng)
        assert encode_message(message) == to_wire(message).encode(), message


@pytest.mark.parametrize("route", [None, ROUTE, Route(1, 2)])
def test_what_is_written_reads_back_whatever_ids_are_expected(route: Route | None) -> None:
    rng = random.Random(2)
    for _ in range(ROUNDS):
        message = random_message(rng)
        assert decode_message(encode_message(message), route) == message


@pytest.mark.parametrize(
    "message",
    [
        Message(MessageType.APP_RESP, LOCAL_ID, REMOTE_ID, 7, 0, 1 << 40),
        Message(MessageType.APP, LOCAL_ID, REMOTE_ID, 7, 7, 9, [Entry(0, 7, 10, b"x" * 200)], 9),
        Message(MessageType.HEARTBEAT, LOCAL_ID, REMOTE_ID, 7, commit=3, context=b"12345678"),
        Message(MessageType.READ_INDEX, LOCAL_ID, REMOTE_ID, entries=[Entry(data=b"12345678")]),
    ],
)
def test_usual_messages_need_no_general_codec(
    message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "_decode_any", lambda data: None)
    assert decode_message(encode_message(message), ROUTE) == message


def test_fields_in_another_order_and_unknown_ones_are_read() -> None:
    message = Message(MessageType.APP_RESP, LOCAL_ID, REMOTE_ID, 7, 0, 12, reject=True)
    plain = encode_message(message)
    assert decode_message(b"\x30\x0c" + plain + b"\x7a\x01x", ROUTE) == message
    assert decode_message(plain + b"\x30\x0d", ROUTE).index == 13


@pytest.mark.parametrize("kind", [0, 1, 10, 11, 12, 19, 20, 21, 22, 24, 127, 128, 1 << 31])
def test_messages_that_pass_only_inside_a_member_are_refused(kind: int) -> None:
    body = raftpb.Message(type=0, to=LOCAL_ID, from_=REMOTE_ID).encode()
    forged = b"\x08" + messages.uvarint(kind) + body[2:]
    for route in (None, ROUTE):
        with pytest.raises(MalformedPeerData):
            decode_message(forged, route)


def test_only_a_snapshot_message_has_a_snapshot() -> None:
    snap = raftpb.Message(type=MessageType.SNAP, to=LOCAL_ID, from_=REMOTE_ID).encode()
    assert decode_message(snap, ROUTE).snapshot == Snapshot()
    vote = raftpb.Message(type=MessageType.VOTE, to=LOCAL_ID, from_=REMOTE_ID).encode()
    assert decode_message(vote, ROUTE).snapshot is None


def test_any_bytes_decode_alike_with_and_without_expected_ids_or_are_malformed() -> None:
    rng = random.Random(3)
    for _ in range(ROUNDS):
        data = bytearray(encode_message(random_message(rng)))
        for _ in range(rng.choice((1, 1, 2, 5))):
            match rng.randrange(4):
                case 0:
                    data[rng.randrange(len(data))] = rng.getrandbits(8)
                case 1:
                    del data[rng.randrange(len(data)) :]
                case 2:
                    at = rng.randrange(len(data) + 1)
                    data[at:at] = messages.uvarint(number(rng))
                case _:
                    data += rng.randbytes(3)
            data = data or bytearray(b"\x08")
        assert outcome(bytes(data), None) == outcome(bytes(data), ROUTE), data.hex()


def outcome(data: bytes, route: Route | None) -> Message | None:
    try:
        return decode_message(data, route)
    except MalformedPeerData:
        return None
