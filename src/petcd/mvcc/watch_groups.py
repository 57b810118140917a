"""Watchers, and groups of watchers that stand at the same revision.

    WatcherGroup
      exact   key          -> Topic     one lookup for each change
      ranges  [start, end) -> Topic     see watch_ranges

A topic is everybody in the group who watches the very same keys, sorted by what they want to see
of an event, so that the bytes of a response are made once for all of them.

Invariants
* Every watcher of a group has been handed all its events below the group's position and none at
  or above it.  So nobody compares revisions when events go out.
* A watcher is in one group at most (`watcher.group`), and there in the topic of its range.
* `hits` of a topic are empty except between `match` and the delivery that follows it.

Does not do: sending, reading history, moving watchers between groups (the hub's business).
"""

from __future__ import annotations

from typing import Protocol

from petcd.mvcc.revision import Change
from petcd.mvcc.watch_ranges import RangeIndex
from petcd.wire.hot import watch_response

# What a watcher wants, as bits.  The first two are 1 << kind of the change that is left out.
NO_PUT = 1
NO_DELETE = 2
PREV_KV = 4
FRAGMENT = 8


class WatchSink(Protocol):
    """Where the responses of one stream go.  It must not call the hub or the stream back."""

    def ready(self) -> bool:
        """Whether it takes more now.

        After a False it owes the stream a call of ``drained`` as soon as it takes more again.
        """
        ...

    def send(self, response: bytes) -> None:
        """Take one encoded WatchResponse; also when it is not ready."""
        ...

    def send_many(self, responses: list[bytes]) -> None:
        """Take several, in order; the list is the sink's from now on."""
        ...


class Outlet:
    """The sending side of a stream.

    ``blocked``: the sink refused, and nobody sends events until it has drained.  ``out``: made
    and not yet handed over, empty outside of a delivery.  ``parked``: watchers that missed events
    since then.
    """

    __slots__ = ("blocked", "out", "parked", "sink")

    def __init__(self, sink: WatchSink) -> None:
        self.sink = sink
        self.blocked = False
        self.out: list[bytes] = []
        self.parked: dict[Watcher, None] = {}

    def flush(self) -> None:
        """Hand over what is in ``out``."""
        out = self.out
        if out:
            self.out = []
            self.sink.send_many(out)


class Watcher:
    """One watch: the keys [key, end), or ``key`` alone when ``end`` is None; end b"": no end.

    Whether it is in a group, waits for its outlet (``parked``) or for its start revision, or has
    ended, is the hub's to know.
    """

    __slots__ = (
        "end",
        "ended",
        "group",
        "id_field",
        "key",
        "next_revision",
        "options",
        "outlet",
        "quiet",
        "start_revision",
        "wants_progress",
        "watch_id",
    )

    def __init__(
        self,
        watch_id: int,
        key: bytes,
        end: bytes | None,
        start_revision: int,
        options: int,
        outlet: Outlet,
        wants_progress: bool,
    ) -> None:
        self.watch_id = watch_id
        self.key = key
        self.end = end
        self.start_revision = start_revision  # as asked for; 0: whatever comes next
        self.options = options
        self.outlet = outlet
        self.wants_progress = wants_progress
        self.quiet = True  # no event was sent since the last tick of progress
        self.ended = False
        # All events below were handed over; kept up to date only while it is in no group.
        self.next_revision = start_revision
        self.group: WatcherGroup | None = None
        header_field = watch_response(b"", 0, b"")
        self.id_field = watch_response(b"", watch_id, b"")[len(header_field) :]


class Topic:
    """The watchers of a group with the same keys: options -> watchers; see the module's text."""

    __slots__ = ("hits", "members", "size")

    def __init__(self) -> None:
        self.members: dict[int, dict[Watcher, None]] = {}
        self.size = 0
        self.hits: list[int] = []  # indexes into the list of changes being matched

    def add(self, watcher: Watcher) -> None:
        """Take a watcher in that is not here."""
        self.members.setdefault(watcher.options, {})[watcher] = None
        self.size += 1

    def remove(self, watcher: Watcher) -> None:
        """Let a watcher go that is here."""
        same_options = self.members[watcher.options]
        del same_options[watcher]
        if not same_options:
            del self.members[watcher.options]
        self.size -= 1


class WatcherGroup:
    """See the module's text.  ``position`` is set by the hub."""

    __slots__ = ("_exact", "_ranges", "position", "prev_kv_count", "size")

    def __init__(self, position: int) -> None:
        self.position = position
        self.size = 0
        self.prev_kv_count = 0  # watchers that want the pair before
        self._exact: dict[bytes, Topic] = {}
        self._ranges: RangeIndex[Topic] = RangeIndex()

    def add(self, watcher: Watcher) -> None:
        """Take a watcher in that is in no group."""
        assert watcher.group is None, watcher.watch_id
        watcher.group = self
        self.size += 1
        self.prev_kv_count += watcher.options & PREV_KV != 0
        key, end = watcher.key, watcher.end
        topic = self._exact.get(key) if end is None else self._ranges.get(key, end)
        if topic is None:
            topic = Topic()
            if end is None:
                self._exact[key] = topic
            else:
                self._ranges.add(key, end, topic)
        topic.add(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Let a watcher of this group go."""
        assert watcher.group is self, watcher.watch_id
        watcher.group = None
        self.size -= 1
        self.prev_kv_count -= watcher.options & PREV_KV != 0
        key, end = watcher.key, watcher.end
        topic = self._exact.get(key) if end is None else self._ranges.get(key, end)
        assert topic is not None, (key, end)
        topic.remove(watcher)
        if topic.size == 0:
            if end is None:
                del self._exact[key]
            else:
                self._ranges.remove(key, end)

    def watchers(self) -> list[Watcher]:
        """Everybody in the group."""
        topics = [*self._exact.values(), *self._ranges.values()]
        return [w for topic in topics for same in topic.members.values() for w in same]

    def match(self, changes: list[Change], deliveries_max: int) -> tuple[list[Topic], int]:
        """Find who watches what: (topics with hits, first revision not looked at or 0).

        Stops between two revisions, once the hits times their watchers exceed `deliveries_max`.
        Without a watcher a change costs one dictionary lookup.
        """
        exact = self._exact
        ranges = self._ranges if len(self._ranges) else None
        touched: list[Topic] = []
        deliveries = 0
        revision = 0  # of the last hit
        for index, change in enumerate(changes):
            topic = exact.get(change.key)
            if ranges is None:
                if topic is None:
                    continue
                topics = [topic]
            else:
                topics = ranges.holding(change.key)
                if topic is not None:
                    topics.append(topic)
                elif not topics:
                    continue
            if deliveries > deliveries_max and change.revision != revision:
                return touched, change.revision
            revision = change.revision
            for topic in topics:
                if not topic.hits:
                    touched.append(topic)
                topic.hits.append(index)
                deliveries += topic.size
        return touched, 0


def merged(one: WatcherGroup, other: WatcherGroup) -> WatcherGroup:
    """One group of both, which stand at the same position; the larger one takes the others in."""
    assert one.position == other.position, (one.position, other.position)
    if one.size < other.size:
        one, other = other, one
    for watcher in other.watchers():
        other.remove(watcher)
        one.add(watcher)
    return one
