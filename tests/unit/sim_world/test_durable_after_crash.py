"""What a disk certainly holds, when the process died in the middle of a write."""

from petcd.raft.types import Entry, EntryType, HardState
from petcd.storage.wal_reader import Replay
from sim.check.durable import Durable


def entries(*pairs: tuple[int, int]) -> list[Entry]:
    return [Entry(EntryType.NORMAL, term, index, b"") for index, term in pairs]


def replay_of(found: list[Entry]) -> Replay:
    replay = Replay()
    replay.hard_state = HardState(3, 0, 1)
    replay.entries = found
    return replay


def test_a_write_that_survived_in_part_may_replace_what_was_synced() -> None:
    durable = Durable()
    durable.saved(HardState(3, 0, 1), entries((1, 3), (2, 3), (3, 3)))
    durable.synced()
    durable.saved(HardState(4, 0, 1), entries((2, 4), (3, 4)))
    durable.resumed((0, 0), replay_of(entries((1, 3), (2, 4))))
    assert not durable.forgotten
    assert durable.last_index == 2


def test_what_was_synced_may_not_vanish_for_a_write_that_did_not_survive() -> None:
    durable = Durable()
    durable.saved(HardState(3, 0, 1), entries((1, 3), (2, 3), (3, 3)))
    durable.synced()
    durable.saved(HardState(4, 0, 1), entries((2, 4)))
    durable.resumed((0, 0), replay_of(entries((1, 3), (2, 3))))
    assert durable.forgotten
