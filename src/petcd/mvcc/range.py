"""Range: which pairs a request sees, in which order, and how a big one is read in slices.

======================  ==========================================================
request                 how it is answered
======================  ==========================================================
one key                 index and one row
current revision        rank difference for the count, a slice of the sorted list
... sorted or filtered  all entries of the slice; rows only of what is left
an older revision       every key known in the range is looked up at that revision
======================  ==========================================================

``range_steps`` is a generator that yields after every ``SLICE_KEYS`` keys (1 to 2 ms of work) and
returns the result.  Between slices anything may be written, deleted or compacted.  It is right
all the same, because
1. the revision R is fixed before the first yield and pinned until the end, so the index and the
   rows are not trimmed above what R needs;
2. rows never change, and (main, sub) of each pair is found by asking the index "at R", whose
   answer for a pinned R is always the same;
3. the walk goes on behind the last key it saw, over live and dead keys: a key that has a pair at
   R is, until R is unpinned, always in one of the two lists.
A generator that is closed or dropped half-way unpins (``finally``).

Order of limit, filter and sort is etcd's: with a sort order or a filter the limit cuts the sorted
rest; with a sort target but no order, ``limit + 1`` keys in key order are sorted and then cut.
Equal sort keys stay in key order (etcd leaves their order open).

Does not do: linearizability, permissions, static checks (``validation``), response headers.
Source: etcd's server/etcdserver/apply.go (Range) and server/mvcc/kvstore_txn.go (rangeKeys).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from heapq import merge
from itertools import islice
from typing import Any

from petcd.mvcc.errors import Compacted, FutureRevision
from petcd.mvcc.index import Entry
from petcd.mvcc.keyspace import KeySpace
from petcd.wire.hot import decode_kv_meta, encode_kv, kv_value, kv_without_value
from petcd.wire.kv import RangeRequest, SortOrder, SortTarget
from petcd.wire.varint import uvarint

# Keys between two yields; a key costs 2 to 4 us.
SLICE_KEYS = 500


class RangeResult:
    """``count``: all keys in the range; ``revision``: the store's.

    ``kvs``: encoded KeyValues; of a framed result runs of them, each with the tag and length that
    it has in a RangeResponse, so that the response is header, ``kvs`` joined, more, count.
    """

    __slots__ = ("count", "kvs", "more", "revision")

    def __init__(self, kvs: list[bytes], more: bool, count: int, revision: int) -> None:
        self.kvs = kvs
        self.more = more
        self.count = count
        self.revision = revision

    def __repr__(self) -> str:
        tail = f"more={self.more}, count={self.count}, revision={self.revision}"
        return f"RangeResult({len(self.kvs)} kvs, {tail})"


Steps = Generator[None, None, RangeResult]


def resolve_revision(requested: int, current: int, compacted: int) -> int:
    """The revision that a read at ``requested`` sees; FutureRevision, Compacted."""
    if requested > current:
        raise FutureRevision(requested, current)
    revision = requested if requested > 0 else current
    if revision < compacted:
        raise Compacted(requested, compacted)
    return revision


def open_end(range_end: bytes) -> bytes:
    """A request's range end as the index wants it: ``\\0`` (no end) becomes empty."""
    return b"" if range_end == b"\0" else range_end


def range_now(space: KeySpace, request: RangeRequest, current: int) -> RangeResult:
    """The whole range at once; ``current`` is the revision that counts as the store's."""
    steps = range_steps(space, request, current, False)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: RangeResult = done.value
            return result


def range_steps(space: KeySpace, request: RangeRequest, current: int, framed: bool) -> Steps:
    """Answer ``request`` in slices; FutureRevision and Compacted come before the first yield."""
    revision = resolve_revision(request.revision, current, space.compact_revision)
    space.pin(revision)
    try:
        return (yield from _Reader(space, request, revision, current, framed).steps())
    finally:
        space.unpin(revision)


def walk(space: KeySpace, start: bytes, end: bytes, revision: int) -> Iterator[list[Entry]]:
    """The pairs in [start, end) at a pinned revision, a slice of keys at a time.

    Entries of an older revision know only their place: create revision and version are 0 there.
    """
    index = space.index
    live, after = index.live, False
    while True:
        keys = index.known_keys(start, end, SLICE_KEYS, after)
        entries = []
        for key in keys:
            entry = live.get(key)
            if entry is not None and entry[2] <= revision:
                entries.append(entry)
                continue
            found = index.at(key, revision)
            if found is not None:
                entries.append((0, 0, found[0], found[1], key))
        yield entries
        if len(keys) < SLICE_KEYS:
            return
        start, after = keys[-1], True


