"""What API 2 told of revisions that nobody answered for: evidence for `linear`.

    event of k at 12, before it the node of 7      7 put k, with that value and created index, and
                                                   watchers of 12 know what was there before
    answer that shows the node of 7, at index 9    the same of 7, and 8 and 9 left k alone
    watch from 5: event at 8, then at 12           5 to 7 and 9 to 11 were refreshes, or of others

Of an event the action and the value are beyond doubt. The rest rules guesses out as long as there
are others, as `silence` does: `linear` says how.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from math import inf
from typing import Any

from sim.check.history import Operation
from sim.check.spans import Spans
from sim.check.v2_records import V2Node, V2Response, V2Set, V2Watch

EVERYTHING = b"/"
GONE = ("delete", "compareAndDelete", "expire")


class V2Evidence:
    """`events` that watches were told, and `nodes` that somebody was shown, by revision and key.

    `resting`: ids of watches that have been told everything there is.
    """

    def __init__(
        self,
        watches: Iterable[V2Watch] = (),
        operations: Iterable[Operation] = (),
        resting: Collection[int] = (),
    ) -> None:
        self.events: dict[int, dict[bytes, V2Response]] = defaultdict(dict)
        self.nodes: dict[int, dict[bytes, V2Node]] = defaultdict(dict)
        self._silent = Spans()
        self._alone = Spans()
        for watch in watches:
            self._listen(watch, watch.id in resting)
        for op in operations:
            if type(op.response) is V2Response:
                self._show(op.response, op.revision)

    def _listen(self, watch: V2Watch, is_resting: bool) -> None:
        for event in watch.events:
            self.events[event.node.modified][event.node.key] = event
            self._show(event, event.node.modified)
        if not watch.began_at or watch.is_cleared:
            return
        ends: list[float] = [(watch.wait_index or watch.began_at + 1) - 1]
        ends += [event.node.modified for event in watch.events]
        if is_resting:
            ends.append(inf)
        for after, before in pairwise(ends):
            self._silent.add(watch.key, after, before)

    def _show(self, response: V2Response, revision: int) -> None:
        action, node, prev = response
        if action == "get":
            self._alone.add(node.key, node.modified, revision + 1)
        elif prev is not None:
            self.nodes[prev.modified][prev.key] = prev
            self._alone.add(prev.key, prev.modified, revision)
        if action not in GONE:
            self.nodes[node.modified][node.key] = node

    def contradicts(self, revision: int, done: Sequence[V2Response]) -> bool:
        """Whether watches were told that something else was done. `done`: `v2_model.events_of`."""
        told = self.events.get(revision)
        if told is None:
            return False
        found = {event.node.key: (event.action, event.node.value) for event in done}
        return any(
            found.get(key) != (event.action, event.node.value) for key, event in told.items()
        )

    def denies(self, revision: int, request: Any, done: Sequence[V2Response]) -> bool:
        """Whether a request of unknown outcome can hardly have done this."""
        is_refresh = type(request) is V2Set and request.refresh
        return self.disputes(revision, done) or any(
            self._alone.cover(event.node.key, revision)
            or (not is_refresh and self._is_silent(event.node.key, revision))
            for event in done
        )

    def disputes(self, revision: int, done: Sequence[V2Response]) -> bool:
        """Whether what was told or shown differs in anything."""
        told, shown = self.events.get(revision), self.nodes.get(revision)
        if told is None and shown is None:
            return False
        found = {event.node.key: event for event in done}
        return any(found.get(key) != event for key, event in (told or {}).items()) or any(
            key not in found or found[key].node != node for key, node in (shown or {}).items()
        )

    def _is_silent(self, key: bytes, revision: int) -> bool:
        return self._silent.cover(key, revision) or self._silent.cover(EVERYTHING, revision)
