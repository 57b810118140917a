"""Protocol Buffers' variable-length integers: seven bits a byte, low bits first, top bit = more.

The one place where ``DecodeError`` and the two primitive operations live, so that the general
codec and the hot codecs share them without importing each other.

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


class DecodeError(ValueError):
    """The bytes are not an encoded message; the text says why (for logs, not for clients)."""


def _encode(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def uvarint(n: int) -> bytes:
    """Encode ``0 <= n < 2**64``; 1 to 10 bytes."""
    if n < 128:
        return bytes((n,))
    if n < 16384:
        return bytes((n & 127 | 128, n >> 7))
    return _encode(n)


def read_varint(data: bytes, pos: int) -> tuple[int, int]:
    """Read the varint at ``pos``: its value (0 <= value < 2**64) and the position behind it.

    Raises IndexError when ``data`` ends inside the varint, DecodeError when it is too long.
    """
    byte = data[pos]
    pos += 1
    if byte < 128:
        return byte, pos
    value = byte & 127
    shift = 7
    while True:
        byte = data[pos]
        pos += 1
        if byte < 128:
            return (value | byte << shift) & MASK_64, pos
        value |= (byte & 127) << shift
        shift += 7
        if shift >= 7 * VARINT_BYTES_MAX:
            raise DecodeError(f"varint longer than {VARINT_BYTES_MAX} bytes")
