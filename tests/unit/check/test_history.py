"""The record of a run survives being written and read."""

import pytest

from sim.check.history import (
    Compare,
    Done,
    Event,
    HashSample,
    History,
    KeyValue,
    MemberSample,
    Message,
    Note,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Refused,
    Revoke,
    Txn,
    TxnResponse,
    Watch,
)

ODD = bytes(range(256))


def full_history() -> History:
    history = History()
    put = history.begin(1, 10, 2, 0.25, Put(ODD, b"=v", lease=7, prev_kv=True))
    history.end(put, 0.5, PutResponse(KeyValue(ODD, b"", 2, 2, 1)), revision=3)
    compares = (Compare(b"k", "value", "equal", b"v"), Compare(b"k", "mod", "greater", 3))
    txn = history.begin(1, 10, 2, 0.5, Txn(compares, (Put(b"k", b"v"),), (Range(b"k"),)))
    history.end(txn, 0.75, TxnResponse(False, (RangeResponse((), 0),)), revision=3)
    history.begin(2, 11, 3, 0.5, Put(b"open", b""))
    revoke = history.begin(2, 11, 3, 0.5, Revoke(7))
    history.end(revoke, 0.6, Done(), revision=4)
    refused = history.begin(2, 11, 3, 0.7, Put(b"", b""))
    history.end(refused, 0.8, Refused("=key"[1:]))
    watcher = history.watch(3, 12, 1, Watch(b"a", b"\0", 5, prev_kv=True))
    watcher.messages.append(Message("created", 0.1, 4))
    event = Event("delete", KeyValue(b"a", b"", 0, 5, 0), KeyValue(b"a", b"1", 2, 2, 1))
    watcher.messages.append(Message("events", 0.2, 5, (event,)))
    history.hashes.append(HashSample(1, 0.9, 5, 0, 0xFFFF_FFFF))
    history.members.append(MemberSample(1, 2, 0.9, 3, 100, 5))
    history.notes.append(Note(0.3, "member 2 is cut off"))
    return history


def test_what_is_written_is_read_back() -> None:
    lines = list(full_history().lines())
    again = History.from_lines(lines)
    assert list(again.lines()) == lines
    assert again.operations[0].request == Put(ODD, b"=v", 7, True)
    assert type(again.operations[0].request) is Put
    assert again.operations[2].response is None
    assert again.operations[2].return_s is None
    assert again.watchers[0].messages[1].events[0].prev == KeyValue(b"a", b"1", 2, 2, 1)
    assert len(again.hashes) == len(again.members) == len(again.notes) == 1


@pytest.mark.parametrize("line", ['{"a": 1}', '["else", 1]', '["sample", ["Else", 1]]', "[]"])
def test_a_foreign_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a record"):
        History.from_lines([line])
