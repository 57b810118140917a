"""A follower's progress in the eyes of its leader, and the window of appends under way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.raft import InvariantBroken
from petcd.raft.inflights import Inflights
from petcd.raft.progress import Progress, ProgressState, describe_progress

PROBE, REPLICATE, SNAPSHOT = (
    ProgressState.PROBE,
    ProgressState.REPLICATE,
    ProgressState.SNAPSHOT,
)


def progress(match: int, next_index: int, state: int = PROBE, window: int = 4) -> Progress:
    made = Progress(match, next_index, Inflights(window))
    made.state = state
    return made


def test_probing_begins_behind_the_match_or_behind_a_sent_snapshot() -> None:
    replicating = progress(1, 9, REPLICATE)
    replicating.become_probe()
    assert (replicating.state, replicating.next) == (PROBE, 2)
    waiting = progress(1, 2)
    waiting.become_snapshot(10)
    assert (waiting.state, waiting.next, waiting.pending_snapshot) == (SNAPSHOT, 11, 10)
    waiting.snapshot_sent()
    assert (waiting.state, waiting.next, waiting.pending_snapshot) == (PROBE, 11, 0)


def test_a_failed_snapshot_is_probed_as_if_it_had_not_been() -> None:
    waiting = progress(1, 2)
    waiting.become_snapshot(10)
    waiting.snapshot_failed()
    assert (waiting.state, waiting.next) == (PROBE, 2)


def test_replication_starts_behind_the_match_with_an_empty_window() -> None:
    each = progress(1, 5)
    each.inflights.add(4, 1)
    each.become_replicate()
    assert (each.state, each.next, each.inflights.count) == (REPLICATE, 2, 0)


@pytest.mark.parametrize(
    ("index", "match", "next_index", "news"),
    [(2, 3, 5, False), (3, 3, 5, True), (4, 4, 5, True), (5, 5, 6, True)],
)
def test_an_acknowledgement_moves_match_and_never_moves_next_back(
    index: int, match: int, next_index: int, news: bool
) -> None:
    each = progress(3, 5)
    assert each.acknowledge(index) is news
    assert (each.match, each.next) == (match, next_index)


def test_a_repeated_acknowledgement_is_no_news_outside_of_probing() -> None:
    assert not progress(3, 5, REPLICATE).acknowledge(3)


@pytest.mark.parametrize(
    ("state", "match", "next_index", "rejected", "hint", "taken", "then_next"),
    [
        (REPLICATE, 5, 10, 5, 5, False, 10),  # stale: matched already
        (REPLICATE, 5, 10, 4, 4, False, 10),
        (REPLICATE, 5, 10, 9, 9, True, 6),  # back to what is certain
        (PROBE, 0, 0, 0, 0, False, 0),  # not what was probed
        (PROBE, 0, 10, 5, 5, False, 10),
        (PROBE, 0, 10, 9, 9, True, 9),
        (PROBE, 0, 2, 1, 1, True, 1),
        (PROBE, 0, 1, 0, 0, True, 1),  # never below match + 1
        (PROBE, 0, 10, 9, 2, True, 3),  # the hint is lower
        (PROBE, 3, 10, 9, 1, True, 4),
    ],
)
def test_a_refusal_lowers_next_if_it_is_about_the_last_append(
    state: int,
    match: int,
    next_index: int,
    rejected: int,
    hint: int,
    taken: bool,
    then_next: int,
) -> None:
    each = progress(match, next_index, state)
    assert each.reject(rejected, hint) is taken
    assert (each.match, each.next) == (match, then_next)


def test_a_probe_with_entries_waits_for_its_answer() -> None:
    each = progress(3, 4)
    each.sent_entries(0, 0)
    assert not each.is_paused()
    each.sent_entries(2, 10)
    assert each.is_paused()
    assert each.next == 4
    each.heard_heartbeat()
    assert not each.is_paused()


def test_replication_pauses_when_the_window_is_full() -> None:
    each = progress(3, 4, REPLICATE, window=2)
    each.sent_entries(2, 10)
    assert (each.next, each.is_paused()) == (6, False)
    each.sent_entries(1, 10)
    assert (each.next, each.is_paused()) == (7, True)
    each.acknowledge(5)
    each.resume_after(5, 1)
    assert not each.is_paused()


def test_nothing_is_sent_while_a_snapshot_is_under_way() -> None:
    each = progress(3, 4)
    each.become_snapshot(9)
    assert each.is_paused()
    with pytest.raises(InvariantBroken, match="unhandled state StateSnapshot"):
        each.sent_entries(1, 1)


@pytest.mark.parametrize(("first_index", "state"), [(4, REPLICATE), (5, REPLICATE), (6, SNAPSHOT)])
def test_a_snapshot_ends_when_the_log_reaches_the_follower(first_index: int, state: int) -> None:
    each = progress(1, 2)
    each.become_snapshot(9)
    assert each.acknowledge(4)
    each.resume_after(4, first_index)
    assert each.state == state


@pytest.mark.parametrize(
    ("sent", "next_index", "commit", "useful"),
    [(3, 10, 3, False), (3, 10, 4, True), (9, 10, 12, False), (8, 10, 9, True)],
)
def test_a_commit_index_is_told_if_the_follower_can_use_it(
    sent: int, next_index: int, commit: int, useful: bool
) -> None:
    each = progress(1, next_index, REPLICATE)
    each.sent_commit = sent
    assert each.can_bump_commit(commit) is useful


def test_progress_prints_what_is_unusual() -> None:
    each = Progress(3, 6, Inflights(1), is_learner=True)
    each.become_snapshot(7)
    text = "StateSnapshot match=3 next=8 learner paused pendingSnap=7 inactive"
    assert str(each) == text
    full = Progress(3, 4, Inflights(1), recent_active=True)
    full.become_replicate()
    full.sent_entries(1, 1)
    assert str(full) == "StateReplicate match=3 next=5 paused inflight=1[full]"
    assert describe_progress({12: each, 2: full}) == f"2: {full}\n12: {text}\n"


# ---- the window ----


@given(
    st.integers(1, 5),
    st.integers(0, 20),
    st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.integers(0, 9)), max_size=40),
)
def test_the_window_counts_what_was_sent_and_not_acknowledged(
    count_max: int, bytes_max: int, steps: list[tuple[bool, int, int]]
) -> None:
    window = Inflights(count_max, bytes_max)
    model: list[tuple[int, int]] = []
    last = 0
    for is_send, number, size in steps:
        if is_send:
            total = sum([each for _, each in model])
            full = len(model) >= count_max or (bytes_max and total >= bytes_max)
            assert window.is_full() == bool(full)
            if not full:
                last += number
                window.add(last, size)
                model.append((last, size))
        else:
            window.free_to(number)
            model = [(index, each) for index, each in model if index > number]
        assert window.count == len(model)
        assert window.size_bytes == sum([each for _, each in model])
    copy = window.copy()
    window.clear()
    assert (window.count, window.size_bytes) == (0, 0)
    assert copy.count == len(model)


def test_a_full_window_takes_nothing() -> None:
    window = Inflights(1)
    window.add(1, 1)
    with pytest.raises(InvariantBroken, match="Full inflights"):
        window.add(2, 1)
