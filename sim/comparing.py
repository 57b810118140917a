"""A starting member compares its history with the others', as with `--initial-corrupt-check`.

    own hash, and theirs at the same revision  ->  alike, different, or nothing to compare with

What is decided is production's (`petcd.server.corruption`); only the questions travel here at once,
along links that are not cut. Values have no checksum, so this is how a rotten one is told at all.
Nothing tells where nobody has the same compaction, nor of a row at or below the compacted revision,
which a hash may leave out: such harm is taken back, and the member starts once more.
"""

from __future__ import annotations

from petcd.mvcc.revision import unpack_row
from petcd.mvcc.store import Store
from petcd.peer.remote_requests import PeerHash
from petcd.server.corruption import compare, unreadable
from petcd.server.opening import DataUnusable
from petcd.wire.codec import DecodeError
from sim.disk import RottenRow
from sim.network import Port


def hash_of(store: Store, revision: int) -> PeerHash | None:
    """What a member answers that is asked for its hash at a revision; 0 is the newest."""
    if store.compacting or not store.compact_revision <= (revision or store.revision):
        return None
    if revision > store.revision:
        return None
    found, current = store.hash_kv(revision)
    return PeerHash(current, found.hash, found.compact_revision)


def counts(rotten: RottenRow, store: Store) -> bool:
    """Whether every hash of the store has the row in it."""
    main: int = unpack_row(rotten.row)[0]
    return main > store.compact_revision


def compare_with_others(store: Store, port: Port) -> bool:
    """Whether anybody could be compared with. Raises DataUnusable when somebody differs, and
    StorageError when the store cannot be read."""
    try:
        own = hash_of(store, 0)
    except DecodeError as error:
        raise unreadable(error) from error
    if own is None:
        return False
    said = port.hashes_of_others(own.revision)
    unknown, differing = compare(own, said)
    if differing:
        raise DataUnusable(f"{port.id:x} found data inconsistency with peers")
    return len(unknown) < len(said)
