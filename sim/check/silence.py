"""What watchers were not told, though they were told of something later: evidence for `linear`.

    watch of k from 5:   event at 7   event at 12      revisions 5, 6 and 8 to 11 left k alone

    watch of k:   event at 12, before it the pair of 7     revisions 8 to 11 left k alone
    watch of k:   event at 12, and there it is in the end  what came after 12 left k alone

A write whose outcome is unknown may have made a revision that nobody answered for; which one it
was is a guess as long as nothing was seen of it. A watcher's silence rules guesses out, and so does
what it was told of the pair before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sim.check.history import Event, Watch, Watcher
from sim.check.model import within
from sim.check.spans import Spans
from sim.check.watching import begins_at


class _Span(NamedTuple):
    """Of these revisions, both ends included, a watcher was told everything."""

    first: int
    last: int
    request: Watch
    told: set[tuple[int, bytes]]

    def denies(self, revision: int, event: Event) -> bool:
        request, key = self.request, event.kv.key
        return (
            self.first <= revision <= self.last
            and within(key, request.key, request.end)
            and not (request.no_put if event.kind == "put" else request.no_delete)
            and (revision, key) not in self.told
        )


class Silence:
    """All watchers' silence. `alive` and `final_revision` are explained in `watching`."""

    def __init__(
        self,
        watchers: Sequence[Watcher],
        alive: Collection[int] = (),
        final_revision: int = 0,
    ) -> None:
        spans = (_span(each, final_revision if each.id in alive else 0) for each in watchers)
        self._spans = [span for span in spans if span.first and span.first <= span.last]
        self._alone = Spans()
        self._written: dict[int, set[tuple[bytes, bytes]]] = defaultdict(set)
        for watcher in watchers:
            for event in (event for message in watcher.messages for event in message.events):
                self._note_pair_before(event)

    def _note_pair_before(self, event: Event) -> None:
        prev = event.prev
        if prev is not None:
            self._alone.add(prev.key, prev.mod_revision, event.kv.mod_revision)
            self._written[prev.mod_revision].add((prev.key, prev.value))

    def denies(self, revision: int, changes: Sequence[Event]) -> bool:
        """Whether somebody would have been told of one of the changes, and was not, or was told
        of another."""
        written = self._written.get(revision)
        if written is not None:
            puts = {(event.kv.key, event.kv.value) for event in changes if event.kind == "put"}
            if not puts >= written:
                return True
        return any(
            self._alone.cover(event.kv.key, revision)
            or any(span.denies(revision, event) for span in self._spans)
            for event in changes
        )


def _span(watcher: Watcher, rested_at: int) -> _Span:
    """`rested_at`: the revision up to which everything has come, because there was time."""
    last = 0
    told: set[tuple[int, bytes]] = set()
    for message in watcher.messages:
        if message.kind == "progress":
            last = max(last, message.revision)
        for event in message.events:
            revision = event.kv.mod_revision
            told.add((revision, event.kv.key))
            last = max(last, revision - 1)  # of the last revision a part may be still to come
    if not watcher.messages or watcher.messages[-1].kind not in ("compacted", "cancelled"):
        last = max(last, rested_at)
    return _Span(begins_at(watcher), last, watcher.request, told)
