"""Blocks that differ only in their timeout: a hit must be what decoding would have been."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petcd.transport.grpc_status import parse_timeout
from petcd.transport.hpack import Field, HpackDecoder
from petcd.transport.request_head import RequestHead
from petcd.transport.timed_heads import TimedHeads


def go_fields(path: bytes, timeout: bytes, metadata: list[Field]) -> list[Field]:
    """A request's fields in the order of Go's client."""
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"127.0.0.1:2379"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"grpc-go/1.41.0"),
        (b"te", b"trailers"),
        (b"grpc-timeout", timeout),
        *metadata,
    ]


class Reader:
    """A connection's way through `TimedHeads`: decode and learn what is not found."""

    def __init__(self) -> None:
        self.decoder = HpackDecoder()
        self.timed = TimedHeads(self.decoder)
        self.hits = 0

    def read(self, block: bytes) -> list[Field]:
        head = self.timed.find(block)
        if head is not None:
            self.hits += 1
            timeout = self.decoder.table[-1]
            assert self.timed.timeout_s == parse_timeout(timeout[1])
            at = head.fields.index((b"here", b""))
            return [*head.fields[:at], timeout, *head.fields[at + 1 :]]
        changes = self.decoder.changes
        fields = self.decoder.decode(block)
        for at, field in enumerate(fields):
            if field[0] == b"grpc-timeout":
                learned = RequestHead([*fields[:at], (b"here", b""), *fields[at + 1 :]])
                self.timed.learn(block, at, len(fields), changes, learned)
                break
        return fields


def test_a_go_client_with_a_new_timeout_each_call_is_recognised() -> None:
    encoder = hpack.Encoder()
    encoder.header_table_size = 3072
    reader = Reader()
    for number in range(2000):
        fields = go_fields(b"/etcdserverpb.KV/Put", b"%du" % (4_000_000 + number), [])
        assert reader.read(encoder.encode(fields, huffman=True)) == fields
    assert reader.hits > 1800


_TIMEOUTS = st.integers(0, 99_999_999).map(lambda n: b"%du" % n) | st.sampled_from(
    [b"5S", b"1M", b"60S", b"4999m"]
)
_METADATA = st.lists(
    st.sampled_from(
        [(b"hasleader", b"true"), (b"client-api-version", b"3.5.1"), (b"token", b"t" * 300)]
    ),
    max_size=3,
    unique=True,
)
_CALLS = st.tuples(
    st.sampled_from([b"/etcdserverpb.KV/Put", b"/etcdserverpb.KV/Range", b"/x/" + b"y" * 200]),
    st.none() | _TIMEOUTS,
    _METADATA,
    st.sampled_from([None, None, None, None, 0, 200, 4096, 3072]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_CALLS, st.integers(1, 40)), max_size=12), st.booleans())
def test_any_mix_of_calls_reads_as_plain_decoding_would(
    runs: list[tuple[tuple[bytes, bytes | None, list[Field], int | None], int]], huffman: bool
) -> None:
    encoder = hpack.Encoder()
    plain = HpackDecoder()
    reader = Reader()
    for (path, timeout, metadata, table_size), repeats in runs:
        if table_size is not None:
            encoder.header_table_size = table_size
        for number in range(repeats):
            value = b"%d%s" % (number, timeout[-1:]) if timeout and repeats > 5 else timeout
            fields = go_fields(path, value or b"1S", metadata)
            if timeout is None:
                del fields[7]
            block = encoder.encode(fields, huffman=huffman)
            assert reader.read(block) == plain.decode(block) == fields
            assert reader.decoder.table == plain.table
            assert reader.decoder.size == plain.size


def _known() -> tuple[Reader, bytes]:
    """A reader that knows a form, and a block of that form that is a hit."""
    encoder = hpack.Encoder()
    reader = Reader()
    for number in range(10):
        block = encoder.encode(go_fields(b"/a/b", b"%dm" % (1000 + number), []), huffman=True)
        hits = reader.hits
        reader.read(block)
    assert reader.hits == hits + 1
    encoder.encode(go_fields(b"/a/b", b"77m", []), huffman=True)
    return reader, block


@pytest.mark.parametrize(
    "change",
    [
        lambda block: block[:-1],  # truncated value
        lambda block: block[:8],  # the size byte is the last
        lambda block: block[:7],
        lambda block: block[:2] + b"\xfe" + block[3:],  # an index beyond the table
        lambda block: block[:8] + b"\x8a" + b"\xff" * 10,  # bad Huffman string
        lambda block: block[:8] + b"\x03abc",  # no timeout at all
        lambda block: block[:8] + b"\x0a1234567890",
    ],
)
def test_what_is_not_quite_the_known_form_is_left_to_the_decoder(change: object) -> None:
    assert callable(change)
    reader, block = _known()
    shifted = bytes(b + 1 if 0xBE <= b < 0xFE else b for b in block[:7]) + block[7:]
    table = list(reader.decoder.table)
    assert reader.timed.find(change(shifted)) is None
    assert reader.decoder.table == table
    assert reader.timed.find(shifted) is not None


def test_an_entry_that_has_gone_is_no_hit() -> None:
    reader, block = _known()
    shifted = bytes(b + 1 if 0xBE <= b < 0xFE else b for b in block[:7]) + block[7:]
    del reader.decoder.table[: len(reader.decoder.table) - 9]  # the oldest that it needs goes
    assert reader.timed.find(shifted) is None


def test_a_name_that_is_not_the_newest_entry_is_left_to_the_decoder() -> None:
    reader, block = _known()
    reader.decoder.insert((b"token", b"abc"))
    shifted = bytes(b + 2 if 0xBE <= b < 0xFD else b for b in block[:7]) + block[7:]
    assert reader.timed.find(shifted) is None
