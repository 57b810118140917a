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

# Keys between two yields; a key costs 1 to 2 us.
SLICE_KEYS = 1000


class RangeResult:
    """``kvs``: encoded KeyValues; ``count``: all keys in the range; ``revision``: the store's."""

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
    steps = range_steps(space, request, current)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: RangeResult = done.value
            return result


def range_steps(space: KeySpace, request: RangeRequest, current: int) -> Steps:
    """Answer ``request`` in slices; FutureRevision and Compacted come before the first yield."""
    revision = resolve_revision(request.revision, current, space.compact_revision)
    if not request.range_end:
        return _one_key(space, request, revision, current)
    space.pin(revision)
    try:
        return (yield from _many_keys(space, request, revision, current))
    finally:
        space.unpin(revision)


def _one_key(space: KeySpace, request: RangeRequest, revision: int, current: int) -> RangeResult:
    found = space.index.at(request.key, revision)
    if found is None:
        return RangeResult([], False, 0, current)
    if request.count_only:
        return RangeResult([], False, 1, current)
    kv = space.row(found[0], found[1])
    if _is_filtered(request):
        create, mod, _, _ = decode_kv_meta(kv)
        if not _passes(request, create, mod):
            return RangeResult([], False, 1, current)
    if request.keys_only:
        kv = _without_value(space, (0, 0, found[0], found[1], request.key))
    return RangeResult([kv], False, 1, current)


def _many_keys(space: KeySpace, request: RangeRequest, revision: int, current: int) -> Steps:
    start, end = request.key, open_end(request.range_end)
    limit = request.limit if request.limit > 0 else 0
    order, target = request.sort_order, request.sort_target
    filtered = _is_filtered(request)
    # Nothing is newer than what is asked for: the sorted list of the live keys is the answer.
    if revision == current >= space.revision and (
        request.count_only or (target == SortTarget.KEY and not filtered)
    ):
        low, high = space.index.ranks(start, end)
        if request.count_only:
            return RangeResult([], False, high - low, current)
        wanted = min(limit, high - low) if limit else high - low
        if wanted <= SLICE_KEYS or order != SortOrder.DESCEND:
            kvs = yield from _by_rank(space, request, revision, wanted)
            return RangeResult(kvs, wanted < high - low, high - low, current)
    # The walk counts everything, but keeps no more than what is needed.
    keep = limit + 1 if limit and order == SortOrder.NONE and not filtered else 0
    picked, count = yield from _pick(space, request, revision, keep)
    if request.count_only:
        return RangeResult([], False, count, current)
    entries = yield from _sort(space, picked, target, order == SortOrder.DESCEND)
    kvs = yield from _read(space, request, islice(entries, limit or None))
    return RangeResult(kvs, 0 < limit < len(picked), count, current)


def walk(space: KeySpace, start: bytes, end: bytes, revision: int) -> Iterator[list[Entry]]:
    """The range's pairs at a pinned revision, a slice of keys at a time.

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


def _by_rank(
    space: KeySpace, request: RangeRequest, revision: int, wanted: int
) -> Generator[None, None, list[bytes]]:
    """The first (descending: last) ``wanted`` live pairs of the range; it has at least so many."""
    kvs: list[bytes] = []
    if wanted <= SLICE_KEYS:
        index = space.index
        low, high = index.ranks(request.key, open_end(request.range_end))
        if request.sort_order == SortOrder.DESCEND:
            keys = index.ordered.islice(high - wanted, high, reverse=True)
        else:
            keys = index.ordered.islice(low, low + wanted)
        live = index.live
        _emit(space, request, [live[key] for key in keys], kvs)
        return kvs
    for entries in walk(space, request.key, open_end(request.range_end), revision):
        _emit(space, request, entries[: wanted - len(kvs)], kvs)
        if len(kvs) == wanted:
            break
        yield
    return kvs


def _pick(
    space: KeySpace, request: RangeRequest, revision: int, keep: int
) -> Generator[None, None, tuple[list[Entry], int]]:
    """(entries that pass the filters, at most ``keep`` if not 0; count of all in the range)."""
    picked: list[Entry] = []
    count = 0
    filtered = _is_filtered(request)
    complete = filtered or request.sort_target != SortTarget.KEY
    for i, entries in enumerate(walk(space, request.key, open_end(request.range_end), revision)):
        if i:
            yield
        count += len(entries)
        if request.count_only or (keep and len(picked) >= keep):
            continue
        if complete:
            entries = [_complete(space, entry) for entry in entries]
        if filtered:
            entries = [entry for entry in entries if _passes(request, entry[0], entry[2])]
        picked += entries
        if keep:
            del picked[keep:]
    return picked, count


def _complete(space: KeySpace, entry: Entry) -> Entry:
    """An entry of an older revision with its create revision and version filled in."""
    if entry[1]:
        return entry
    create, _, version, _ = decode_kv_meta(space.row(entry[2], entry[3]))
    return create, version, entry[2], entry[3], entry[4]


def _is_filtered(request: RangeRequest) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _passes(request: RangeRequest, create: int, mod: int) -> bool:
    """Whether a pair lies within the request's bounds (0: unset)."""
    return not (
        (request.max_mod_revision and mod > request.max_mod_revision)
        or (request.min_mod_revision and mod < request.min_mod_revision)
        or (request.max_create_revision and create > request.max_create_revision)
        or (request.min_create_revision and create < request.min_create_revision)
    )


def _sort(
    space: KeySpace, entries: list[Entry], target: int, descending: bool
) -> Generator[None, None, Iterator[Entry]]:
    """The entries, which come in key order, sorted: slices first, merged lazily; stable."""
    if target == SortTarget.KEY:
        return reversed(entries) if descending else iter(entries)
    rank = _sort_key(space, target)
    runs: list[list[Entry]] = []
    for i in range(0, len(entries), SLICE_KEYS):
        if i:
            yield
        runs.append(sorted(entries[i : i + SLICE_KEYS], key=rank, reverse=descending))
    return merge(*runs, key=rank, reverse=descending)


def _sort_key(space: KeySpace, target: int) -> Callable[[Entry], Any]:
    if target == SortTarget.VERSION:
        return lambda entry: entry[1]
    if target == SortTarget.CREATE:
        return lambda entry: entry[0]
    if target == SortTarget.MOD:
        return lambda entry: entry[2]
    return lambda entry: kv_value(space.row(entry[2], entry[3]))


def _read(
    space: KeySpace, request: RangeRequest, entries: Iterator[Entry]
) -> Generator[None, None, list[bytes]]:
    """The encoded pairs of the entries, in slices."""
    kvs: list[bytes] = []
    while chunk := list(islice(entries, SLICE_KEYS)):
        if kvs:
            yield
        _emit(space, request, chunk, kvs)
    return kvs


def _emit(space: KeySpace, request: RangeRequest, entries: list[Entry], kvs: list[bytes]) -> None:
    """Append one slice of encoded pairs."""
    row = space.row
    if request.keys_only:
        kvs += [_without_value(space, entry) for entry in entries]
    else:
        kvs += [row(entry[2], entry[3]) for entry in entries]


def _without_value(space: KeySpace, entry: Entry) -> bytes:
    """The pair with its value emptied; from memory when it is the live one."""
    create, version, main, sub, key = entry
    if space.index.live.get(key) is entry:
        return encode_kv(key, create, main, version, b"", space.lease_of.get(key, 0))
    return kv_without_value(space.row(main, sub))
