"""A request's header fields understood once: which method, which deadline, or why it is refused.

`understand` is pure. A connection remembers its results by header block, so that a repeated request
costs one lookup. Refusals follow grpc-go: a malformed request is reset, a gRPC request that breaks
gRPC's own rules gets an HTTP status with a gRPC status beside it, an unknown method gets status 200
and UNIMPLEMENTED.
"""

from __future__ import annotations

from petcd.transport import grpc_status as status
from petcd.transport.compression import GZIP
from petcd.transport.grpc_status import decode_binary, is_grpc, parse_timeout
from petcd.transport.hpack import Field
from petcd.transport.router import Method, Router

_RESERVED = frozenset(
    (
        b":method",
        b":scheme",
        b":path",
        b"te",
        b"grpc-timeout",
        b"grpc-encoding",
        b"grpc-accept-encoding",
        b"grpc-message",
        b"grpc-status",
        b"grpc-message-type",
    )
)
_CONNECTION_SPECIFIC = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_REQUEST_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))


class Refusal:
    """How a gRPC request is turned away before any handler sees it."""

    __slots__ = ("code", "http_status", "text")

    def __init__(self, http_status: int, code: int, text: str) -> None:
        self.http_status = http_status
        self.code = code
        self.text = text


class RequestHead:
    """What a header block asks for. Exactly one of: `method`, `refusal`, `is_http`, `malformed`.

    With `is_gzip` its messages may be compressed."""

    __slots__ = ("fields", "is_gzip", "is_http", "malformed", "method", "refusal", "timeout_s")

    def __init__(self, fields: list[Field]) -> None:
        self.fields = fields
        self.method: Method | None = None
        self.refusal: Refusal | None = None
        self.is_http = False
        self.is_gzip = False
        self.malformed = ""
        self.timeout_s: float | None = None

    def with_timeout(self, timeout_s: float) -> RequestHead:
        """The same request with a timeout."""
        head = RequestHead(self.fields)
        head.method = self.method
        head.refusal = self.refusal
        head.is_http = self.is_http
        head.is_gzip = self.is_gzip
        head.malformed = self.malformed
        head.timeout_s = timeout_s
        return head

    def metadata(self) -> dict[bytes, bytes]:
        """Names to values as a handler sees them: without HTTP/2's and gRPC's own, `-bin`
        decoded."""
        found: dict[bytes, bytes] = {}
        for name, value in self.fields:
            if name in _RESERVED or name in found:
                continue
            found[name] = decode_binary(value.split(b",")[0]) if name[-4:] == b"-bin" else value
        return found

    def first(self, name: bytes) -> bytes | None:
        """The first value of a field, None when it is absent."""
        for field in self.fields:
            if field[0] == name:
                return field[1]
        return None


def understand(fields: list[Field], router: Router, http: bool) -> RequestHead:
    """Classify a request. `http` tells whether requests that are not gRPC have somewhere to go."""
    head = RequestHead(fields)
    head.malformed = _malformed(fields)
    if head.malformed:
        return head
    content_type = head.first(b"content-type") or b""
    if not is_grpc(content_type):
        if http:
            head.is_http = True
        else:
            text = content_type.decode("utf-8", "replace")
            head.refusal = Refusal(
                415, status.INVALID_ARGUMENT, f'invalid gRPC request content-type "{text}"'
            )
        return head
    head.refusal = _refusal(head)
    if head.refusal is None:
        path = head.first(b":path") or b""
        head.method = router.find(path)
        if head.method is None:
            code, text = router.refusal(path)
            head.refusal = Refusal(200, code, text)
    return head


def _malformed(fields: list[Field]) -> str:
    """Why a request breaks HTTP/2 (RFC 9113, 8.2 and 8.3), or empty."""
    pseudo: set[bytes] = set()
    regular = False
    for name, value in fields:
        if name[:1] == b":":
            if regular:
                return "pseudo-header field after a regular one"
            if name in pseudo or name not in _REQUEST_PSEUDO:
                return "unknown or repeated pseudo-header field"
            pseudo.add(name)
        else:
            regular = True
            if name in _CONNECTION_SPECIFIC:
                return "connection-specific header field"
            if not name or name != name.lower():
                return "empty or upper-case field name"
            if name == b"te" and value != b"trailers":
                return "te other than trailers"
        if b"\0" in value or b"\n" in value or b"\r" in value:
            return "control character in a field value"
    if not pseudo.issuperset((b":method", b":scheme", b":path")):
        return "pseudo-header field missing"
    return ""


def _refusal(head: RequestHead) -> Refusal | None:
    hosts = sum(name == b"host" for name, _ in head.fields)
    if hosts > 1:
        text = (
            f"num values of :authority: {int(head.first(b':authority') is not None)}, "
            f"num values of host: {hosts}, both must only have 1 value as per HTTP/2 spec"
        )
        return Refusal(400, status.INTERNAL, text)
    timeout = head.first(b"grpc-timeout")
    if timeout is not None:
        try:
            head.timeout_s = parse_timeout(timeout)
        except ValueError as error:
            return Refusal(400, status.INTERNAL, f"malformed grpc-timeout: {error}")
    for name, value in head.fields:
        if name[-4:] == b"-bin":
            try:
                decode_binary(value.split(b",")[0])
            except ValueError as error:
                text = f'malformed binary metadata "{value.decode("utf-8", "replace")}" in header '
                text += f'"{name.decode("utf-8", "replace")}": {error}'
                return Refusal(400, status.INTERNAL, text)
    method = head.first(b":method") or b""
    if method != b"POST":
        verb = method.decode("utf-8", "replace")
        text = f'Received a HEADERS frame with :method "{verb}" which should be POST'
        return Refusal(405, status.INTERNAL, text)
    encoding = head.first(b"grpc-encoding")
    head.is_gzip = encoding == GZIP
    if encoding not in (None, b"", b"identity", GZIP):
        name_text = encoding.decode("utf-8", "replace") if encoding else ""
        text = f'grpc: Decompressor is not installed for grpc-encoding "{name_text}"'
        return Refusal(200, status.UNIMPLEMENTED, text)
    return None
