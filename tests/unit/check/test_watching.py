"""The checker of watch guarantees: what is right passes, each kind of damage is told by its law."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from perfect_store import PerfectStore

from sim.check import linear, watching
from sim.check.history import Event, KeyValue, Message, Watch, Watcher

COMPACTED = 10


def told(changes: Mapping[int, Sequence[Event]], request: Watch, seed: int) -> Watcher:
    """A watcher that was created at revision 20 and told all it should be."""
    chance = random.Random(seed)
    watcher = Watcher(1, 1, 1, 1, request)
    watcher.messages.append(Message("created", 0.0, 20))
    tape = watching._Tape(watcher, changes)
    now_s, last = 0.0, 0
    batch: list[Event] = []
    for place, event in enumerate(tape.events):
        now_s += 0.01
        revision = event.kv.mod_revision
        batch.append(event if request.prev_kv else event._replace(prev=None))
        is_last = place + 1 == len(tape.events) or tape.revisions[place + 1] != revision
        if is_last and chance.random() < 0.6:
            watcher.messages.append(Message("events", now_s, revision, tuple(batch)))
            batch, last = [], revision
            if chance.random() < 0.2:
                watcher.messages.append(Message("progress", now_s, last))
    if batch:
        watcher.messages.append(Message("events", now_s, max(changes), tuple(batch)))
    return watcher


@pytest.fixture(scope="module")
def changes() -> dict[int, list[Event]]:
    return PerfectStore(3, 400, lost=0.0).changes


REQUESTS = [
    Watch(b"a", b"\0", 2),
    Watch(b"a", b"\0"),
    Watch(b"b", b"", 5),
    Watch(b"a", b"c", 30, prev_kv=True),
    Watch(b"a", b"\0", 2, no_put=True),
    Watch(b"a", b"\0", 2, no_delete=True),
]


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("seed", range(5))
def test_a_perfect_watcher_passes(
    request_: Watch, seed: int, changes: dict[int, list[Event]]
) -> None:
    watcher = told(changes, request_, seed)
    assert len(watcher.messages) > 5
    assert not watching.check([watcher], changes, alive={1}, final_revision=max(changes))
    assert not watching.check([watcher], None)


def law_of(
    watcher: Watcher, changes: Mapping[int, Sequence[Event]] | None, compacted: int = 0
) -> str:
    final = max(changes) if changes else 0
    found = watching.check([watcher], changes, compacted, {1}, final)
    return found[0].law if found else ""


def events_at(watcher: Watcher, number: int) -> int:
    """Place of the number-th message that carries events."""
    return [i for i, m in enumerate(watcher.messages) if m.kind == "events"][number]


def test_a_left_out_message_is_found(changes: dict[int, list[Event]]) -> None:
    watcher = told(changes, Watch(b"a", b"\0", 2), 1)
    del watcher.messages[events_at(watcher, 5)]
    watcher.messages = [m for m in watcher.messages if m.kind != "progress"]
    assert law_of(watcher, changes) == "a watch left out an event"


def test_a_repeated_message_is_found(changes: dict[int, list[Event]]) -> None:
    watcher = told(changes, Watch(b"a", b"\0", 2), 1)
    place = events_at(watcher, 5)
    watcher.messages.insert(place, watcher.messages[place])
    assert law_of(watcher, None) in ("a watch repeated an event", "a watch went back")


def test_an_older_message_is_found(changes: dict[int, list[Event]]) -> None:
    watcher = told(changes, Watch(b"a", b"\0", 2), 1)
    watcher.messages = [m for m in watcher.messages if m.kind != "progress"]
    first, then = events_at(watcher, 5), events_at(watcher, 6)
    messages = watcher.messages
    messages[first], messages[then] = messages[then], messages[first]
    assert law_of(watcher, None) == "a watch went back"


def split(watcher: Watcher, fragment: bool) -> None:
    """Cut a message in two between the events of one revision."""
    for place, message in enumerate(watcher.messages):
        for cut in range(1, len(message.events)):
            before, after = message.events[:cut], message.events[cut:]
            if before[-1].kv.mod_revision == after[0].kv.mod_revision:
                parts = (message._replace(events=before), message._replace(events=after))
                parts = (parts[0]._replace(fragment=fragment), parts[1])
                watcher.messages[place : place + 1] = parts
                return
    raise AssertionError("no revision with two events")


def test_a_split_revision_is_found_unless_it_is_a_fragment(
    changes: dict[int, list[Event]],
) -> None:
    watcher = told(changes, Watch(b"a", b"\0", 2), 1)
    split(watcher, fragment=False)
    assert law_of(watcher, changes) == "a watch split a revision"
    watcher = told(changes, Watch(b"a", b"\0", 2), 1)
    split(watcher, fragment=True)
    assert not law_of(watcher, changes)


def test_progress_that_overtakes_events_is_found(changes: dict[int, list[Event]]) -> None:
    for truth in (changes, None):
        watcher = told(changes, Watch(b"a", b"\0", 2), 1)
        place = events_at(watcher, 5)
        revision = watcher.messages[place].events[-1].kv.mod_revision
        watcher.messages.insert(place, Message("progress", 0.0, revision))
        assert law_of(watcher, truth) == "progress overtook an event"


def test_an_event_from_before_the_start_is_found(changes: dict[int, list[Event]]) -> None:
    watcher = told(changes, Watch(b"a", b"\0", 2), 1)
    watcher.request = watcher.request._replace(start_revision=50)
    assert law_of(watcher, changes) == "a watch began too early"


def test_a_changed_event_is_found(changes: dict[int, list[Event]]) -> None:
    watcher = told(changes, Watch(b"a", b"\0", 2), 1)
    place = events_at(watcher, 5)
    message = watcher.messages[place]
    event = message.events[0]
    forged = event._replace(kv=event.kv._replace(value=b"forged"))
    watcher.messages[place] = message._replace(events=(forged, *message.events[1:]))
    assert law_of(watcher, changes) == "an event of something that was not written"


def test_an_event_of_a_foreign_key_is_found(changes: dict[int, list[Event]]) -> None:
    watcher = told(changes, Watch(b"a", b"\0", 2), 1)
    watcher.request = watcher.request._replace(key=b"b", end=b"c")
    assert law_of(watcher, changes)


def test_a_previous_value_may_only_be_missing_below_the_compaction(
    changes: dict[int, list[Event]],
) -> None:
    watcher = told(changes, Watch(b"a", b"\0", 2, prev_kv=True), 1)
    place = next(i for i, m in enumerate(watcher.messages) if m.events and m.events[0].prev)
    message = watcher.messages[place]
    bare = message.events[0]._replace(prev=None)
    watcher.messages[place] = message._replace(events=(bare, *message.events[1:]))
    assert law_of(watcher, changes) == "a wrong previous key-value"
    assert not law_of(watcher, changes, compacted=bare.kv.mod_revision)


def test_silence_is_found(changes: dict[int, list[Event]]) -> None:
    watcher = told(changes, Watch(b"a", b"\0", 2), 1)
    del watcher.messages[events_at(watcher, -1) :]
    assert law_of(watcher, changes) == "a watcher was left in silence"
    watcher.messages.append(Message("cancelled", 9.0, 0))
    assert not law_of(watcher, changes)


def test_an_end_by_compaction_is_right_only_below_it(changes: dict[int, list[Event]]) -> None:
    watcher = Watcher(1, 1, 1, 1, Watch(b"a", b"\0", 5))
    watcher.messages += [Message("created", 0, 20), Message("compacted", 0, 20, (), COMPACTED)]
    assert not law_of(watcher, changes)
    watcher.request = watcher.request._replace(start_revision=COMPACTED)
    assert law_of(watcher, changes) == "a watch ended without need"
    watcher.messages.append(Message("progress", 1, 30))
    watcher.request = watcher.request._replace(start_revision=5)
    assert law_of(watcher, changes) == "a watcher that has ended was told more"


def test_what_was_seen_helps_the_replay() -> None:
    store = PerfectStore(5, 300, lost=0.3)
    watcher = told(store.changes, Watch(b"a", b"\0", 2), 1)
    seen = watching.seen_events([watcher])
    verdict = linear.check(store.history.operations, seen)
    assert not verdict.violations
    assert not watching.check([watcher], verdict.changes)
    assert max(seen) == max(verdict.changes)


def test_a_previous_value_tells_which_unanswered_write_was_done() -> None:
    prev = KeyValue(b"k", b"mine", 5, 7, 2)
    watcher = Watcher(1, 1, 1, 1, Watch(b"k", no_put=True, prev_kv=True))
    event = Event("delete", KeyValue(b"k", b"", 0, 8, 0), prev)
    watcher.messages.append(Message("events", 1.0, 8, (event,)))
    assert watching.seen_events([watcher])[7] == [Event("put", prev)]
    assert 7 not in watching.seen_events([watcher], answered={7})


def in_fragments(*messages: Message) -> Watcher:
    watcher = Watcher(1, 1, 1, 1, Watch(b"a", b"\0", 2, fragment=True))
    watcher.messages += [Message("created", 0.0, 1), *messages]
    return watcher


def part(key: bytes, revision: int, more: bool) -> Message:
    event = Event("put", KeyValue(key, b"v", revision, revision, 1))
    return Message("events", 1.0, revision, (event,), fragment=more)


def test_a_revision_comes_in_fragments_only_when_they_say_so() -> None:
    good = in_fragments(part(b"a", 5, True), part(b"b", 5, False))
    assert watching.check([good], None) == []
    (found,) = watching.check([in_fragments(part(b"a", 5, False), part(b"b", 5, False))], None)
    assert found.law == "a watch split a revision"


def test_a_fragment_is_followed_by_the_rest() -> None:
    cut = in_fragments(part(b"a", 5, True), Message("progress", 2.0, 5))
    (found,) = watching.check([cut], None)
    assert found.law == "a fragment without the rest"
    truth = {5: [Event("put", KeyValue(b"a", b"v", 5, 5, 1))]}
    at_last = in_fragments(part(b"a", 5, True))
    (found,) = watching.check([at_last], truth, alive=[1], final_revision=5)
    assert found.law == "a fragment without the rest"