class _Reader:
    """Answers one request; ``_kvs`` and ``_read`` grow with each slice."""

    __slots__ = (
        "_current",
        "_filtered",
        "_framed",
        "_kvs",
        "_read",
        "_request",
        "_revision",
        "_space",
    )

    def __init__(
        self, space: KeySpace, request: RangeRequest, revision: int, current: int, framed: bool
    ) -> None:
        self._space = space
        self._request = request
        self._revision = revision
        self._current = current
        self._framed = framed
        self._filtered = bool(
            request.min_mod_revision
            or request.max_mod_revision
            or request.min_create_revision
            or request.max_create_revision
        )
        self._kvs: list[bytes] = []
        self._read = 0  # pairs in _kvs

    def _result(self, more: bool, count: int) -> RangeResult:
        return RangeResult(self._kvs, more, count, self._current)

    def steps(self) -> Steps:
        """Choose the way of the module's table."""
        request = self._request
        if not request.range_end:
            return self._one_key()
        by_key = request.sort_target == SortTarget.KEY and not self._filtered
        # Nothing is newer than what is asked for: the list of the live keys is the answer.
        if self._revision == self._current >= self._space.revision:
            low, high = self._space.index.ranks(request.key, open_end(request.range_end))
            count = high - low
            wanted = min(request.limit, count) if request.limit > 0 else count
            if request.count_only:
                return self._result(False, count)
            if by_key and wanted <= SLICE_KEYS:
                self._by_rank(low, high, wanted)
                return self._result(wanted < count, count)
            if by_key and request.sort_order != SortOrder.DESCEND:
                yield from self._in_key_order(wanted)
                return self._result(wanted < count, count)
        return (yield from self._by_walk())

    def _one_key(self) -> RangeResult:
        request = self._request
        found = self._space.index.at(request.key, self._revision)
        if found is None:
            return self._result(False, 0)
        entry = (0, 0, found[0], found[1], request.key)
        if not request.count_only and (not self._filtered or self._passes(self._complete(entry))):
            self._emit([entry])
        return self._result(False, 1)

    def _by_rank(self, low: int, high: int, wanted: int) -> None:
        """The first (descending: last) ``wanted`` live pairs of the ranks."""
        index = self._space.index
        if self._request.sort_order == SortOrder.DESCEND:
            keys = index.ordered.islice(high - wanted, high, reverse=True)
        else:
            keys = index.ordered.islice(low, low + wanted)
        live = index.live
        self._emit([live[key] for key in keys])

    def _in_key_order(self, wanted: int) -> Generator[None, None, None]:
        """The first ``wanted`` pairs of the range; there are at least so many."""
        for entries in self._walk():
            self._emit(entries[: wanted - self._read])
            if self._read == wanted:
                return
            yield

    def _by_walk(self) -> Steps:
        """Count everything, keep no more than what is needed, sort, read."""
        request = self._request
        limit = max(request.limit, 0)
        early = limit and request.sort_order == SortOrder.NONE and not self._filtered
        picked, count = yield from self._pick(limit + 1 if early else 0)
        if not request.count_only:
            entries = yield from self._sort(picked)
            wanted = islice(entries, limit or None)
            while chunk := list(islice(wanted, SLICE_KEYS)):
                if self._read:
                    yield
                self._emit(chunk)
        return self._result(0 < limit < len(picked), count)

    def _walk(self) -> Iterator[list[Entry]]:
        request = self._request
        return walk(self._space, request.key, open_end(request.range_end), self._revision)

    def _pick(self, keep: int) -> Generator[None, None, tuple[list[Entry], int]]:
        """(entries that pass the filters, at most ``keep`` if not 0; count of all in the range)."""
        request = self._request
        picked: list[Entry] = []
        count = 0
        complete = self._filtered or request.sort_target != SortTarget.KEY
        for entries in self._walk():
            if count:
                yield
            count += len(entries)
            if request.count_only or (keep and len(picked) >= keep):
                continue
            if complete:
                entries = [self._complete(entry) for entry in entries]
            if self._filtered:
                entries = [entry for entry in entries if self._passes(entry)]
            picked += entries
            if keep:
                del picked[keep:]
        return picked, count

    def _complete(self, entry: Entry) -> Entry:
        """An entry of an older revision with its create revision and version filled in."""
        if entry[1]:
            return entry
        create, _, version, _ = decode_kv_meta(self._space.row(entry[2], entry[3]))
        return create, version, entry[2], entry[3], entry[4]

    def _passes(self, entry: Entry) -> bool:
        """Whether a complete entry lies within the request's bounds (0: unset)."""
        request = self._request
        create, mod = entry[0], entry[2]
        return not (
            (request.max_mod_revision and mod > request.max_mod_revision)
            or (request.min_mod_revision and mod < request.min_mod_revision)
            or (request.max_create_revision and create > request.max_create_revision)
            or (request.min_create_revision and create < request.min_create_revision)
        )

    def _sort(self, entries: list[Entry]) -> Generator[None, None, Iterator[Entry]]:
        """The entries, which come in key order, sorted: slices first, merged lazily; stable."""
        target = self._request.sort_target
        descending = self._request.sort_order == SortOrder.DESCEND
        if target == SortTarget.KEY:
            return reversed(entries) if descending else iter(entries)
        rank = self._rank(target)
        runs: list[list[Entry]] = []
        for i in range(0, len(entries), SLICE_KEYS):
            if i:
                yield
            runs.append(sorted(entries[i : i + SLICE_KEYS], key=rank, reverse=descending))
        return merge(*runs, key=rank, reverse=descending)

    def _rank(self, target: int) -> Callable[[Entry], Any]:
        if target == SortTarget.VERSION:
            return lambda entry: entry[1]
        if target == SortTarget.CREATE:
            return lambda entry: entry[0]
        if target == SortTarget.MOD:
            return lambda entry: entry[2]
        row = self._space.row
        return lambda entry: kv_value(row(entry[2], entry[3]))

    def _emit(self, entries: list[Entry]) -> None:
        """Append one slice of encoded pairs."""
        row = self._space.row
        if self._request.keys_only:
            kvs = [self._without_value(entry) for entry in entries]
        else:
            kvs = [row(entry[2], entry[3]) for entry in entries]
        self._read += len(kvs)
        if self._framed:
            self._kvs.append(b"".join([p for kv in kvs for p in (b"\x12", uvarint(len(kv)), kv)]))
        else:
            self._kvs += kvs

    def _without_value(self, entry: Entry) -> bytes:
        """The pair with its value emptied; from memory when it is the live one."""
        space = self._space
        create, version, main, sub, key = entry
        if space.index.live.get(key) is entry:
            return encode_kv(key, create, main, version, b"", space.lease_of.get(key, 0))
        return kv_without_value(space.row(main, sub))
