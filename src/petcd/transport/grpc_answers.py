"""Ready-made bytes of gRPC answers, and what the client's HPACK table holds of them.

The first answer of a connection enters content-type and `grpc-status: 0` into the client's table;
from then on the header block of a good answer is two bytes and its trailers are one. A client whose
table is smaller than the default gets literals instead. Everything else (errors) is always literal
and touches no table.
"""

from __future__ import annotations

from petcd.transport.grpc_status import percent_encode
from petcd.transport.hpack import Field, encode_block, encode_literal

HEAD_START = b"\0\0\x02\x01\x04"
"""HEADERS frame of an indexed answer, before the stream id."""
TAIL_START = b"\0\0\x01\x01\x05"
"""Its trailers' frame, before the stream id."""
TAIL_BLOCK = b"\xbe"
"""`grpc-status: 0` at index 62."""
_HEAD_BLOCK = b"\x88\xbf"
"""`:status: 200`, and content-type at index 63."""

SMALL_BODY = 1024
"""Bodies shorter than this have their frame headers ready."""
DATA_START = [_HEAD_BLOCK + (n + 5).to_bytes(3, "big") + b"\0\0" for n in range(SMALL_BODY)]
"""By body size: the header block of the answer, then its DATA frame up to the stream id."""
MESSAGE_PREFIX = [b"\0" + n.to_bytes(4, "big") for n in range(SMALL_BODY)]
"""By body size: not compressed, length."""

_CONTENT_TYPE = (b"content-type", b"application/grpc")
_OK = (b"grpc-status", b"0")


class AnswerBlocks:
    """`indexed` is true once both fields are in the client's table, which the fast path relies
    on."""

    __slots__ = ("_head", "_literal", "_resize", "_tail", "indexed")

    def __init__(self) -> None:
        self._head = b"\x88" + encode_literal(*_CONTENT_TYPE, first=0x40)
        self._tail = encode_literal(*_OK, first=0x40)
        self._literal = False
        self._resize = b""
        self.indexed = False

    def use_literals(self) -> None:
        """The client's table is smaller than the default: leave it empty from now on."""
        self._head = b"\x88" + encode_literal(*_CONTENT_TYPE)
        self._tail = encode_literal(*_OK)
        self._literal = True
        self._resize = b"\x20"
        self.indexed = False

    def begin(self) -> bytes:
        """What must precede the next block: a table size update when one is due."""
        resize = self._resize
        self._resize = b""
        return resize

    def head(self) -> bytes:
        """The block before the first message."""
        block = self.begin() + self._head
        if not self._literal and not self.indexed:
            self._head = b"\x88\xbe"
        return block

    def good_trailers(self) -> bytes:
        """The block of status OK behind the last message. `head` has been called before."""
        block = self.begin() + self._tail
        if not self._literal:
            self._head = _HEAD_BLOCK
            self._tail = TAIL_BLOCK
            self.indexed = True
        return block

    def bad_trailers(self, code: int, message: str) -> bytes:
        """The block of an error behind the last message."""
        return self.begin() + encode_block(_status_fields(code, message))

    def status_only(self, code: int, message: str, http_status: int = 200) -> bytes:
        """The only block of a call that ends without a message."""
        fields = [(b":status", b"%d" % http_status), _CONTENT_TYPE]
        return self.begin() + encode_block(fields + _status_fields(code, message))


def _status_fields(code: int, message: str) -> list[Field]:
    fields = [(b"grpc-status", b"%d" % code)]
    if message:
        fields.append((b"grpc-message", percent_encode(message)))
    return fields
