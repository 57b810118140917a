"""What API 2 told of a revision tells apart those who may have made it."""

import pytest

from sim.check import history as h
from sim.check.judge import Judgement, judge
from sim.check.model import Model
from sim.check.v2_evidence import V2Evidence
from sim.check.v2_records import (
    NOT_FOUND,
    V2Delete,
    V2Error,
    V2Get,
    V2Node,
    V2Response,
    V2Set,
    V2Watch,
)

KEY, OTHER = b"/k", b"/o"
REFRESH = V2Set(KEY, b"", 5, prev_exist="true", refresh=True)
SET = V2Response("set", V2Node(KEY, b"1", 2, 2))


def done(request: object, response: object, revision: int) -> h.Operation:
    return h.Operation(1, 1, 1, revision, request, revision + 0.5, response, revision)


def judged(
    lost: list[object],
    told: list[V2Response],
    last: h.Operation | None = None,
    first: h.Operation | None = None,
    wait_index: int = 9,
) -> Judgement:
    """A node set at 2, then requests without an answer, then a watch of everything."""
    history = h.History()
    history.operations = [first or done(V2Set(KEY, b"1", 5), SET, 2)]
    history.operations += [h.Operation(2, 2, 1, 2.6, request) for request in lost]
    if last is not None:
        history.operations.append(last)
    history.v2_watches = [V2Watch(1, b"/", wait_index, True, 1, tuple(told))]
    return judge(history)


def expired(at: int, modified: int) -> V2Response:
    return V2Response("expire", V2Node(KEY, b"", at, 2), V2Node(KEY, b"1", modified, 2))


@pytest.mark.parametrize("modified", [2, 3, 4])
def test_the_node_before_an_event_tells_which_revision_was_a_refresh(modified: int) -> None:
    puts = [h.Put(b"a", b"x"), h.Put(b"b", b"y")]
    for lost in ([REFRESH, *puts], [*puts, REFRESH]):
        found = judged(lost, [expired(5, modified)], wait_index=5)
        assert (found.violations, found.undecided) == ([], False)
    found = judged(puts, [expired(5, 3)], wait_index=5)
    assert [each.law for each in found.violations] == ["a v2 watch was told otherwise"]


def test_the_node_that_an_answer_shows_was_written_by_then_and_not_since() -> None:
    read = done(V2Get(KEY, True), V2Response("get", V2Node(KEY, b"1", 4, 2)), 5)
    evidence = V2Evidence(operations=[read])
    refreshed = V2Response("update", V2Node(KEY, b"1", 4, 2), V2Node(KEY, b"1", 2, 2))
    assert not evidence.denies(4, REFRESH, [refreshed])
    assert evidence.denies(4, V2Set(OTHER, b""), [V2Response("set", V2Node(OTHER, b"", 4, 4))])
    assert evidence.denies(4, REFRESH, [refreshed._replace(node=V2Node(KEY, b"1", 4, 4))])
    later = V2Response("set", V2Node(KEY, b"2", 5, 5), V2Node(KEY, b"1", 4, 2))
    assert evidence.denies(5, V2Set(KEY, b"2"), [later])
    assert not evidence.denies(6, V2Set(KEY, b"2"), [later])


@pytest.mark.parametrize("order", [1, -1])
def test_who_waited_was_told_of_all_but_refreshes(order: int) -> None:
    update = V2Set(KEY, b"2", prev_exist="true")
    told = V2Response("update", V2Node(KEY, b"2", 4, 2), V2Node(KEY, b"1", 3, 2))
    deleted = done(
        V2Delete(KEY),
        V2Response("delete", V2Node(KEY, b"", 5, 2), V2Node(KEY, b"2", 4, 2)),
        5,
    )
    events = [told, deleted.response]
    lost = [REFRESH, update, V2Set(OTHER, b"3"), V2Set(KEY, b"4", 5)][::order]
    assert not judged(lost, events, deleted, wait_index=3).violations


def test_nothing_was_there_before_an_event_without_a_node_before_it() -> None:
    put = done(h.Put(KEY, b"2"), h.PutResponse(), 5)
    event = V2Response("set", V2Node(KEY, b"2", 5, 5))
    forever = done(V2Set(KEY, b"1"), SET, 2)
    puts = [h.Put(b"a", b""), h.Put(b"b", b"")]
    for first, lost in ((forever, [*puts, V2Delete(KEY)]), (None, puts)):  # or its time was over
        found = judged(lost, [event], put, first, wait_index=5)
        assert (found.violations, found.undecided) == ([], False)
    found = judged(puts, [event], put, forever, wait_index=5)
    assert [each.law for each in found.violations] == ["a v2 watch was told otherwise"]


def test_a_watch_at_rest_was_told_of_everything() -> None:
    watch = V2Watch(1, KEY, 0, False, 3)
    deletion = V2Response("delete", V2Node(KEY, b"", 7, 2), V2Node(KEY, b"1", 2, 2))
    assert not V2Evidence([watch]).denies(7, V2Delete(KEY), [deletion])
    resting = V2Evidence([watch], resting=[1])
    assert resting.denies(7, V2Delete(KEY), [deletion])
    assert not resting.denies(3, V2Delete(KEY), [deletion])
    other = deletion._replace(node=V2Node(OTHER, b"", 7, 2))
    assert not resting.denies(7, V2Delete(OTHER), [other])


def test_data_with_other_created_indexes_is_other_data() -> None:
    """The search would take one branch for another that has failed."""
    again, put = V2Set(KEY, b"2"), h.Put(b"a", b"")
    update = V2Set(KEY, b"3", prev_exist="true")
    models = []
    for order in ((again, put), (put, again)):
        model = Model()
        for request in (V2Set(KEY, b"1"), *order, update, h.Delete(b"a")):
            model.apply(request)
        models.append(model)
        mark, before = model.mark(), model.fingerprint
        model.apply(REFRESH)
        model.undo(mark)
        assert model.fingerprint == before
    assert models[0].kvs == models[1].kvs
    assert models[0].fingerprint != models[1].fingerprint


def test_a_gone_node_is_not_shown() -> None:
    gone = done(V2Get(KEY, True), V2Error(NOT_FOUND), 5)
    assert not V2Evidence(operations=[gone]).nodes
    assert not V2Evidence([V2Watch(1, KEY, 2, True, 1, (expired(5, 2),))]).nodes.get(5)
