"""The key index: which revisions each key has, and the keys in order.

Values stay in the backend; the index maps keys to revisions::

    live     dict  key -> (create, version, main, sub, key)     the pair a reader sees now
    ordered  sorted list of the live keys                       ranges by rank
    history  dict  key -> bytearray of 16-byte records          older revisions, ascending
    dead     sorted list of the keys with history but no live pair

    record = main, 8 bytes BE | sub * 2 + (1 if tombstone), 8 bytes BE

Invariants
* ``history[key]`` holds every revision of the key that is known besides the live one, ascending
  and all older than it.  A key that is not live has a tombstone as its last record.
* ``ordered`` = sorted(live); ``dead`` = sorted(history - live).
* Nothing per key is tracked by the garbage collector: entries are tuples of ints and bytes (which
  the collector lets go of at its first look) and bytearrays.  The tuple's fifth place holds the
  dict's own key object, so that every other structure shares it (the place costs nothing: four
  and five places take the same 80 bytes).
* ``superseded`` lists, in order of time, (main, key) for each revision that got a successor at
  ``main``; ``buried`` lists (main, key) for each tombstone.  A compaction at C so finds its work
  without looking at any other key: what was superseded at or below C, tombstones below C.

Reading at a revision: the newest record at or below it; a tombstone there means no pair.  That is
right for every revision at or above the one up to which the index is trimmed.

Does not do: reading or writing rows, leases, deciding when to trim.
Source: etcd's key index (server/mvcc/key_index.go) for the meaning; the layout is our own.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Generator, Iterator
from struct import Struct

from sortedcontainers import SortedList

# (create revision, version, main, sub, key)
Entry = tuple[int, int, int, int, bytes]

RECORD_BYTES = 16
_pack = Struct(">QQ").pack
_pack_two = Struct(">QQQQ").pack
_unpack_from = Struct(">QQ").unpack_from

# From how many keys on a bulk delete rebuilds the sorted lists instead of editing them.
BULK_KEYS = 64
# Keys put in order between two yields: 1 to 2 us each.
SLICE_KEYS = 2000
# A queue gives memory back when this many entries at its front are used up.
QUEUE_TRIM = 65536


class RevisionQueue:
    """First in, first out (main, key) pairs with ascending mains; 16 bytes each."""

    __slots__ = ("_head", "_keys", "_mains")

    def __init__(self) -> None:
        self._mains = array("q")
        self._keys: deque[bytes] = deque()
        self._head = 0

    def __len__(self) -> int:
        return len(self._keys)

    def push(self, main: int, key: bytes) -> None:
        """Append; ``main`` is not below any before it."""
        self._mains.append(main)
        self._keys.append(key)

    def first(self) -> int:
        """The smallest main; only when not empty."""
        return self._mains[self._head]

    def pop(self) -> bytes:
        """Take the first entry's key."""
        self._head += 1
        if self._head >= QUEUE_TRIM and self._head * 2 >= len(self._mains):
            del self._mains[: self._head]
            self._head = 0
        return self._keys.popleft()


