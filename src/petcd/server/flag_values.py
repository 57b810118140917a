"""Reading flag texts: Go's booleans, numbers, durations and URL lists.

The forms are those of Go's flag package and time.ParseDuration, because existing unit files and
scripts were written for them. Every function raises ValueError with a reason for the user.
"""

import ipaddress
import re
from urllib.parse import urlsplit

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_UNIT_S = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def read_bool(text: str) -> bool:
    """A Go boolean."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("parse error")


def read_int(text: str) -> int:
    """A signed decimal or 0x number."""
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError("parse error") from None


def read_uint(text: str) -> int:
    """An unsigned decimal or 0x number."""
    number = read_int(text)
    if number < 0:
        raise ValueError("parse error")
    return number


def read_duration_s(text: str) -> float:
    """A Go duration such as 1h30m or 250ms, in seconds; "0" needs no unit."""
    if text in ("0", "+0", "-0"):
        return 0.0
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    position, total = 0, 0.0
    while position < len(rest):
        part = _DURATION_PART.match(rest, position)
        if part is None:
            raise ValueError(f'time: invalid duration "{text}"')
        total += float(part[1]) * _UNIT_S[part[2]]
        position = part.end()
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * total


def read_list(text: str) -> tuple[str, ...]:
    """A comma-separated list; empty text is an empty list."""
    return tuple(part.strip() for part in text.split(",")) if text else ()


def read_urls(text: str) -> tuple[str, ...]:
    """A comma-separated list of URLs: a known scheme, host and port, no path."""
    return tuple(_checked_url(part) for part in read_list(text))


def _checked_url(text: str) -> str:
    scheme, separator, _ = text.partition("://")
    if not separator:
        raise ValueError(f'parse "{text}": write it as http://HOST:PORT')
    if scheme in ("unix", "unixs"):
        return text
    if scheme not in ("http", "https"):
        raise ValueError(f"URL scheme must be http, https, unix, or unixs: {text}")
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        port = None
    if port is None:
        raise ValueError(f'URL address does not have the form "host:port": {text}')
    if parts.path not in ("", "/"):
        raise ValueError(f"URL must not contain a path: {text}")
    return text.removesuffix("/")


def check_bindable(urls: tuple[str, ...]) -> None:
    """Raise ValueError when a URL to listen on names a host instead of an address."""
    for url in urls:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme in ("unix", "unixs") or host in ("", "localhost"):
            continue
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"expected IP in URL for binding ({url})") from None
