"""gRPC over HTTP/2: status codes, `grpc-message` escaping, `grpc-timeout`, metadata values.

Source: the gRPC protocol page "gRPC over HTTP2"; texts as grpc-go answers them.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from petcd.transport.frames import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    ERROR_NAMES,
    FLOW_CONTROL_ERROR,
    INADEQUATE_SECURITY,
    REFUSED_STREAM,
)

OK = 0
CANCELLED = 1
UNKNOWN = 2
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
ALREADY_EXISTS = 6
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9
ABORTED = 10
OUT_OF_RANGE = 11
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
DATA_LOSS = 15
UNAUTHENTICATED = 16

CODE_NAMES = (
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
)
"""Go's names of the codes, by number: error texts and metrics carry them."""

_TIMEOUT_UNITS = {
    ord("H"): 3600.0,
    ord("M"): 60.0,
    ord("S"): 1.0,
    ord("m"): 1e-3,
    ord("u"): 1e-6,
    ord("n"): 1e-9,
}
_TIMEOUT_S_MAX = 292.0 * 365 * 86400
"""grpc-go clamps at what an int64 of nanoseconds holds."""
_PLAIN = frozenset(range(0x20, 0x7F)) - {0x25}


def percent_encode(message: str) -> bytes:
    """`grpc-message` as it goes on the wire: UTF-8, printable ASCII but `%` as it is, the rest
    %XX."""
    raw = message.encode("utf-8", "replace")
    if all(byte in _PLAIN for byte in raw):
        return raw
    return b"".join([bytes((b,)) if b in _PLAIN else b"%%%02X" % b for b in raw])


def percent_decode(value: bytes) -> str:
    """The text of a `grpc-message`; stray percent signs stay as they are, broken UTF-8 is
    replaced."""
    if b"%" not in value:
        return value.decode("utf-8", "replace")
    head, *rest = value.split(b"%")
    out = [head]
    for piece in rest:
        try:
            out.append(
                bytes.fromhex(piece[:2].decode("ascii")) + piece[2:]
                if len(piece) > 1
                else b"%" + piece
            )
        except ValueError:
            out.append(b"%" + piece)
    return b"".join(out).decode("utf-8", "replace")


def parse_timeout(value: bytes) -> float:
    """Seconds of a `grpc-timeout`. Raises ValueError with grpc-go's text."""
    digits = value[:-1]
    if len(value) <= 9 and digits.isdigit():
        unit = _TIMEOUT_UNITS.get(value[-1])
        if unit is not None:
            return min(int(digits) * unit, _TIMEOUT_S_MAX)
    raise ValueError(_timeout_fault(value))


def _timeout_fault(value: bytes) -> str:
    text = value.decode("utf-8", "replace")
    if len(value) < 2:
        return f'transport: timeout string is too short: "{text}"'
    if len(value) > 9:
        return f'transport: timeout string is too long: "{text}"'
    if value[-1] not in _TIMEOUT_UNITS:
        return f'transport: timeout unit is not recognized: "{text}"'
    return f'strconv.ParseUint: parsing "{text[:-1]}": invalid syntax'


def format_timeout(seconds: float) -> bytes:
    """`grpc-timeout` of at most eight digits, rounded up so that it is never shorter than asked."""
    if seconds <= 0:
        return b"0n"
    for unit, size in ((b"u", 1e-6), (b"m", 1e-3), (b"S", 1.0), (b"M", 60.0)):
        count = int(seconds / size)
        if count * size < seconds:
            count += 1
        if count < 100_000_000:
            return b"%d%s" % (count, unit)
    return b"%dH" % min(int(seconds / 3600) + 1, 99_999_999)


def decode_binary(value: bytes) -> bytes:
    """A `-bin` metadata value (base64 with or without padding). Raises ValueError."""
    try:
        return a2b_base64(value + b"=" * (-len(value) % 4), strict_mode=True)
    except Base64Error as error:
        raise ValueError(f"illegal base64 data: {error}") from None


def encode_binary(value: bytes) -> bytes:
    """A value as it travels under a `-bin` name: base64 without padding."""
    return b2a_base64(value, newline=False).rstrip(b"=")


def is_grpc(content_type: bytes) -> bool:
    """Whether a content-type names gRPC: `application/grpc`, with an optional `+codec` or
    `;parameters`."""
    return content_type[:16] == b"application/grpc" and content_type[16:17] in (b"", b"+", b";")


_OF_HTTP = {
    400: INTERNAL,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: UNIMPLEMENTED,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
}
_OF_RESET = {
    FLOW_CONTROL_ERROR: RESOURCE_EXHAUSTED,
    REFUSED_STREAM: UNAVAILABLE,
    CANCEL: CANCELLED,
    ENHANCE_YOUR_CALM: RESOURCE_EXHAUSTED,
    INADEQUATE_SECURITY: PERMISSION_DENIED,
}


def status_of_http(http_status: int) -> int:
    """gRPC code for an answer that is plain HTTP."""
    return _OF_HTTP.get(http_status, UNKNOWN)


def status_of_reset(code: int) -> tuple[int, str]:
    """gRPC code for a stream that was reset with an HTTP/2 error code, and that code's name."""
    return _OF_RESET.get(code, INTERNAL), ERROR_NAMES.get(code, str(code))
