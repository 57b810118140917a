"""API 2 on the same store: what its requests do, what its watches are told, when its nodes end."""

from math import inf

import pytest

from sim.check import history as h
from sim.check import linear, v2_judge
from sim.check.model import Model
from sim.check.v2_evidence import EVERYTHING, V2Evidence
from sim.check.v2_records import (
    EXISTS,
    LEASE_BASE,
    NOT_EQUAL,
    NOT_FOUND,
    ClockSet,
    V2Delete,
    V2Error,
    V2Expiration,
    V2Expire,
    V2Get,
    V2Node,
    V2Response,
    V2Set,
    V2Watch,
)

KEY = b"/k"


def done(request: object, response: object, revision: int, call_s: float = 0.0) -> h.Operation:
    return h.Operation(1, 1, 1, call_s, request, call_s + 0.5, response, revision)


def node(value: bytes, modified: int, created: int) -> V2Node:
    return V2Node(KEY, value, modified, created)


# ---- the specification --------------------------------------------------------------------------


def test_who_keeps_the_created_index_and_who_does_not() -> None:
    model = Model()
    for request, created in (
        (V2Set(KEY, b"1"), 2),
        (V2Set(KEY, b"2", prev_exist="true"), 2),
        (V2Set(KEY, b"3", prev_index=3), 2),
        (V2Set(KEY, b"4"), 5),
        (h.Put(KEY, b"5"), 6),
        (V2Set(KEY, b"6", prev_value=b"5"), 6),
    ):
        model.apply(request)
        assert model.read(V2Get(KEY)).node.created == created


@pytest.mark.parametrize(
    ("request_", "number"),
    [
        (V2Set(b"/none", b"", prev_exist="true"), NOT_FOUND),
        (V2Set(b"/none", b"", prev_index=2), NOT_FOUND),
        (V2Set(b"/none", b"", 5, refresh=True), NOT_FOUND),
        (V2Set(KEY, b"2", prev_exist="false"), EXISTS),
        (V2Set(KEY, b"2", prev_index=3), NOT_EQUAL),
        (V2Set(KEY, b"2", prev_index=2, prev_value=b"x"), NOT_EQUAL),
        (V2Delete(b"/none"), NOT_FOUND),
        (V2Delete(KEY, prev_value=b"x"), NOT_EQUAL),
        (V2Get(b"/none"), NOT_FOUND),
    ],
)
def test_what_does_not_hold_changes_nothing(request_: object, number: int) -> None:
    model = Model()
    model.apply(V2Set(KEY, b"1"))
    assert model.apply(request_) == (V2Error(number), [])
    assert model.revision == 2


def test_a_time_to_live_is_a_lease_that_the_next_write_takes_away() -> None:
    model = Model()
    model.apply(V2Set(KEY, b"1", 5))
    assert model.kvs[KEY].lease == LEASE_BASE | 2
    mark = model.mark()
    response, _ = model.apply(V2Expire(KEY))
    assert response == V2Response("expire", node(b"", 3, 2), node(b"1", 2, 2))
    model.undo(mark)
    model.apply(h.Put(KEY, b"2"))
    assert model.apply(V2Expire(KEY)) == (None, [])
    model.apply(V2Set(KEY, b"", 5, refresh=True))
    assert model.kvs[KEY].value == b"2"
    assert model.kvs[KEY].lease == LEASE_BASE | 4


def test_going_back_forgets_created_indexes() -> None:
    model = Model()
    model.apply(V2Set(KEY, b"1"))
    mark = model.mark()
    model.apply(V2Set(KEY, b"2", prev_exist="true"))
    model.undo(mark)
    model.apply(h.Put(KEY, b"2"))
    assert model.read(V2Get(KEY)).node.created == 3


# ---- one history of both ------------------------------------------------------------------------


def both() -> list[h.Operation]:
    return [
        done(V2Set(KEY, b"1", 5), V2Response("set", node(b"1", 2, 2)), 2, 0),
        done(h.Put(KEY, b"2"), h.PutResponse(), 3, 1),
        done(V2Set(KEY, b"3", prev_index=3),
             V2Response("compareAndSwap", node(b"3", 4, 3), node(b"2", 3, 3)), 4, 2),
        done(V2Get(KEY, quorum=True), V2Response("get", node(b"3", 4, 3)), 4, 3),
        done(V2Delete(KEY, prev_index=2), V2Error(NOT_EQUAL), 4, 4),
    ]  # fmt: skip