class KeyIndex:
    """See the module's text."""

    __slots__ = ("buried", "dead", "history", "live", "ordered", "superseded")

    def __init__(self) -> None:
        self.live: dict[bytes, Entry] = {}
        self.ordered = SortedList()
        self.history: dict[bytes, bytearray] = {}
        self.dead = SortedList()
        self.superseded = RevisionQueue()
        self.buried = RevisionQueue()

    # ------------------------------------------------------------ writing

    def supersede(self, entry: Entry, main: int) -> None:
        """Move a live entry into the history, because its key changes at ``main``."""
        key = entry[4]
        record = _pack(entry[2], entry[3] << 1)
        records = self.history.get(key)
        if records is None:
            self.history[key] = bytearray(record)
        else:
            records += record
        self.superseded.push(main, key)

    def add(self, key: bytes, main: int, sub: int) -> None:
        """A put of a key that is not live."""
        self.live[key] = (main, 1, main, sub, key)
        self.ordered.add(key)
        if key in self.history:
            self.dead.remove(key)
            self._succeed_tombstone(key, main)

    def _succeed_tombstone(self, key: bytes, main: int) -> None:
        """Note that the key's tombstone got a successor at ``main``.

        That matters only within one request: a tombstone of an older revision is dropped for its
        age by any compaction that would drop it for its successor.
        """
        records = self.history[key]
        if _unpack_from(records, len(records) - RECORD_BYTES)[0] == main:
            self.superseded.push(main, key)

    def bury(self, entry: Entry, main: int, sub: int) -> None:
        """Delete a live key, all but its place in the sorted lists (``unlist``)."""
        key = entry[4]
        del self.live[key]
        two_records = _pack_two(entry[2], entry[3] << 1, main, sub << 1 | 1)
        records = self.history.get(key)
        if records is None:
            self.history[key] = bytearray(two_records)
        else:
            records += two_records
        self.superseded.push(main, key)
        self.buried.push(main, key)

    def unlist(self, keys: list[bytes]) -> None:
        """Move deleted keys, ascending, from the sorted list of the live to that of the dead."""
        if len(keys) < BULK_KEYS:
            for key in keys:
                self.ordered.remove(key)
                self.dead.add(key)
            return
        ordered = self.ordered
        low, high = ordered.bisect_left(keys[0]), ordered.bisect_right(keys[-1])
        if high - low == len(keys):
            del ordered[low:high]
        else:
            for key in keys:
                ordered.remove(key)
        self.dead.update(keys)

    # ------------------------------------------------------------ loading

    def load_put(self, key: bytes, main: int, sub: int, create: int, version: int) -> None:
        """A put row, in order of revisions; the sorted lists come later (``finish_load``)."""
        live = self.live
        entry = live.get(key)
        if entry is not None:
            self.supersede(entry, main)
            key = entry[4]
        elif key in self.history:
            self._succeed_tombstone(key, main)
        live[key] = (main if create == main else create, version, main, sub, key)

    def load_tombstone(self, key: bytes, main: int, sub: int) -> None:
        """A tombstone row, in order of revisions; the rows before it may be compacted."""
        entry = self.live.get(key)
        if entry is not None:
            self.bury(entry, main, sub)
            return
        self.history.setdefault(key, bytearray()).extend(_pack(main, sub << 1 | 1))
        self.buried.push(main, key)

    def finish_load(self) -> None:
        """Build the sorted lists."""
        self.ordered = SortedList(self.live)
        self.dead = SortedList(key for key in self.history if key not in self.live)

    def finish_load_steps(self) -> Generator[None, None, None]:
        """The same in slices, which takes twice as long; yields after some milliseconds each."""
        self.ordered, self.dead = SortedList(), SortedList()
        for count, key in enumerate(self.live, 1):
            self.ordered.add(key)
            if count % SLICE_KEYS == 0:
                yield
        for count, key in enumerate(self.history, 1):
            if key not in self.live:
                self.dead.add(key)
            if count % SLICE_KEYS == 0:
                yield

    # ------------------------------------------------------------ reading

    def at(self, key: bytes, revision: int) -> tuple[int, int] | None:
        """(main, sub) of the key's pair at ``revision``, None when it has none then."""
        entry = self.live.get(key)
        if entry is not None and entry[2] <= revision:
            return entry[2], entry[3]
        records = self.history.get(key)
        if records is None:
            return None
        n = _records_until(records, revision)
        if n == 0:
            return None
        main, mark = _unpack_from(records, (n - 1) * RECORD_BYTES)
        return None if mark & 1 else (main, mark >> 1)

    def count(self, start: bytes, end: bytes) -> int:
        """How many live keys have ``start <= key < end`` (``end`` empty: no end); by rank."""
        low, high = self.ranks(start, end)
        return high - low

    def ranks(self, start: bytes, end: bytes) -> tuple[int, int]:
        """First rank and the one behind the last of the live keys in [start, end)."""
        ordered = self.ordered
        high = ordered.bisect_left(end) if end else len(ordered)
        low = ordered.bisect_left(start) if start else 0
        return low, max(low, high)

    def live_keys(self, start: bytes, end: bytes) -> list[bytes]:
        """The live keys in [start, end), ascending."""
        low, high = self.ranks(start, end)
        return list(self.ordered.islice(low, high))

    def known_keys(self, start: bytes, end: bytes, limit: int, after: bool) -> list[bytes]:
        """At most ``limit`` live or dead keys in [start, end), ascending; ``after``: without start.

        Each list gives up to ``limit`` keys and the merged result is cut there: nothing is skipped.
        """
        inclusive = (not after, False)
        found: list[bytes] = []
        for listed in (self.ordered, self.dead):
            keys: Iterator[bytes] = listed.irange(start, end or None, inclusive)
            found += [key for key, _ in zip(keys, range(limit), strict=False)]
        found.sort()
        return found[:limit]

    # ------------------------------------------------------------ trimming

    def trim(self, key: bytes, revision: int, limit: int) -> list[tuple[int, int, bool]]:
        """Forget up to ``limit`` of what compacting at ``revision`` drops of the key, oldest first.

        That is what has a successor at or below ``revision``, and a tombstone below it.  A
        tombstone exactly at ``revision`` stays until the next compaction, so that a watcher
        starting there still gets the delete.  Returns (main, sub, is a tombstone) ascending; the
        caller deletes the rows in that order, so that a crash never leaves an old pair without
        the tombstone behind it.
        """
        records = self.history.get(key)
        if records is None:
            return []
        n = _records_until(records, revision)
        entry = self.live.get(key)
        if n and (entry is None or entry[2] > revision):
            main, mark = _unpack_from(records, (n - 1) * RECORD_BYTES)
            if not mark & 1 or main == revision:
                n -= 1
        n = min(n, limit)
        dropped = []
        for i in range(n):
            main, mark = _unpack_from(records, i * RECORD_BYTES)
            dropped.append((main, mark >> 1, bool(mark & 1)))
        if n * RECORD_BYTES < len(records):
            del records[: n * RECORD_BYTES]
        else:
            del self.history[key]
            if entry is None:
                self.dead.remove(key)
        return dropped


def _records_until(records: bytearray, revision: int) -> int:
    """How many of the records have main <= revision (they ascend)."""
    low, high = 0, len(records) // RECORD_BYTES
    while low < high:
        middle = (low + high) >> 1
        if _unpack_from(records, middle * RECORD_BYTES)[0] <= revision:
            low = middle + 1
        else:
            high = middle
    return low
