"""Notes: what v2 must know of a revision beyond the rows of the store.

    bucket `v2`    key: main revision, 8 bytes big endian
                   value: action, 1 byte | flags, 1 | created index, 8 | expiration ns, 8 | path

Most revisions need none: a put is read as `set` with the revision as its created index, a delete of
a key as `delete`. A note says which other action it was, that it was done to a directory, when the
node expires, which created index an update kept, or that watchers are not to be woken.

Invariants: a note belongs to the one event of its revision; it is written in the batch of the rows
and lives as long as one of them can be read or watched.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from struct import Struct
from typing import Protocol

from petcd.member.v2 import nodes
from petcd.mvcc.store import Store
from petcd.wire.hot import decode_kv_meta
from petcd.wire.kv import RangeRequest

BUCKET = b"v2"
# The order is the format: new names go to the end.
ACTIONS = (
    *(nodes.SET, nodes.CREATE, nodes.UPDATE, nodes.COMPARE_AND_SWAP),
    *(nodes.DELETE, nodes.COMPARE_AND_DELETE, nodes.EXPIRE),
)
_NUMBERS = {name: number for number, name in enumerate(ACTIONS)}
_IS_DIR, _REFRESH = 1, 2
_HEAD = Struct(">BBQq")
# Notes looked at between two yields of `trim_steps`: 5 to 10 us each.
SLICE_NOTES = 200


class NoteBackend(Protocol):
    """What notes need of the backend."""

    def get(self, bucket: bytes, key: bytes) -> bytes | None: ...

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None: ...

    def delete(self, bucket: bytes, key: bytes) -> None: ...

    def scan(
        self, bucket: bytes, start: bytes, end: bytes | None, limit: int = 0
    ) -> Iterator[tuple[bytes, bytes]]: ...


class Note:
    """One note; `created` 0: the revision itself, `expiration_ns` 0: never."""

    __slots__ = ("action", "created", "expiration_ns", "is_dir", "path", "refresh")

    def __init__(
        self,
        action: str,
        path: bytes,
        is_dir: bool = False,
        created: int = 0,
        expiration_ns: int = 0,
        refresh: bool = False,
    ) -> None:
        self.action = action
        self.path = path
        self.is_dir = is_dir
        self.created = created
        self.expiration_ns = expiration_ns
        self.refresh = refresh

    @property
    def key(self) -> bytes:
        """The key of the store that the event is about."""
        return self.path + b"/" if self.is_dir else self.path

    @property
    def says_something(self) -> bool:
        """Whether it differs from what is assumed without a note."""
        return bool(
            self.action not in (nodes.SET, nodes.DELETE)
            or self.is_dir
            or self.created
            or self.expiration_ns
            or self.refresh
        )

    def encode(self) -> bytes:
        """The value of the row."""
        flags = (_IS_DIR if self.is_dir else 0) | (_REFRESH if self.refresh else 0)
        number = _NUMBERS[self.action]
        return _HEAD.pack(number, flags, self.created, self.expiration_ns) + self.path

    @classmethod
    def decode(cls, data: bytes) -> Note:
        """Inverse of `encode`."""
        number, flags, created, expiration_ns = _HEAD.unpack_from(data)
        return cls(
            ACTIONS[number],
            data[_HEAD.size :],
            bool(flags & _IS_DIR),
            created,
            expiration_ns,
            bool(flags & _REFRESH),
        )


class Notes:
    """The bucket of notes."""

    __slots__ = ("_any", "_backend", "_trimmed")

    def __init__(self, backend: NoteBackend) -> None:
        self._backend = backend
        self._any = True
        self._trimmed = 0  # up to here notes were looked through since the start

    def load(self) -> None:
        """Look whether there are notes at all; without one, looking for them costs nothing."""
        self._any = any(True for _ in self._backend.scan(BUCKET, b"", None, 1))

    def get(self, revision: int) -> Note | None:
        """The note of a revision."""
        if not self._any:
            return None
        data = self._backend.get(BUCKET, revision.to_bytes(8, "big"))
        return None if data is None else Note.decode(data)

    def put(self, revision: int, note: Note) -> None:
        """Write a note, unless it says nothing."""
        if note.says_something:
            self._any = True
            self._backend.put(BUCKET, revision.to_bytes(8, "big"), note.encode())

    def scan(self) -> Iterator[tuple[int, Note]]:
        """All notes with their revisions, in order."""
        for key, data in self._backend.scan(BUCKET, b"", None):
            yield int.from_bytes(key, "big"), Note.decode(data)

    def trim_steps(self, store: Store) -> Generator[None, None, None]:
        """Drop the notes below the compacted revision whose rows are gone; yields now and then.

        A pair that is still current at the compacted revision keeps its note.
        """
        compacted = store.compact_revision
        if compacted <= self._trimmed:
            return
        self._trimmed = compacted
        rows = self._backend.scan(BUCKET, b"", compacted.to_bytes(8, "big"))
        for count, (key, data) in enumerate(rows, 1):
            if not _is_needed(store, int.from_bytes(key, "big"), Note.decode(data), compacted):
                self._backend.delete(BUCKET, key)
            if count % SLICE_NOTES == 0:
                yield
                if store.compact_revision != compacted:
                    return


def _is_needed(store: Store, revision: int, note: Note, compacted: int) -> bool:
    found = store.range(RangeRequest(key=note.key, revision=compacted)).kvs
    return bool(found) and decode_kv_meta(found[0])[1] == revision
