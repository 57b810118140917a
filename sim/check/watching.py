"""The guarantees of watch, watcher by watcher, against what really happened.

    ordered      events come by ascending revision
    unique       no event comes twice
    reliable     no event between two that came is missing
    atomic       the events of one revision come in one message, unless it says it is a fragment
    resumable    a watch that begins at a revision gets everything from there on, or is told that
                 this is compacted
    bookmarkable a progress message at revision r comes after everything up to r

and besides: events are what was written (key-value, previous key-value, kind), filters hold, only
keys of the range come, and nobody who is still connected in the end is left in silence.

The truth is `linear.Verdict.changes`. Without it, only order, uniqueness and atomicity are judged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from sim.check.history import Event, Message, Violation, Watcher
from sim.check.model import within


def seen_events(
    watchers: Iterable[Watcher], answered: Collection[int] = ()
) -> dict[int, list[Event]]:
    """What watchers were told, by revision, each change once: evidence for `linear.check`.

    A previous key-value tells of the write that made it, when that was not `answered` itself.
    """
    found: dict[int, dict[tuple[str, bytes], Event]] = defaultdict(dict)
    for watcher in watchers:
        for message in watcher.messages:
            for event in message.events:
                found[event.kv.mod_revision][event.kind, event.kv.key] = event
                prev = event.prev
                if prev is not None and prev.mod_revision not in answered:
                    put = Event("put", prev)
                    found[prev.mod_revision].setdefault(("put", prev.key), put)
    return {revision: list(events.values()) for revision, events in found.items()}


def check(
    watchers: Sequence[Watcher],
    changes: Mapping[int, Sequence[Event]] | None,
    compacted: int = 0,
    alive: Collection[int] = (),
    final_revision: int = 0,
) -> list[Violation]:
    """Judge all watchers.

    `compacted`: the highest revision anybody asked to compact to (previous key-values below it may
    be gone). `alive`: ids of watchers that were connected while the store rested at
    `final_revision` for long enough; they must have been told everything up to there.
    """
    violations: list[Violation] = []
    for watcher in watchers:
        tape = None if changes is None else _Tape(watcher, changes)
        end = final_revision if watcher.id in alive else 0
        found = _Judge(watcher, tape, compacted).run(end)
        if found is not None:
            violations.append(found)
    return violations


def begins_at(watcher: Watcher) -> int:
    """The first revision a watcher is to be told of; 0 while it was not created."""
    if watcher.request.start_revision:
        return watcher.request.start_revision
    for message in watcher.messages:
        if message.kind == "created":
            return message.revision + 1
    return 0


class _Tape:
    """What a watcher should be told, in order, and how much of it has come."""

    def __init__(self, watcher: Watcher, changes: Mapping[int, Sequence[Event]]) -> None:
        request = watcher.request
        first = begins_at(watcher)
        self.events = [
            event
            for revision in sorted(changes)
            if revision >= first
            for event in changes[revision]
            if within(event.kv.key, request.key, request.end)
            and not (request.no_put if event.kind == "put" else request.no_delete)
        ]
        self.revisions = [event.kv.mod_revision for event in self.events]
        self.place = 0

    def due(self, revision: int) -> Event | None:
        """The first event up to `revision` that has not come, if there is one."""
        if self.place < bisect_right(self.revisions, revision):
            return self.events[self.place]
        return None


class _Judge:
    """One watcher."""

    def __init__(self, watcher: Watcher, tape: _Tape | None, compacted: int) -> None:
        self.watcher = watcher
        self.tape = tape
        self.compacted = compacted
        self.last_revision = 0
        self.bookmark = 0
        self.is_fragment = False
        self.is_ended = False
        self.seen: set[bytes] = set()
        """Keys of the last revision that came: their events are not to come again."""

    def run(self, final_revision: int) -> Violation | None:
        """The first broken guarantee, or None."""
        for message in self.watcher.messages:
            found = self._take(message)
            if found is not None:
                return found
        if final_revision and not self.is_ended and begins_at(self.watcher) and self.tape:
            missing = self.tape.due(final_revision)
            if missing is not None:
                return self._broken("a watcher was left in silence", f"never told of {missing}")
            if self.is_fragment:
                return self._broken("a fragment without the rest", "nothing came after it")
        return None

    def _take(self, message: Message) -> Violation | None:
        if self.is_ended:
            return self._broken("a watcher that has ended was told more", str(message))
        if message.kind == "events":
            return self._take_events(message)
        if self.is_fragment:
            return self._broken("a fragment without the rest", f"{message} came after it")
        if message.kind == "progress":
            return self._take_progress(message)
        if message.kind == "compacted":
            self.is_ended = True
            return self._take_compacted(message)
        self.is_ended = message.kind == "cancelled"
        return None

    def _take_events(self, message: Message) -> Violation | None:
        if not message.events:
            return self._broken("a watcher was told nothing", str(message))
        first = message.events[0].kv.mod_revision
        if first == self.last_revision and not self.is_fragment:
            law = "a watch split a revision"
            if message.events[0].kv.key in self.seen:
                law = "a watch repeated an event"
            return self._broken(law, str(message.events[0]))
        self.is_fragment = message.fragment
        for event in message.events:
            found = self._take_event(event)
            if found is not None:
                return found
        return None

    def _take_event(self, event: Event) -> Violation | None:
        revision = event.kv.mod_revision
        if revision < begins_at(self.watcher):
            return self._broken("a watch began too early", str(event))
        if revision < self.last_revision:
            detail = f"{event} after revision {self.last_revision}"
            return self._broken("a watch went back", detail)
        if revision <= self.bookmark:
            detail = f"{event} after progress at {self.bookmark}"
            return self._broken("progress overtook an event", detail)
        if revision > self.last_revision:
            self.last_revision = revision
            self.seen = set()
        if event.kv.key in self.seen:
            return self._broken("a watch repeated an event", str(event))
        self.seen.add(event.kv.key)
        return self._compare(event)

    def _compare(self, event: Event) -> Violation | None:
        tape = self.tape
        if tape is None:
            return None
        if tape.place == len(tape.events):
            return self._broken("an event of something that was not written", str(event))
        expected = tape.events[tape.place]
        tape.place += 1
        if event.kv != expected.kv or event.kind != expected.kind:
            if expected.kv.mod_revision < event.kv.mod_revision:
                detail = f"{expected} is missing before {event}"
                return self._broken("a watch left out an event", detail)
            detail = f"{event} instead of {expected}"
            return self._broken("an event of something that was not written", detail)
        wanted = expected.prev if self.watcher.request.prev_kv else None
        may_be_gone = event.prev is None and event.kv.mod_revision - 1 < self.compacted
        if event.prev != wanted and not may_be_gone:
            return self._broken("a wrong previous key-value", f"{event} instead of {wanted}")
        return None

    def _take_progress(self, message: Message) -> Violation | None:
        if message.revision < self.bookmark:
            return self._broken("progress went back", f"{message} after {self.bookmark}")
        self.bookmark = message.revision
        missing = self.tape.due(message.revision) if self.tape else None
        if missing is not None:
            detail = f"{missing} had not come before progress at {message.revision}"
            return self._broken("progress overtook an event", detail)
        return None

    def _take_compacted(self, message: Message) -> Violation | None:
        """Only who still needs something that is compacted may be ended so."""
        needs = max(begins_at(self.watcher), self.last_revision + 1)
        if not message.compact_revision:
            return self._broken("an end by compaction without its revision", str(message))
        if needs >= message.compact_revision:
            return self._broken("a watch ended without need", f"{message} at revision {needs}")
        return None

    def _broken(self, law: str, detail: str) -> Violation:
        return Violation(law, f"{self.watcher}: {detail}")
