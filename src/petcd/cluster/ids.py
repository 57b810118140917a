"""Member and cluster ids, computed as etcd computes them.

Both are the first eight bytes, big endian, of a SHA-1. Members of one cluster must compute the
same ids from the same `--initial-cluster`, so the rule is part of the protocol.
"""

import hashlib
from collections.abc import Iterable


def _first_eight_bytes(data: bytes) -> int:
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")


def member_id(peer_urls: Iterable[str], token: str, added_unix_s: int | None = None) -> int:
    """Id of the member with these peer URLs in the cluster with this token.

    `added_unix_s` is given only for members added at run time, so that a member which comes
    back with the same URLs is a different one.
    """
    text = "".join(sorted(peer_urls)) + token
    if added_unix_s is not None:
        text += str(added_unix_s)
    return _first_eight_bytes(text.encode())


def cluster_id(member_ids: Iterable[int]) -> int:
    """Id of a new cluster with these first members."""
    return _first_eight_bytes(b"".join(i.to_bytes(8, "big") for i in sorted(member_ids)))


def format_id(number: int) -> str:
    """An id as etcd shows it: lower-case hexadecimal without padding."""
    return f"{number:x}"


def parse_id(text: str) -> int:
    """The inverse of `format_id`; raises ValueError on anything else than 64-bit hexadecimal."""
    number = int(text, 16)
    if not 0 <= number < 1 << 64:
        raise ValueError(f"id out of range: {text}")
    return number
