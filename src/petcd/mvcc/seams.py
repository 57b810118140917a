"""What the store needs from others: a backend with ordered buckets, and a book of leases.

Only the parts that ``mvcc`` calls; the storage room's backends and the lessor have more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class ReadView(Protocol):
    """Something whose buckets can be read in key order."""

    def scan_chunks(
        self, bucket: bytes, start: bytes, end: bytes | None, rows: int
    ) -> Iterator[list[tuple[bytes, bytes]]]:
        """The pairs with ``start <= key < end`` (None: no end) in key order, up to ``rows`` a list.

        The iterator may be kept over writes; it need not show those below where it stands.
        """
        ...


class Backend(ReadView, Protocol):
    """Ordered buckets of bytes; reads see every earlier write, committed or not."""

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """The value, None when the key is absent."""
        ...

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None:
        """Set a key."""
        ...

    def delete(self, bucket: bytes, key: bytes) -> None:
        """Remove a key."""
        ...


class LeaseBook(Protocol):
    """Who knows the leases; told which keys hang on which lease."""

    def exists(self, lease_id: int) -> bool:
        """Whether the lease is granted and not revoked."""
        ...

    def attach(self, lease_id: int, key: bytes) -> None:
        """The key now ends with this lease (called only for a lease that exists)."""
        ...

    def detach(self, lease_id: int, key: bytes) -> None:
        """The key no longer hangs on this lease (called only for a lease that exists)."""
        ...