def test_requests_of_both_apis_are_one_history() -> None:
    verdict = linear.check(both())
    assert verdict.violations == []
    assert [verdict.v2[revision][1].action for revision in verdict.v2] == ["set", "compareAndSwap"]


@pytest.mark.parametrize(
    ("place", "response"),
    [
        (2, V2Response("compareAndSwap", node(b"3", 4, 4), node(b"2", 3, 3))),
        (2, V2Response("compareAndSwap", node(b"3", 4, 3), node(b"1", 2, 2))),
        (3, V2Response("get", node(b"2", 3, 3))),
        (4, V2Error(NOT_FOUND)),
    ],
)
def test_a_wrong_answer_is_found(place: int, response: object) -> None:
    history = both()
    history[place].response = response
    (found,) = linear.check(history).violations
    assert "answered wrongly" in found.law


def heard(*events: V2Response) -> V2Evidence:
    return V2Evidence([V2Watch(1, EVERYTHING, 9, True, 1, events)])


def test_a_gap_may_be_the_end_of_a_node_unless_a_watcher_heard_otherwise() -> None:
    history = [
        done(V2Set(KEY, b"1", 5), V2Response("set", node(b"1", 2, 2)), 2),
        done(V2Get(KEY, quorum=True), V2Error(NOT_FOUND), 3, 9),
    ]
    verdict = linear.check(history)
    assert (verdict.violations, verdict.v2[3][1].action) == ([], "expire")
    (found,) = linear.check(
        history, v2=heard(V2Response("delete", node(b"", 3, 2), node(b"1", 2, 2)))
    ).violations
    assert found.law == "nobody wrote a revision"


def test_what_a_watcher_heard_tells_apart_two_nodes_that_ended() -> None:
    other = b"/o"
    history = [
        done(V2Set(KEY, b"1", 5), V2Response("set", node(b"1", 2, 2)), 2, 0),
        done(V2Set(other, b"2", 5), V2Response("set", V2Node(other, b"2", 3, 3)), 3, 1),
        done(V2Get(KEY, quorum=True), V2Error(NOT_FOUND), 5, 9),
    ]
    for first, second in ((KEY, other), (other, KEY)):
        verdict = linear.check(history, v2=heard(V2Response("expire", V2Node(second, b"", 5, 0))))
        assert verdict.violations == []
        assert [verdict.v2[revision][0].key for revision in (4, 5)] == [first, second]


def test_what_a_watcher_heard_tells_apart_two_values() -> None:
    history = [done(V2Set(KEY, b"1"), V2Response("set", node(b"1", 2, 2)), 2, 0)]
    for value in (b"x", b"y"):
        history.append(h.Operation(1, 1, 1, 1.0, V2Set(KEY, value, prev_exist="true")))
    for value in (b"x", b"y"):
        verdict = linear.check(history, v2=heard(V2Response("update", node(value, 3, 0))))
        assert verdict.changes[3][0].kv.value == value


# ---- watches ------------------------------------------------------------------------------------

EVENTS = [
    V2Response("set", node(b"1", 2, 2)),
    V2Response("set", node(b"2", 3, 3), node(b"1", 2, 2)),
    V2Response("compareAndSwap", node(b"3", 4, 3), node(b"2", 3, 3)),
]
HAPPENED = {event.node.modified: [event] for event in EVENTS}


def stream(*events: V2Response, wait_index: int = 2, poll: bool = False) -> V2Watch:
    return V2Watch(1, KEY, wait_index, not poll, 1, events)


def laws(watch: V2Watch, compacted: int = 0) -> list[str]:
    found = v2_judge.check_watches([watch], HAPPENED, compacted, [watch.id])
    return [violation.law for violation in found]


