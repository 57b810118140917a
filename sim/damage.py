"""Harm to what was synced: bits that rot, and writes that went astray.

    rotten_bits       a few bits of the log are not what was written
    misplaced_write   a sector still holds what it held before; what was written stands in the place
                      of another sector, or nowhere
    rotten_row        a bit of a row of the backend

Whoever reads a log must notice, or be right in spite of it. What is drawn here can be noticed by
any reader: it differs from all that a torn write may leave. So these are kept out, for they look
like a last write that did not arrive, and a log of etcd's format has nothing that would tell:

* a bit whose loss makes a zero of a byte, and a bit in a record that ends in a zero;
* a sector of the last segment without proof behind it that it was synced: an entry, the hard state
  that closes its batch, and one more record, for they were written later.

It reads frames and types on its own: what is to be found wrong is not asked what that is.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from petcd.storage.backend import KEY
from petcd.storage.memory import MemoryStore
from sim.disk import SECTOR_BYTES, Disk, Harm, RottenRow

FRAME_BYTES = 8
ENTRY = 2
STATE = 3
# How often another place is looked for.
TRIES = 50
# So far behind the end of the log bits rot as well, where nothing is written yet.
BEHIND_BYTES = 64


class Record(NamedTuple):
    """One record of a segment: its first and last byte (no padding), and its type."""

    start: int
    last: int
    kind: int


def records_of(data: bytes) -> list[Record]:
    """The records of a segment, one behind the other, until something is no record."""
    found: list[Record] = []
    start = 0
    while start + FRAME_BYTES < len(data):
        size = int.from_bytes(data[start : start + 7], "little")
        stop = start + FRAME_BYTES + size
        if not size or stop > len(data):
            break
        found.append(Record(start, stop - 1, data[start + FRAME_BYTES + 1]))
        start = stop + -stop % FRAME_BYTES
    return found


def is_proved(records: list[Record], place: int) -> bool:
    """Whether records from `place` on say that all before them was synced."""
    kinds = [record.kind for record in records if record.start >= place]
    if ENTRY not in kinds:
        return False
    behind = kinds[kinds.index(ENTRY) :]
    return STATE in behind[:-1]


def rotten_bits(disk: Disk, directory: str, random: Random) -> list[Harm]:
    """One bit, or a few close together; none when no place was found."""
    path, data = _some_segment(disk, directory, random)
    records = records_of(data)
    if not records:
        return []
    end = min(len(data), records[-1].last + BEHIND_BYTES)
    start = random.randrange(end)
    wanted = random.choice((1, 1, 3))
    harms: dict[int, Harm] = {}
    for _ in range(TRIES):
        place = random.randrange(start, min(end, start + SECTOR_BYTES))
        before = data[place]
        after = before ^ 1 << random.randrange(8)
        if after and not _ends_in_zero(data, records, place) and len(harms) < wanted:
            harms[place] = Harm(path, place, bytes((before,)), bytes((after,)))
    return list(harms.values())


def misplaced_write(disk: Disk, directory: str, random: Random) -> list[Harm]:
    """A sector that was not written, and perhaps one that was written instead; or none."""
    for _ in range(TRIES):
        path, data = _some_segment(disk, directory, random)
        missed = _some_sector(disk, directory, path, data, random)
        if missed is None:
            continue
        if random.random() < 0.5:
            return [missed]
        path, data = _some_segment(disk, directory, random)
        hit = _some_sector(disk, directory, path, data, random)
        if hit is not None and (hit.path, hit.offset) != (missed.path, missed.offset):
            written = missed.before[: len(hit.before)]
            return [missed, Harm(hit.path, hit.offset, hit.before[: len(written)], written)]
    return []


def rotten_row(store: MemoryStore, random: Random) -> RottenRow | None:
    """A bit of some row of the keys; None when there is no row."""
    rows = store.buckets[KEY]
    if not rows:
        return None
    row, before = random.choice(list(rows.items()))
    after = bytearray(before)
    after[random.randrange(len(after))] ^= 1 << random.randrange(8)
    return RottenRow(row, before, bytes(after))


def _some_segment(disk: Disk, directory: str, random: Random) -> tuple[str, bytes]:
    """The last segment as often as all others."""
    names = [name for name in disk.names(directory) if name.endswith(".wal")]
    name = names[-1] if random.random() < 0.5 else random.choice(names)
    path = f"{directory}/{name}"
    return path, disk.read(path)


def _some_sector(disk: Disk, directory: str, path: str, data: bytes, random: Random) -> Harm | None:
    """A sector with something in it, as it was before some of that was written."""
    records = records_of(data)
    if not records:
        return None
    place = random.randrange(records[-1].last + 1) // SECTOR_BYTES * SECTOR_BYTES
    before = data[place : place + SECTOR_BYTES]
    is_last = path == max(_segments(disk, directory))
    if is_last and not is_proved(records, place + SECTOR_BYTES):
        return None
    borders = [r.start - place for r in records if place < r.start < place + len(before)]
    kept = random.choice((0, *borders))
    after = before[:kept] + bytes(len(before) - kept)
    return None if after == before else Harm(path, place, before, after)


def _segments(disk: Disk, directory: str) -> list[str]:
    return [f"{directory}/{name}" for name in disk.names(directory) if name.endswith(".wal")]


def _ends_in_zero(data: bytes, records: list[Record], place: int) -> bool:
    return any(r.start <= place <= r.last and not data[r.last] for r in records)
