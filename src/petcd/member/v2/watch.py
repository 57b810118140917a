"""v2's watchers: events out of the store's changes, as they come and from any revision back.

    change(s) of one revision + note --> one Event --> whoever watches its path

    behind --(history read, in slices, up to what was notified)--> live

An event is for a watcher of its path; for a recursive one above it, unless a part between begins
with an underscore; and, when a directory went away, for all watchers below it. A pair that v3 wrote
is a `set`, one that it deleted a `delete`; markers of directories are events only when a note says
so, and refreshes are none.

History is the store's, so a watcher may begin at every revision above the compacted one, of which
the pair before it is gone; etcd keeps 1000 events. Invariants: a watcher is told each event from
its index on once and in order, whole, or it ends; a step reads a bounded number of changes.

It does not know HTTP, and keeps no event. Source: etcd's v2 store (watcher hub, event history).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import attrgetter

from petcd.member.v2 import nodes, paths
from petcd.member.v2.errors import HistoryCleared
from petcd.member.v2.nodes import Event, Node
from petcd.member.v2.notes import Note
from petcd.member.v2.view import V2View
from petcd.mvcc.revision import DELETE, Change
from petcd.wire.hot import decode_kv

# Changes read for one watcher in one step: 1 to 2 ms.
SLICE_CHANGES = 400

_REMOVALS = (nodes.DELETE, nodes.COMPARE_AND_DELETE, nodes.EXPIRE)
_revision_of = attrgetter("revision")

# Called with each event, and with None when the watch ends without one.
Deliver = Callable[[Event | None], None]


class V2Watch:
    """One watcher; it ends after its first event unless it is a stream."""

    __slots__ = (
        *("deliver", "ended", "history", "history_end", "next_revision"),
        *("path", "recursive", "stream"),
    )

    def __init__(
        self, path: bytes, recursive: bool, stream: bool, since: int, deliver: Deliver
    ) -> None:
        self.path = path
        self.recursive = recursive
        self.stream = stream
        self.deliver = deliver
        self.ended = False
        # Events below this are not for it, or were handed out.
        self.next_revision = since
        self.history: Iterator[tuple[int, Iterator[Change]]] | None = None
        self.history_end = 0  # where that ends

    def wants(self, path: bytes, directory_gone: bool) -> bool:
        """Whether an event on a path is for it."""
        watched = self.path
        if path == watched:
            return True
        if self.recursive and paths.lies_below(path, watched):
            return not paths.is_hidden_from(watched, path)
        return directory_gone and paths.lies_below(watched, path)

    def may_want(self, change: Change) -> bool:
        """A quick look at one change: False means that its revision is not for it."""
        return change.kind == DELETE or change.key.startswith(self.path)


class V2Watchers:
    """All v2 watchers of a member. Made when the store has been loaded."""

    def __init__(self, view: V2View, behind: Callable[[], None]) -> None:
        """`behind` is called when there is work for `catch_up_step`."""
        self._view = view
        self._store = view.store
        self._signal = behind
        self._notified = view.store.revision
        self._live: dict[bytes, dict[V2Watch, None]] = {}
        self._behind: dict[V2Watch, None] = {}

    def add(
        self, path: bytes, recursive: bool, stream: bool, since: int, deliver: Deliver
    ) -> V2Watch:
        """Watch a path from index `since` on, 0: from now on. Raises HistoryCleared.

        Nothing is delivered before this returns.
        """
        store = self._store
        oldest = max(store.compact_revision, 0) + 1
        if 0 < since < oldest:
            cause = f"the requested history has been cleared [{oldest}/{since}]"
            raise HistoryCleared(cause, store.revision)
        watch = V2Watch(path, recursive, stream, since or store.revision + 1, deliver)
        self._view.stats.watchers += 1
        if watch.next_revision > self._notified:
            self._live.setdefault(path, {})[watch] = None
        else:
            self._behind[watch] = None
            self._signal()
        return watch

    def remove(self, watch: V2Watch) -> None:
        """Stop a watch without a word; one that ended is left alone."""
        if watch.ended:
            return
        watch.ended = True
        self._view.stats.watchers -= 1
        if watch in self._behind:
            del self._behind[watch]
            return
        there = self._live[watch.path]
        del there[watch]
        if not there:
            del self._live[watch.path]

    def close(self) -> None:
        """The member stops: end all watches without an event."""
        for watch in [*self._behind, *(w for there in self._live.values() for w in there)]:
            self._end(watch)

    def _end(self, watch: V2Watch) -> None:
        self.remove(watch)
        watch.deliver(None)

    def _deliver(self, watch: V2Watch, event: Event) -> None:
        if not watch.stream:
            self.remove(watch)
        watch.deliver(event)

    # -- as changes come ----------------------------------------------------------------------

    def notify(self, changes: list[Change]) -> None:
        """Hand out changes that were just applied: whole revisions, in order."""
        self._notified = changes[-1].revision
        if not self._live:
            return
        for revision, group in groupby(changes, _revision_of):
            of_revision = list(group)
            for path, change, note in self._happenings(revision, of_revision):
                watches = self._watching(path, _directory_gone(note))
                wanting = [w for w in watches if w.next_revision <= revision]
                if wanting:
                    event = self._event(path, revision, of_revision, change, note)
                    for watch in wanting:
                        if not watch.ended:
                            self._deliver(watch, event)

    def skip_to(self, revision: int) -> None:
        """The store went to this revision without handing over changes: a snapshot was installed.

        Everybody reads what was missed from history; who cannot, because it was compacted, ends.
        """
        for there in self._live.values():
            for watch in there:
                watch.next_revision = max(watch.next_revision, self._notified + 1)
                self._behind[watch] = None
        self._live.clear()
        for watch in self._behind:
            watch.history = None
        self._notified = max(self._notified, revision)
        if self._behind:
            self._signal()

    def _watching(self, path: bytes, directory_gone: bool) -> list[V2Watch]:
        """The live watches that want an event on a path."""
        live = self._live
        found = [
            watch
            for above in (paths.ROOT, *paths.ancestors(path), path)
            for watch in live.get(above, ())
            if watch.wants(path, False)
        ]
        if directory_gone:
            found += [
                watch
                for watched, there in live.items()
                if paths.lies_below(watched, path)
                for watch in there
            ]
        return found

    # -- from the history ---------------------------------------------------------------------

    def catch_up_step(self) -> bool:
        """Read a slice of history for one watcher, in turns; whether there is more to do."""
        if self._behind:
            watch = next(iter(self._behind))
            del self._behind[watch]
            self._behind[watch] = None
            if watch.next_revision <= self._store.compact_revision:
                self._end(watch)
            else:
                self._read(watch)
        return bool(self._behind)

    def _read(self, watch: V2Watch) -> None:
        if watch.history is None:
            watch.history_end = self._notified + 1
            changes = self._store.history(watch.next_revision, watch.history_end, False)
            watch.history = groupby(changes, _revision_of)
        count = 0
        for revision, group in watch.history:
            changes_of = list(group)
            count += len(changes_of)
            if any(watch.may_want(change) for change in changes_of):
                self._offer(watch, revision, changes_of)
            if watch.ended:
                return
            watch.next_revision = revision + 1
            if count >= SLICE_CHANGES:
                return
        watch.history = None
        watch.next_revision = max(watch.next_revision, watch.history_end)  # it may be in the future
        if watch.next_revision > self._notified:
            del self._behind[watch]
            self._live.setdefault(watch.path, {})[watch] = None

    def _offer(self, watch: V2Watch, revision: int, changes: list[Change]) -> None:
        for path, change, note in self._happenings(revision, changes):
            if watch.wants(path, _directory_gone(note)):
                self._deliver(watch, self._event(path, revision, changes, change, note))
                if watch.ended:
                    return

    # -- events -------------------------------------------------------------------------------

    def _happenings(
        self, revision: int, changes: list[Change]
    ) -> Iterator[tuple[bytes, Change | None, Note | None]]:
        """(path, change of its key, note) for each event of one revision."""
        note = self._view.notes.get(revision)
        if note is not None:
            if not note.refresh:
                key = note.key
                yield note.path, next((c for c in changes if c.key == key), None), note
            return
        for change in changes:
            if paths.is_shown(change.key):
                yield change.key, change, None

    def _event(
        self,
        path: bytes,
        revision: int,
        changes: list[Change],
        change: Change | None,
        note: Note | None,
    ) -> Event:
        if note is None:
            assert change is not None, revision
            prev = self._before(change)
            if change.kind == DELETE:
                created = prev.created if prev is not None else 0
                node = Node(path, None, False, revision, created)
                return Event(nodes.DELETE, node, prev, revision)
            value = decode_kv(change.kv)[4]
            return Event(nodes.SET, Node(path, value, False, revision, revision), prev, revision)
        prev = None if change is None or note.action == nodes.CREATE else self._before(change)
        if prev is None and note.is_dir and note.action == nodes.SET:
            file = next((c for c in changes if c.key == path), None)
            prev = None if file is None else self._before(file)
        elif prev is None and note.is_dir and note.action != nodes.CREATE:
            prev = Node(path, None, True, 0, 0)
        if note.action in _REMOVALS:
            node = Node(path, None, note.is_dir, revision, note.created)
            return Event(note.action, node, prev, revision)
        put = None if note.is_dir or change is None else decode_kv(change.kv)[4]
        created = note.created or revision
        node = Node(path, put, note.is_dir, revision, created, note.expiration_ns)
        return Event(note.action, node, prev, revision)

    def _before(self, change: Change) -> Node | None:
        """The node of a change's key before it; None when there was none."""
        row = change.prev_revision or self._store.prev_revision(change)
        kv = None if row is None else self._store.kv_at(*row)
        return None if kv is None else self._view.node_of(kv)


def _directory_gone(note: Note | None) -> bool:
    return note is not None and note.is_dir and note.action in _REMOVALS