def test_what_a_watch_is_told() -> None:
    assert laws(stream(*EVENTS)) == []
    assert laws(stream(EVENTS[0], wait_index=0)) == ["a v2 watch was left in silence"]
    assert laws(stream(EVENTS[1], poll=True, wait_index=3)) == []
    assert laws(stream(*EVENTS[:2])) == ["a v2 watch was left in silence"]
    assert laws(stream(EVENTS[0], EVENTS[2])) == ["a v2 watch left out an event"]
    assert laws(stream(EVENTS[0], EVENTS[0])) == ["a v2 watch repeated an event"]
    assert laws(stream(*EVENTS[:2], poll=True)) == ["a v2 watch was told too much"]
    other = EVENTS[2]._replace(action="set")
    assert laws(stream(*EVENTS[:2], other)) == ["a v2 watch was told otherwise"]
    strange = V2Response("set", node(b"x", 9, 9))
    assert laws(stream(EVENTS[0], strange)) == ["a v2 watch was told what did not happen"]


@pytest.mark.parametrize("compacted", [0, 4])
def test_an_event_lacks_nothing_though_it_is_compacted(compacted: int) -> None:
    for bare in (EVENTS[2]._replace(prev=None), EVENTS[2]._replace(node=node(b"3", 4, 0))):
        assert laws(stream(*EVENTS[:2], bare), compacted) == ["a v2 watch was told otherwise"]


def test_history_is_cleared_only_by_a_compaction() -> None:
    watch = V2Watch(1, KEY, 3, True, is_cleared=True)
    assert laws(watch, compacted=2) == ["a v2 watch was cleared without need"]
    assert laws(watch, compacted=3) == []


def test_watches_hear_of_api_3_and_not_of_refreshes() -> None:
    operations = both()
    verdict = linear.check(operations)
    verdict.v2[4] = (V2Set(KEY, b"", 5, refresh=True), verdict.v2[4][1])  # type: ignore[index]
    happened = v2_judge.happenings(verdict.changes, verdict.v2)
    assert happened == {2: [EVENTS[0]], 3: [EVENTS[1]], 4: []}


# ---- times to live ------------------------------------------------------------------------------


def of_times(
    gone_s: float, *clocks: ClockSet, last_get_s: float = 0.0, is_seen: bool = True
) -> list[str]:
    """A node for 5 s, set at 10, that was gone when somebody looked at `gone_s`."""
    history = h.History()
    history.expirations = [V2Expiration(KEY, 2, 15.0)]
    history.clocks = list(clocks)
    history.operations = [done(V2Set(KEY, b"1", 5), V2Response("set", node(b"1", 2, 2)), 2, 10.0)]
    if last_get_s:
        get = done(V2Get(KEY, True), V2Response("get", node(b"1", 2, 2)), 2, last_get_s)
        history.operations.append(get)
    put = h.Event("put", h.KeyValue(KEY, b"1", 2, 2, 1, LEASE_BASE | 2))
    delete = h.Event("delete", h.KeyValue(KEY, b"", 0, 3, 0), put.kv)
    expired = (V2Expire(KEY), V2Response("expire", node(b"", 3, 2), node(b"1", 2, 2)))
    calm_since_s = 20.0 if last_get_s else inf
    changes = {2: [put], 3: [delete]}
    found = v2_judge.check_times(
        history, changes, {3: expired}, {3: gone_s}, {3: [delete]} if is_seen else {}, calm_since_s
    )
    return [violation.law for violation in found]


def test_a_node_ends_not_before_its_time_by_any_clock() -> None:
    assert of_times(15.2) == []
    assert of_times(14.0) == ["a node ended early"]
    assert of_times(14.0, is_seen=False) == []  # that it was this node is a guess
    ahead = ClockSet(1, 12.0, 3600.0)
    assert of_times(14.0, ahead) == []
    assert of_times(11.5, ahead) == ["a node ended early"]
    behind = ClockSet(1, 12.0, -3600.0)
    assert of_times(14.0, behind) == ["a node ended early"]


def test_a_node_does_not_outlive_its_time_once_all_is_well() -> None:
    assert of_times(99.0, last_get_s=27.0) == []
    assert of_times(99.0, last_get_s=29.0) == ["a node outlived its time"]


def test_everybody_is_told_the_same_time() -> None:
    history = h.History()
    history.expirations = [V2Expiration(KEY, 2, 15.0), V2Expiration(KEY, 2, 15.0)]
    assert v2_judge.check_times(history, {}, {}, {}, {}) == []
    history.expirations.append(V2Expiration(KEY, 2, 16.0))
    (found,) = v2_judge.check_times(history, {}, {}, {}, {})
    assert found.law == "a node has two times to end"
