"""Protocol Buffers' variable-length integers: seven bits a byte, low bits first, top bit = more.

The one place where ``DecodeError`` and the primitive operations live, so that the general codec
and the hot codecs share them without importing each other.

Invariants: a varint has at most ten bytes; of the tenth only the lowest bit counts, whatever
lies above 64 bits is dropped, as etcd's own decoder does.  Signed numbers travel as their
64-bit two's complement.  Zigzag and fixed-width numbers do not occur in etcd's messages.

Source: the Protocol Buffers encoding specification.
"""

from __future__ import annotations

MASK_64 = 0xFFFF_FFFF_FFFF_FFFF
SIGN_64 = 1 << 63
# A varint carries 64 bits in groups of 7.  More bytes are an error in every implementation.
VARINT_BYTES_MAX = 10

# Numbers of one or two bytes (lengths, tags, counters) are kept once encoded: at most 16,384.
_SMALL_END = 1 << 14
_small: dict[int, bytes] = {}


class DecodeError(ValueError):
    """The bytes are not an encoded message; the text says why (for logs, not for clients)."""


def uvarint(n: int) -> bytes:
    """Encode ``0 <= n < 2**64``; 1 to 10 bytes.  ValueError outside that range."""
    if n < _SMALL_END:
        known = _small.get(n)
        return _encode_small(n) if known is None else known
    if n < 1 << 21:
        return bytes((n & 127 | 128, n >> 7 & 127 | 128, n >> 14))
    if n < 1 << 28:
        return bytes((n & 127 | 128, n >> 7 & 127 | 128, n >> 14 & 127 | 128, n >> 21))
    if n < 1 << 35:
        a = n & 127 | 128
        return bytes((a, n >> 7 & 127 | 128, n >> 14 & 127 | 128, n >> 21 & 127 | 128, n >> 28))
    return _encode_long(n)


def svarint(n: int) -> bytes:
    """Encode ``-2**63 <= n < 2**63`` as 64-bit two's complement; ValueError outside."""
    if n >= SIGN_64 or n < -SIGN_64:
        raise ValueError(f"{n} does not fit into 64 bits")
    return uvarint(n & MASK_64)


def _encode_small(n: int) -> bytes:
    if n < 0:
        raise ValueError(f"{n} is negative")
    encoded = bytes((n,)) if n < 128 else bytes((n & 127 | 128, n >> 7))
    _small[n] = encoded
    return encoded


def _encode_long(n: int) -> bytes:
    """Five bytes and more.

    The low 56 bits become eight bytes at once: halves of 28 bits move 4 apart, then quarters of
    14 bits 2 apart, then eighths of 7 bits 1 apart, which leaves each byte's top bit free.
    """
    x = n & 0xFFFFFFF | (n & 0xFFFFFFF0000000) << 4
    x = x & 0x00003FFF00003FFF | (x & 0x0FFFC0000FFFC000) << 2
    x = x & 0x007F007F007F007F | (x & 0x3F803F803F803F80) << 1
    if n >= 1 << 56:
        head = (x | 0x8080808080808080).to_bytes(8, "little")
        if n < SIGN_64:
            return head + bytes((n >> 56,))
        if n > MASK_64:
            raise ValueError(f"{n} does not fit into 64 bits")
        return head + bytes((n >> 56 & 127 | 128, 1))
    size = (n.bit_length() + 6) // 7
    more = 0x80808080808080 & (1 << 8 * (size - 1)) - 1
    return (x | more).to_bytes(size, "little")


def read_varint(data: bytes, pos: int) -> tuple[int, int]:
    """Read the varint at ``pos``: its value (0 <= value < 2**64) and the position behind it.

    Raises IndexError when ``data`` ends inside the varint, DecodeError when it is too long.
    """
    byte = data[pos]
    if byte < 128:
        return byte, pos + 1
    value = byte & 127
    byte = data[pos + 1]
    if byte < 128:
        return value | byte << 7, pos + 2
    value |= (byte & 127) << 7
    byte = data[pos + 2]
    if byte < 128:
        return value | byte << 14, pos + 3
    value |= (byte & 127) << 14
    shift = 21
    pos += 3
    while True:
        byte = data[pos]
        pos += 1
        if byte < 128:
            return (value | byte << shift) & MASK_64, pos
        value |= (byte & 127) << shift
        shift += 7
        if shift >= 7 * VARINT_BYTES_MAX:
            raise DecodeError(f"varint longer than {VARINT_BYTES_MAX} bytes")
