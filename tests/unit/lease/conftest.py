"""What the tests of the lease room share."""

from collections.abc import Iterator

import pytest


class RecordingBackend:
    """A backend of dicts that keeps everything in order and counts what is written."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.writes = 0

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None:
        assert bucket == b"lease"
        self.rows[key] = value
        self.writes += 1

    def delete(self, bucket: bytes, key: bytes) -> None:
        assert bucket == b"lease"
        self.rows.pop(key, None)
        self.writes += 1

    def scan(
        self, bucket: bytes, start: bytes, end: bytes | None, limit: int = 0
    ) -> Iterator[tuple[bytes, bytes]]:
        assert bucket == b"lease"
        for key in sorted(self.rows):
            if key >= start and (end is None or key < end):
                yield key, self.rows[key]


@pytest.fixture
def backend() -> RecordingBackend:
    return RecordingBackend()


@pytest.fixture(scope="session")
def new_backend() -> type[RecordingBackend]:
    return RecordingBackend
