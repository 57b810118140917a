"""The two stream formats: etcd's bytes, any cut, hostile lengths."""

import random

import pytest
from raft_messages import LOCAL_ID, REMOTE_ID, random_appends, random_message

from petcd.peer.errors import MalformedPeerData
from petcd.peer.streams import (
    AppendReader,
    AppendWriter,
    MessageReader,
    MessageWriter,
    frame,
)
from petcd.raft.types import Entry, Message, MessageType

Reader = AppendReader | MessageReader


def app(index: int, term: int = 7, log_term: int = 7, count: int = 1, commit: int = 0) -> Message:
    entries = [Entry(0, term, index + 1 + i, b"x") for i in range(count)]
    return Message(
        MessageType.APP, LOCAL_ID, REMOTE_ID, term, log_term, index, entries, commit or index
    )


def append_reader(limit: int = 1 << 20) -> AppendReader:
    return AppendReader(LOCAL_ID, REMOTE_ID, limit)


def message_reader(limit: int = 1 << 20) -> MessageReader:
    return MessageReader(LOCAL_ID, REMOTE_ID, limit)


def fed(reader: Reader, data: bytes, rng: random.Random | None = None) -> list[Message]:
    """What the reader finds in the bytes, whole or cut at random."""
    found: list[Message] = []
    pos = 0
    while pos < len(data):
        size = len(data) if rng is None else rng.choice((1, 1, 2, 7, 8, 9, 50, 400))
        found += reader.feed(data[pos : pos + size])
        pos += size
    return found


def test_the_append_stream_has_the_bytes_that_etcd_writes() -> None:
    writer = AppendWriter()
    first = app(5, commit=5)
    assert writer.encode(first) == b"\x02" + frame(first)
    entry = bytes.fromhex("08001007180722") + b"\x01x"
    expected = "01" + "00" * 7 + "01" + "00" * 7 + "09" + entry.hex() + "00" * 7 + "06"
    assert writer.encode(app(6, commit=6)).hex() == expected
    assert writer.heartbeat == b"\0"


@pytest.mark.parametrize(
    "second",
    [app(5), app(7), app(6, term=8, log_term=8), app(6, term=8), app(6, log_term=6)],
    ids=["behind", "ahead", "new term", "old log term", "older log term"],
)
def test_an_append_that_does_not_follow_the_last_is_written_whole(second: Message) -> None:
    writer = AppendWriter()
    writer.encode(app(5))
    assert writer.encode(second)[0] == 2


def test_the_message_stream_announces_each_length() -> None:
    message = Message(MessageType.APP_RESP, LOCAL_ID, REMOTE_ID, 7, 0, 9)
    encoded = MessageWriter().encode(message)
    assert int.from_bytes(encoded[:8], "big") == len(encoded) - 8


@pytest.mark.parametrize("cut", [False, True])
def test_appends_read_back_however_they_are_cut(cut: bool) -> None:
    rng = random.Random(4)
    for _ in range(30):
        messages = random_appends(rng, 30)
        writer = AppendWriter()
        stream = b"".join(
            writer.heartbeat * rng.randrange(2) + writer.encode(message) for message in messages
        )
        assert fed(append_reader(), stream, rng if cut else None) == messages


@pytest.mark.parametrize("cut", [False, True])
def test_messages_read_back_however_they_are_cut(cut: bool) -> None:
    rng = random.Random(5)
    writer = MessageWriter()
    for _ in range(20):
        messages = [random_message(rng) for _ in range(30)]
        stream = b"".join(
            writer.heartbeat * rng.randrange(2) + writer.encode(message) for message in messages
        )
        assert fed(message_reader(), stream, rng if cut else None) == messages


def test_a_written_stream_starts_anew_with_each_connection() -> None:
    AppendWriter().encode(app(5))
    assert AppendWriter().encode(app(6))[0] == 2


@pytest.mark.parametrize(
    ("reader", "stream"),
    [
        (message_reader(99), (100).to_bytes(8, "big")),
        (message_reader(), b"\xff" * 8),
        (append_reader(99), b"\x02" + (100).to_bytes(8, "big")),
        (append_reader(), b"\x02" + b"\xff" * 8),
        (append_reader(), b"\x01" + b"\xff" * 8),
        (append_reader(), b"\x01" + (1).to_bytes(8, "big") + b"\xff" * 8),
        (append_reader(), b"\x03"),
        (append_reader(), b"\xff"),
        (append_reader(), b"\x02" + (2).to_bytes(8, "big") + b"\x08\xff"),
        (append_reader(), b"\x01" + (1).to_bytes(8, "big") + (1).to_bytes(8, "big") + b"\xff"),
        (message_reader(), (1).to_bytes(8, "big") + b"\xff"),
    ],
)
def test_hostile_lengths_and_kinds_are_malformed(reader: Reader, stream: bytes) -> None:
    with pytest.raises(MalformedPeerData):
        fed(reader, stream)


def test_entries_of_one_append_are_bounded_together() -> None:
    writer = AppendWriter()
    stream = writer.encode(app(5)) + writer.encode(app(6, count=20))
    with pytest.raises(MalformedPeerData):
        fed(append_reader(200), stream)
    assert len(fed(append_reader(400), stream)) == 2


def test_entries_that_do_not_follow_one_another_are_malformed() -> None:
    writer = AppendWriter()
    gap = app(6)
    gap.entries[0].index = 9
    stream = writer.encode(app(5)) + writer.encode(gap)
    with pytest.raises(MalformedPeerData):
        fed(append_reader(), stream)


def test_any_bytes_are_read_or_malformed() -> None:
    rng = random.Random(6)
    for round_ in range(400):
        writer = AppendWriter()
        good = b"".join(writer.encode(message) for message in random_appends(rng, 5))
        if round_ % 2:
            good = b"".join(frame(random_message(rng)) for _ in range(5))
        data = bytearray(good)
        for _ in range(rng.choice((1, 3))):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 255, rng.getrandbits(8)))
        whole = outcome(message_reader() if round_ % 2 else append_reader(), bytes(data), None)
        parts = outcome(message_reader() if round_ % 2 else append_reader(), bytes(data), rng)
        assert whole == parts, data.hex()


def outcome(reader: Reader, data: bytes, rng: random.Random | None) -> list[Message] | None:
    try:
        return fed(reader, data, rng)
    except MalformedPeerData:
        return None
