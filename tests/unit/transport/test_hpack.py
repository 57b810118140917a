"""HPACK: our decoder against the `hpack` package, our encoder decoded by it, and the bounds."""

from __future__ import annotations

import hpack
import pytest
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable
from hypothesis import given, settings
from hypothesis import strategies as st

from petcd.transport.hpack import (
    HpackDecoder,
    HpackError,
    encode_block,
    encode_integer,
    encode_literal,
)
from petcd.transport.hpack_static import STATIC_TABLE
from petcd.transport.huffman import HuffmanError, huffman_decode
from petcd.transport.limits import HEADER_LIST_BYTES_MAX

_NAMES = st.sampled_from(
    [b":path", b":method", b"grpc-timeout", b"te", b"token", b"x-" + b"n" * 40]
) | st.binary(min_size=1, max_size=20)
_VALUES = st.sampled_from([b"", b"POST", b"/", b"trailers"]) | st.binary(max_size=300)
_FIELDS = st.lists(st.tuples(_NAMES, _VALUES), max_size=12)


def huffman_encode(data: bytes) -> bytes:
    """By the package's table, bit by bit."""
    bits = "".join(format(REQUEST_CODES[b], f"0{REQUEST_CODES_LENGTH[b]}b") for b in data)
    bits += "1" * (-len(bits) % 8)
    return int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:] if bits else b""


def test_the_static_table_is_the_packages() -> None:
    assert STATIC_TABLE[1:] == tuple(HeaderTable.STATIC_TABLE)


@given(st.binary(max_size=400))
def test_every_huffman_string_decodes_to_what_was_encoded(data: bytes) -> None:
    assert huffman_decode(huffman_encode(data)) == data


def test_every_symbol_decodes_after_every_other() -> None:
    for first in range(256):
        data = bytes([first]) + bytes(range(256))
        assert huffman_decode(huffman_encode(data)) == data


@pytest.mark.parametrize(
    "bad",
    [
        b"\xff",  # eight bits of padding
        huffman_encode(b"a") + b"\xff",
        b"\x1e",  # `a` is 00011, then padding that is not all ones
        b"\xff\xff\xff\xff",  # the end-of-string symbol
        huffman_encode(b"abc") + b"\xff\xff\xff\xfc",
    ],
)
def test_bad_padding_and_the_end_of_string_symbol_are_refused(bad: bytes) -> None:
    with pytest.raises(HuffmanError):
        huffman_decode(bad)


@given(st.binary(max_size=40))
def test_random_bits_decode_as_the_package_does_or_are_refused_by_both(data: bytes) -> None:
    from hpack.huffman_table import decode_huffman

    try:
        expected: bytes | None = bytes(decode_huffman(data))
    except hpack.HPACKDecodingError:
        expected = None
    try:
        found: bytes | None = huffman_decode(data)
    except HuffmanError:
        found = None
    assert found == expected


@settings(max_examples=300)
@given(st.lists(st.tuples(_FIELDS, st.booleans(), st.sampled_from([None, 0, 100, 4096]))))
def test_a_sequence_of_blocks_decodes_to_the_same_fields_and_the_same_table(
    blocks: list[tuple[list[tuple[bytes, bytes]], bool, int | None]],
) -> None:
    encoder = hpack.Encoder()
    decoder = HpackDecoder()
    for fields, huffman, table_size in blocks:
        if table_size is not None:
            encoder.header_table_size = table_size
        assert decoder.decode(encoder.encode(fields, huffman=huffman)) == fields
        newest_first = list(encoder.header_table.dynamic_entries)
        assert list(reversed(decoder.table)) == newest_first
        assert decoder.size == sum(len(n) + len(v) + 32 for n, v in decoder.table)


