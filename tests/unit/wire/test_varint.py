"""Varints: every length, every edge, and what is too long or too short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.wire.varint import DecodeError, read_varint, svarint, uvarint

EDGES = sorted({(1 << bits) + d for bits in range(65) for d in (-1, 0, 1)} & set(range(1 << 20)))
LONG_EDGES = [(1 << bits) + d for bits in range(20, 64) for d in (-1, 0, 1)] + [(1 << 64) - 1]


def slow(n: int) -> bytes:
    """The definition: groups of seven bits, lowest first."""
    groups = [n & 127]
    while n := n >> 7:
        groups.append(n & 127)
    return bytes([*(g | 128 for g in groups[:-1]), groups[-1]])


@pytest.mark.parametrize("n", [*EDGES, *LONG_EDGES])
def test_numbers_at_the_edges_of_all_lengths_make_the_round_trip(n: int) -> None:
    encoded = uvarint(n)
    assert encoded == slow(n)
    assert read_varint(b"xx" + encoded + b"\xff\xff", 2) == (n, 2 + len(encoded))


@given(st.integers(0, (1 << 64) - 1))
def test_random_numbers_make_the_round_trip(n: int) -> None:
    assert uvarint(n) == slow(n)
    assert read_varint(uvarint(n), 0) == (n, len(slow(n)))


@pytest.mark.parametrize("n", [-1, -(1 << 63), 1 << 64, (1 << 64) + 5, 1 << 80])
def test_numbers_outside_64_bits_are_refused(n: int) -> None:
    with pytest.raises(ValueError):
        uvarint(n)


def test_signed_numbers_are_twos_complement() -> None:
    assert svarint(-1) == b"\xff" * 9 + b"\x01"
    assert svarint(-(1 << 63)) == b"\x80" * 9 + b"\x01"
    assert svarint((1 << 63) - 1) == b"\xff" * 8 + b"\x7f"
    assert svarint(300) == uvarint(300)


@pytest.mark.parametrize("n", [1 << 63, -(1 << 63) - 1])
def test_signed_numbers_outside_64_bits_are_refused(n: int) -> None:
    with pytest.raises(ValueError):
        svarint(n)


def test_needless_zero_bytes_are_read_as_etcd_reads_them() -> None:
    assert read_varint(b"\x85\x80\x80\x00", 0) == (5, 4)
    assert read_varint(b"\x85" + b"\x80" * 8 + b"\x00", 0) == (5, 10)


def test_bits_above_64_are_dropped() -> None:
    assert read_varint(b"\xff" * 9 + b"\x7f", 0) == ((1 << 64) - 1, 10)
    assert read_varint(b"\x80" * 9 + b"\x02", 0) == (0, 10)


@pytest.mark.parametrize("length", [10, 11, 30])
def test_more_than_ten_bytes_are_an_error(length: int) -> None:
    with pytest.raises(DecodeError, match="longer than 10 bytes"):
        read_varint(b"\x80" * length + b"\x01", 0)


@pytest.mark.parametrize("length", range(10))
def test_the_end_inside_a_varint_is_an_index_error(length: int) -> None:
    with pytest.raises(IndexError):
        read_varint(b"\x80" * length, 0)
