"""All checkers together, on the history of a perfect store and on damaged ones."""

from __future__ import annotations

from perfect_store import PerfectStore

from sim.check.history import (
    Delete,
    DeleteResponse,
    Event,
    HashSample,
    History,
    KeyValue,
    MemberSample,
    Message,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Watch,
)
from sim.check.judge import judge
from sim.check.v2_records import V2Node, V2Response, V2Set, V2Watch


def watched(seed: int) -> History:
    """A perfect history with a watcher that was told everything."""
    store = PerfectStore(seed, 200, leases=False)
    history = store.history
    watcher = history.watch(99, 99, 1, Watch(b"a", b"\0", 2))
    watcher.messages.append(Message("created", 0.0, 1))
    for revision, events in store.changes.items():
        told = tuple(event._replace(prev=None) for event in events)
        watcher.messages.append(Message("events", 99.0, revision, told))
    history.members.append(MemberSample(1, 1, 1.0, 2, 100, 50))
    return history


def laws(history: History) -> list[str]:
    final = history.watchers[0].messages[-1].revision
    return [each.law for each in judge(history, alive={1}, final_revision=final).violations]


def test_a_perfect_history_is_judged_so() -> None:
    history = watched(1)
    judgement = judge(history)
    assert not judgement.violations
    assert not judgement.undecided
    assert judgement.revisions > 50
    again = History.from_lines(history.lines())
    assert judge(again) == judgement


def test_each_checker_has_its_say() -> None:
    history = watched(2)
    last = history.watchers[0].messages.pop()
    history.watchers[0].messages.append(last._replace(kind="progress", events=()))
    assert laws(history) == ["progress overtook an event"]

    history = watched(2)
    history.hashes += [HashSample(1, 1.0, 9, 0, 1), HashSample(2, 1.0, 9, 0, 2)]
    history.members.append(MemberSample(1, 1, 2.0, 1, 100, 50))
    assert laws(history) == ["members hold different data", "a member goes back"]

    history = watched(2)
    writes = [op for op in history.operations if isinstance(op.response, PutResponse)]
    writes[-1].revision = writes[0].revision
    assert "two writes have one revision" in laws(history)


def test_a_watcher_that_saw_nothing_rules_out_a_guess() -> None:
    """Two puts were never answered and one revision is open: the watched key was left alone."""
    history = History()
    history.operations.append(
        Operation(3, 3, 1, 0.0, Put(b"a", b"first"), 0.1, PutResponse(None), 2)
    )
    for client, key in enumerate((b"a", b"b"), 1):
        history.operations.append(Operation(client, client, 1, 0.2, Put(key, b"lost")))
    deleted = Operation(3, 3, 1, 2.0, Delete(b"a"), 3.0, DeleteResponse(1), 4)
    history.operations.append(deleted)
    watcher = history.watch(99, 99, 1, Watch(b"a", b"", 3))
    watcher.messages.append(
        Message("events", 4.0, 4, (Event("delete", KeyValue(b"a", b"", 0, 4, 0, 0)),))
    )
    assert not judge(history).violations

    assert history.operations.pop(2).request.key == b"b"
    assert [each.law for each in judge(history).violations] == ["a watch left out an event"]


def test_a_watcher_that_hears_nothing_more_rules_out_a_guess() -> None:
    """Two puts were never answered and the last revision is open: it is not of the watched key."""
    for keys in (b"ab", b"ba"):
        history = History()
        put = Operation(3, 3, 1, 0.0, Put(b"a", b"first"), 0.1, PutResponse(None), 2)
        history.operations.append(put)
        for key in keys:
            history.operations.append(Operation(key, key, 1, 0.2, Put(bytes([key]), b"lost")))
        read = Operation(3, 3, 1, 2.0, Range(b"c"), 3.0, RangeResponse((), 0), 3)
        history.operations.append(read)
        watcher = history.watch(99, 99, 1, Watch(b"a", b"", 3))
        watcher.messages.append(Message("created", 1.0, 2))
        assert not judge(history, alive={1}, final_revision=3).violations
    del history.operations[1]
    found = judge(history, alive={1}, final_revision=3).violations
    assert [each.law for each in found] == ["a watcher was left in silence"]


def test_what_a_watcher_was_told_of_the_pair_before_rules_out_a_guess() -> None:
    """Of two puts that were never answered one was done, and the deleted pair is the first one."""
    first = KeyValue(b"a", b"1", 2, 2, 1, 0)
    deleted = Event("delete", KeyValue(b"a", b"", 0, 4, 0, 0), first)
    for keys in (b"ab", b"ba"):
        history = History()
        put = Operation(3, 3, 1, 0.0, Put(b"a", b"1"), 0.1, PutResponse(None), 2)
        history.operations.append(put)
        for key in keys:
            history.operations.append(Operation(key, key, 1, 0.2, Put(bytes([key]), b"lost")))
        delete = Operation(3, 3, 1, 2.0, Delete(b"a"), 3.0, DeleteResponse(1), 4)
        history.operations.append(delete)
        watcher = history.watch(99, 99, 1, Watch(b"a", b"", 4, prev_kv=True))
        watcher.messages.append(Message("events", 4.0, 4, (deleted,)))
        assert not judge(history).violations
    del history.operations[1]
    assert [each.law for each in judge(history).violations] == ["a wrong previous key-value"]


def test_what_a_v2_watch_was_told_of_the_node_before_tells_who_wrote_it() -> None:
    """A refresh was never answered, and one revision is open: it may be the end of a node, too."""
    a, b = b"/a", b"/b"
    old, new = V2Node(a, b"1", 4, 2), V2Node(a, b"2", 6, 6)
    history = History()
    for call_s, request, response, revision in (
        (0.0, V2Set(a, b"1", 9), V2Response("set", V2Node(a, b"1", 2, 2)), 2),
        (0.2, V2Set(b, b"1", 9), V2Response("set", V2Node(b, b"1", 3, 3)), 3),
        (0.4, V2Set(a, b"", 9, prev_exist="true", refresh=True), None, 0),
        (2.0, Put(b"c", b"1"), PutResponse(None), 5),
        (4.0, Put(a, b"2"), PutResponse(None), 6),
    ):
        return_s = None if response is None else call_s + 0.1
        one = Operation(1, 1, 1, call_s, request, return_s, response, revision)
        history.operations.append(one)
    watch = V2Watch(1, a, 5, False, 5, (V2Response("set", new, old),))
    history.v2_watches.append(watch)
    assert not judge(history).violations