@settings(max_examples=500)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_random_blocks_decode_as_the_package_does_or_are_refused(blocks: list[bytes]) -> None:
    theirs = hpack.Decoder()
    ours = HpackDecoder()
    for block in blocks:
        try:
            found = ours.decode(block)
        except HpackError:
            return
        try:
            expected = [(bytes(n), bytes(v)) for n, v in theirs.decode(block, raw=True)]
        except hpack.HPACKError as error:
            raise AssertionError(f"only we accept {block.hex()}") from error
        assert found == expected


@given(_FIELDS)
def test_what_we_encode_the_package_decodes_and_no_table_changes(
    fields: list[tuple[bytes, bytes]],
) -> None:
    theirs = hpack.Decoder()
    block = encode_block(fields)
    assert [(bytes(n), bytes(v)) for n, v in theirs.decode(block, raw=True)] == fields
    assert not theirs.header_table.dynamic_entries
    ours = HpackDecoder()
    assert ours.decode(block) == fields and ours.changes == 0


@given(st.integers(0, 2**28 - 1), st.sampled_from([0x7F, 0x3F, 0x1F, 0x0F]))
def test_integers_are_encoded_as_the_package_does(value: int, prefix: int) -> None:
    assert encode_integer(value, prefix, 0) == hpack.hpack.encode_integer(
        value, prefix.bit_length()
    )


def test_fields_that_enter_the_table_can_be_referred_to() -> None:
    decoder = HpackDecoder()
    assert decoder.decode(encode_literal(b"content-type", b"application/grpc", 0x40)) == [
        (b"content-type", b"application/grpc")
    ]
    assert decoder.decode(b"\xbe") == [(b"content-type", b"application/grpc")]
    assert decoder.changes == 1


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbe",  # beyond the empty table
        b"\xff\x00",
        b"\x7e\x01x",  # a name beyond the table
        b"\x40\x05ab",  # truncated name
        b"\x40\x01a",  # value missing
        b"\x40\x01a\x05b",  # truncated value
        b"\x7f\xff\xff\xff\xff\xff\xff\xff",  # endless integer
        b"\xff\x80\x80\x80\x80\x80\x80\x01",
        b"\x3f\xff\x1f",  # table size above 4096
        b"\x82\x20",  # size update behind a field
        b"\x40\x81\xff\x01x",  # bad Huffman padding
    ],
)
def test_malformed_blocks_are_refused(block: bytes) -> None:
    with pytest.raises(HpackError) as caught:
        HpackDecoder().decode(block)
    assert not caught.value.too_large


def test_a_table_size_update_empties_the_table_and_counts_as_a_change() -> None:
    decoder = HpackDecoder()
    decoder.decode(encode_literal(b"a", b"b", 0x40))
    before = decoder.changes
    assert decoder.decode(b"\x20\x3f\xe1\x1f\x83") == [(b":method", b"POST")]
    assert decoder.table == [] and decoder.size == 0 and decoder.changes > before
    assert decoder.max_size == 4096


def test_an_entry_larger_than_the_table_empties_it() -> None:
    decoder = HpackDecoder()
    decoder.decode(encode_literal(b"a", b"b", 0x40))
    decoder.decode(encode_literal(b"a", b"b" * 5000, 0x40))
    assert decoder.table == [] and decoder.size == 0


def test_a_header_list_of_exactly_the_limit_passes_and_one_byte_more_is_refused() -> None:
    value = b"v" * (HEADER_LIST_BYTES_MAX - 32 - 1)
    assert HpackDecoder().decode(encode_block([(b"a", value)])) == [(b"a", value)]
    with pytest.raises(HpackError) as caught:
        HpackDecoder().decode(encode_block([(b"a", value + b"v")]))
    assert caught.value.too_large


def test_a_hundred_fields_pass_and_one_more_is_refused() -> None:
    assert len(HpackDecoder().decode(b"\x82" * 100)) == 100
    with pytest.raises(HpackError) as caught:
        HpackDecoder().decode(b"\x82" * 101)
    assert caught.value.too_large
