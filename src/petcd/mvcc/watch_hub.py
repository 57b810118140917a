"""The hub: takes every change of the store to everybody who watches it, from whichever revision.

    future --(its start revision comes)--> synced <--(caught up)--- cohorts, by revision
                                             |                        ^     |
                        (sink not ready)     v                        |     v  (sink not ready)
                                           parked ----(drained)-------'   parked

    synced    one group that has everything up to the notified revision; `notify` serves it
    cohorts   groups that stand at an older revision; `catch_up_step` reads history once for each
              and moves it forward; where one arrives at another they become one
    parked    watchers whose stream takes no more; each remembers one number
    future    watchers that begin at a revision which does not exist yet

Invariants (the promises to clients: ordered, unique, reliable, atomic, resumable, bookmarkable)
* A watcher is in exactly one of these places, or ended.
* It has been handed exactly its events below its position: those of `notify`, a cohort's position,
  or its own number; this position never goes down.  Moves between places keep it.
* All changes reach `notify` in order, without a gap, or are announced by `skip_to`.
* What was compacted before a watcher got it ends the watcher with an answer; never silence.
* No event waits in the hub: memory is bounded by watchers, not by what they missed.
* A call of `catch_up_step` reads at most SLICE_CHANGES changes, rounded up to whole revisions,
  and hands out at most about DELIVERIES_MAX events.

Does not do: timers and loops (the shell calls `catch_up_step` after `behind` until it returns
False), flow control (the sink's), durability: events go out once applied, as in etcd.
Source: behaviour of etcd 3.5.33's server/mvcc/watchable_store.go; the cohorts are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from sortedcontainers import SortedDict

from petcd.mvcc.revision import Change
from petcd.mvcc.watch_events import EventEncoder, HeaderFactory, Part, fragments, header_field
from petcd.mvcc.watch_groups import (
    FRAGMENT,
    Outlet,
    Topic,
    Watcher,
    WatcherGroup,
    WatchSink,
    merged,
)
from petcd.mvcc.watch_stream import WatchStream
from petcd.wire.hot import watch_response

# History read in one step: about 1 ms. Less than the store's chunk of rows, so that one is read.
SLICE_CHANGES = 400
# Events times watchers in one step: at 0.1 to 0.3 us each.
DELIVERIES_MAX = 10_000
DELIVERIES_UNLIMITED = 1 << 62
# Watchers ended by compaction in one step: about 1 us each.
ENDED_MAX = 1_000
# Bytes made for one stream before it is asked again whether it takes more.
FLUSH_BYTES = 64 * 1024
# As etcd: --max-request-bytes and 512 KiB for what surrounds it.
FRAGMENT_BYTES = 1536 * 1024 + 512 * 1024


class WatchedStore(Protocol):
    """What watching needs of the store."""

    @property
    def revision(self) -> int: ...

    @property
    def compact_revision(self) -> int: ...

    def history(
        self, start_revision: int, end_revision: int, with_prev: bool = True
    ) -> Iterator[Change]: ...

    def prev_kv(self, change: Change) -> bytes | None: ...


class WatchHub:
    """All watches of a member.  Made when the store has been loaded."""

    def __init__(
        self,
        store: WatchedStore,
        header: HeaderFactory,
        behind: Callable[[], None],
        fragment_bytes: int = FRAGMENT_BYTES,
    ) -> None:
        """`header` encodes a ResponseHeader for a revision.  `behind` is called when there is work
        for `catch_up_step`, once until that has returned False; it must not call it directly."""
        self.header = header
        self.watcher_count = 0
        self.events_total = 0  # events handed to sinks, filtered ones not counted
        self._store = store
        self._behind = behind
        self._fragment_bytes = fragment_bytes
        self._notified = store.revision
        self._streams: dict[WatchStream, None] = {}
        self._synced = WatcherGroup(0)
        self._cohorts: SortedDict[int, WatcherGroup] = SortedDict()
        self._future: SortedDict[int, dict[Watcher, None]] = SortedDict()
        self._turn = 0  # where the cohort stands that had its turn last
        self._signalled = False

    # ------------------------------------------------------------ what the shell calls

    def open(self, sink: WatchSink) -> WatchStream:
        """A new stream of watches."""
        stream = WatchStream(self, sink)
        self._streams[stream] = None
        return stream

    def notify(self, changes: list[Change]) -> None:
        """Hand out changes that were just applied: whole revisions, in order, the next ones."""
        if not changes:
            return
        first, last = changes[0].revision, changes[-1].revision
        assert first == self._notified + 1, f"changes from {first} after {self._notified}"
        self._notified = last
        if self._future:
            self._wake_future(first, last)
        if self._synced.size:
            topics, _ = self._synced.match(changes, DELIVERIES_UNLIMITED)
            if topics:
                self._deliver(topics, changes, 0)

    def skip_to(self, revision: int) -> None:
        """The store went to this revision without handing over changes: a snapshot was installed.

        Everybody reads what was missed from history; who cannot, because it was compacted, ends.
        """
        if revision <= self._notified:
            return
        position = self._notified + 1
        self._notified = revision
        synced, self._synced = self._synced, WatcherGroup(0)
        if synced.size:
            self._place(synced, position)
        self._wake_future(0, revision)

    def catch_up_step(self) -> bool:
        """Move one cohort forward by one slice of history; whether there is more to do.

        The cohorts take turns, each from where it stands, so that one far behind holds up nobody.
        """
        if self._cohorts:
            index = self._cohorts.bisect_right(self._turn)
            if index == len(self._cohorts):
                index = 0
            position, cohort = self._cohorts.popitem(index)
            if position < self._store.compact_revision:
                self._end_compacted(cohort)
            else:
                self._advance(cohort)
            self._turn = cohort.position
        self._signalled = bool(self._cohorts)
        return self._signalled

    def progress_tick(self) -> None:
        """The progress interval has passed, for all streams."""
        for stream in self._streams:
            stream.progress_tick()

    # ------------------------------------------------------------ figures

    @property
    def revision(self) -> int:
        """The store's revision."""
        return self._store.revision

    @property
    def notified_revision(self) -> int:
        """Up to where watchers in sync were handed their events."""
        return self._notified

    @property
    def stream_count(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    @property
    def slow_watcher_count(self) -> int:
        """How many watchers are not in sync."""
        waiting = sum(map(len, self._future.values()))
        return self.watcher_count - self._synced.size - waiting

    # ------------------------------------------------------------ what streams call

    def add(self, watcher: Watcher) -> None:
        """Begin to hand events to a new watcher."""
        self.watcher_count += 1
        self._place_one(watcher, watcher.start_revision or self._store.revision + 1)

    def remove(self, watcher: Watcher) -> None:
        """Stop handing it events, for good."""
        self.watcher_count -= 1
        watcher.ended = True
        group = watcher.group
        if group is not None:
            group.remove(watcher)
            if group.size == 0 and group is not self._synced:
                del self._cohorts[group.position]
        elif watcher in watcher.outlet.parked:
            del watcher.outlet.parked[watcher]
        else:
            waiting = self._future[watcher.next_revision]
            del waiting[watcher]
            if not waiting:
                del self._future[watcher.next_revision]

    def in_sync(self, watcher: Watcher) -> bool:
        """Whether it has all its events up to `notified_revision`."""
        return watcher.group is self._synced

    def drained(self, outlet: Outlet) -> None:
        """The outlet's sink takes more again: its parked watchers go on from where they stand."""
        outlet.blocked = False
        parked, outlet.parked = outlet.parked, {}
        for watcher in parked:
            self._place_one(watcher, watcher.next_revision)

    def forget(self, stream: WatchStream) -> None:
        """The stream is closed."""
        self._streams.pop(stream, None)

    # ------------------------------------------------------------ places

    def _place_one(self, watcher: Watcher, position: int) -> None:
        """Put a watcher that is nowhere to where its next revision belongs."""
        watcher.next_revision = position
        if position > self._notified + 1:
            self._future.setdefault(position, {})[watcher] = None
        elif position > self._notified:
            self._synced.add(watcher)
        else:
            cohort = self._cohorts.get(position)
            if cohort is None:
                cohort = self._cohorts[position] = WatcherGroup(position)
            cohort.add(watcher)
            self._signal()

    def _place(self, group: WatcherGroup, position: int) -> None:
        """Put a group that is nowhere to where its next revision belongs."""
        if position > self._notified:
            group.position = self._synced.position
            self._synced = merged(self._synced, group)
            return
        group.position = position
        there = self._cohorts.get(position)
        self._cohorts[position] = group if there is None else merged(there, group)
        self._signal()

    def _wake_future(self, first: int, last: int) -> None:
        """Place the watchers that wait for a revision up to `last`; `first` is about to go out."""
        while self._future and self._future.peekitem(0)[0] <= last:
            position, waiting = self._future.popitem(0)
            for watcher in waiting:
                if position == first:
                    self._synced.add(watcher)
                else:
                    self._place_one(watcher, position)

    def _park(self, watcher: Watcher, missed_revision: int) -> None:
        """Take a watcher out of its group until its outlet has drained."""
        group = watcher.group
        assert group is not None, watcher.watch_id
        group.remove(watcher)
        watcher.next_revision = missed_revision
        watcher.outlet.parked[watcher] = None

    def _signal(self) -> None:
        if not self._signalled:
            self._signalled = True
            self._behind()

    # ------------------------------------------------------------ catching up

    def _advance(self, cohort: WatcherGroup) -> None:
        """Hand one slice of history to a cohort, which is in no place meanwhile."""
        limit = self._notified + 1
        if self._cohorts:
            index = self._cohorts.bisect_right(cohort.position)
            if index < len(self._cohorts):
                limit = min(limit, self._cohorts.peekitem(index)[0])
        changes, position = self._read(cohort, limit)
        topics, not_matched = cohort.match(changes, DELIVERIES_MAX)
        if topics:
            self._deliver(topics, changes, self._notified)
        cohort.position = not_matched or position
        if cohort.size:
            self._place(cohort, cohort.position)

    def _read(self, cohort: WatcherGroup, limit: int) -> tuple[list[Change], int]:
        """Some whole revisions from the cohort's position on, below `limit`; and where they end."""
        changes: list[Change] = []
        for change in self._store.history(cohort.position, limit, cohort.prev_kv_count > 0):
            if len(changes) >= SLICE_CHANGES and change.revision != changes[-1].revision:
                return changes, change.revision
            changes.append(change)
        return changes, limit

    def _end_compacted(self, cohort: WatcherGroup) -> None:
        """Tell watchers that what they wait for is gone; a bounded number of them."""
        compact_revision = self._store.compact_revision
        header = self.header(0)
        for watcher in cohort.watchers()[:ENDED_MAX]:
            cohort.remove(watcher)
            watcher.ended = True
            self.watcher_count -= 1
            watcher.outlet.sink.send(
                watch_response(header, watcher.watch_id, b"", False, True, compact_revision)
            )
        if cohort.size:
            self._cohorts[cohort.position] = cohort

    # ------------------------------------------------------------ handing out

    def _deliver(self, topics: list[Topic], changes: list[Change], revision: int) -> None:
        """Send the matched changes.  `revision` is for the headers; 0: that of the last event."""
        encoder = EventEncoder(changes, self._store.prev_kv)
        heads: dict[int, bytes] = {}
        touched: list[Outlet] = []
        for topic in topics:
            hits, topic.hits = topic.hits, []
            for options, watchers in list(topic.members.items()):
                for part in encoder.parts(hits, options):
                    shown = revision or part.last
                    head = heads.get(shown)
                    if head is None:
                        head = heads[shown] = header_field(self.header(shown))
                    if options & FRAGMENT:
                        self._push_fragments(watchers, head, part, touched)
                    else:
                        self._push(watchers, head, part, touched)
        for outlet in touched:
            outlet.flush()

    def _push(
        self, watchers: dict[Watcher, None], head: bytes, part: Part, touched: list[Outlet]
    ) -> None:
        """Make the part's response for each watcher; park those whose outlet is blocked."""
        events = part.events[0] if len(part.events) == 1 else b"".join(part.events)
        responses_max = FLUSH_BYTES // (len(head) + len(events)) + 1
        missed: list[Watcher] = []
        for watcher in watchers:
            outlet = watcher.outlet
            out = outlet.out
            if not out:
                if outlet.blocked or not outlet.sink.ready():
                    outlet.blocked = True
                    missed.append(watcher)
                    continue
                touched.append(outlet)
            watcher.quiet = False
            out.append(head + watcher.id_field + events)
            if len(out) >= responses_max:
                outlet.flush()
        self.events_total += len(part.events) * (len(watchers) - len(missed))
        for watcher in missed:
            self._park(watcher, part.first)

    def _push_fragments(
        self, watchers: dict[Watcher, None], head: bytes, part: Part, touched: list[Outlet]
    ) -> None:
        """As `_push`, in fragments where the response is too large."""
        missed: list[Watcher] = []
        for watcher in watchers:
            outlet = watcher.outlet
            if not outlet.out:
                if outlet.blocked or not outlet.sink.ready():
                    outlet.blocked = True
                    missed.append(watcher)
                    continue
                touched.append(outlet)
            watcher.quiet = False
            outlet.out += fragments(head + watcher.id_field, part.events, self._fragment_bytes)
            if len(outlet.out) * len(head) + sum(map(len, part.events)) > FLUSH_BYTES:
                outlet.flush()
        self.events_total += len(part.events) * (len(watchers) - len(missed))
        for watcher in missed:
            self._park(watcher, part.first)
