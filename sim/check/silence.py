"""What watchers were not told, though they were told of something later: evidence for `linear`.

    watch of k from 5:   event at 7   event at 12      revisions 5, 6 and 8 to 11 left k alone

A write whose outcome is unknown may have made a revision that nobody answered for; which one it
was is a guess as long as nothing was seen of it. A watcher's silence rules guesses out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sim.check.history import Event, Watch, Watcher
from sim.check.model import within
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
    """All watchers' silence."""

    def __init__(self, watchers: Iterable[Watcher]) -> None:
        spans = (_span(watcher) for watcher in watchers)
        self._spans = [span for span in spans if span.first and span.first <= span.last]

    def denies(self, revision: int, changes: Iterable[Event]) -> bool:
        """Whether somebody would have been told of one of the changes, and was not."""
        return any(span.denies(revision, event) for event in changes for span in self._spans)


def _span(watcher: Watcher) -> _Span:
    last = 0
    told: set[tuple[int, bytes]] = set()
    for message in watcher.messages:
        if message.kind == "progress":
            last = max(last, message.revision)
        for event in message.events:
            revision = event.kv.mod_revision
            told.add((revision, event.kv.key))
            last = max(last, revision - 1)  # of the last revision a part may be still to come
    return _Span(begins_at(watcher), last, watcher.request, told)
