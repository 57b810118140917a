"""The heap of deadlines against a plain dict."""

from hypothesis import given
from hypothesis import strategies as st

from petcd.lease.deadlines import STALE_ENTRIES_MIN, Deadlines


def pop_due(deadlines, now_s):
    lease_id = deadlines.first_due(now_s)
    if lease_id is not None:
        deadlines.discard(lease_id)
    return lease_id


def test_the_earliest_deadline_comes_first_and_equal_ones_by_id():
    deadlines = Deadlines()
    for lease_id, time_s in ((3, 5.0), (1, 5.0), (2, 4.0)):
        deadlines.set(lease_id, time_s)
    assert deadlines.next_s() == 4.0
    assert [pop_due(deadlines, 5.0) for _ in range(4)] == [2, 1, 3, None]


def test_nothing_is_popped_before_it_is_due():
    deadlines = Deadlines()
    deadlines.set(1, 5.0)
    assert pop_due(deadlines, 4.9) is None
    assert 1 in deadlines
    assert pop_due(deadlines, 5.0) == 1
    assert 1 not in deadlines


def test_a_moved_deadline_counts_only_where_it_is_now():
    deadlines = Deadlines()
    deadlines.set(1, 5.0)
    deadlines.set(1, 9.0)
    assert pop_due(deadlines, 8.0) is None
    deadlines.set(1, 2.0)
    assert pop_due(deadlines, 8.0) == 1
    assert pop_due(deadlines, 100.0) is None


def test_stale_entries_do_not_pile_up():
    deadlines = Deadlines()
    for turn in range(10_000):
        deadlines.set(turn % 10, float(turn))
    assert len(deadlines._heap) <= 2 * 10 + STALE_ENTRIES_MIN
    for turn in range(10_000):
        deadlines.set(1_000_000 + turn, 1e9)
        deadlines.discard(1_000_000 + turn)
    assert len(deadlines) == 10
    assert len(deadlines._heap) <= 2 * 10 + STALE_ENTRIES_MIN


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["set", "discard", "pop", "move", "next", "clear"]),
            st.integers(0, 20),
            st.integers(0, 30),
        )
    )
)
def test_deadlines_agree_with_a_plain_dict(steps):
    deadlines = Deadlines()
    model: dict[int, int] = {}
    for kind, lease_id, time_s in steps:
        if kind == "set":
            deadlines.set(lease_id, time_s)
            model[lease_id] = time_s
        elif kind == "discard":
            deadlines.discard(lease_id)
            model.pop(lease_id, None)
        elif kind == "pop":
            due = sorted((t, i) for i, t in model.items() if t <= time_s)
            assert pop_due(deadlines, time_s) == (due[0][1] if due else None)
            if due:
                del model[due[0][1]]
        elif kind == "move":
            first = deadlines.first_due(time_s)
            if first is not None:
                deadlines.move_first(first, time_s + lease_id)
                model[first] = time_s + lease_id
        elif kind == "next":
            assert deadlines.next_s() == min(model.values(), default=None)
        else:
            deadlines.clear()
            model.clear()
        assert len(deadlines) == len(model)
