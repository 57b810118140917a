"""Ends of key ranges.  A range is [key, end); end `\\0` means: to the last key."""

from __future__ import annotations

FROM_KEY = b"\0"


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range that holds exactly the keys starting with `prefix`."""
    head = prefix.rstrip(b"\xff")
    if not head:
        return FROM_KEY
    return head[:-1] + bytes((head[-1] + 1,))
