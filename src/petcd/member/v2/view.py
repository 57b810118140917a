"""The v2 view: nodes read from the store, v2 requests applied to it, one revision each.

    entry of the log -> Request -> checks on the tree -> rows of the store + note -> Event
                                         |
                                     V2Refused

    createdIndex, modifiedIndex   of a file: the revision of the last `set` or `create`, and of the
                                  last write; of a directory both: where its marker was created
    X-Etcd-Index                  the store's revision

Rules, where two APIs meet (docs/v2.md): a pair that v3 wrote is read as if `set` wrote it. A key
that is also a prefix is a file; what lies below it can be read by its own path, is not listed, and
v2 writes nothing there. A directory that v2 made, also on the way to a file, has a marker and so
outlives its children; others end with their last key.

Invariants: the result depends on the entry and the state alone; a refused request changes nothing;
each request that changes something takes one revision and wakes watchers with one event.

It does not translate HTTP, check permissions, or read a clock. Source: etcd's v2 store as of 3.5.
"""

from __future__ import annotations

from collections.abc import Iterator

from petcd.lease import Lessor
from petcd.member.v2 import nodes, paths
from petcd.member.v2.errors import (
    CompareFailed,
    DirectoryNotEmpty,
    NodeExists,
    NodeNotFound,
    NotADirectory,
    NotAFile,
    RootReadOnly,
)
from petcd.member.v2.expiry import EXPIRATION_NS_MIN, LEASE_BASE, Expiries, lease_ttl_s
from petcd.member.v2.nodes import Event, Node
from petcd.member.v2.notes import Note, NoteBackend, Notes
from petcd.member.v2.stats import StoreStats
from petcd.mvcc.store import Store
from petcd.wire.hot import decode_kv
from petcd.wire.kv import DeleteRangeRequest, PutRequest, RequestOp, TxnRequest
from petcd.wire.v2hot import parse_plain_set
from petcd.wire.v2request import Request

# A request that no method of this view serves; it is an outcome, equal on every member.
_UNKNOWN_METHOD = "v2 method {} is not served"


class V2View:
    """See the module's text. Made when store and leases are loaded."""

    def __init__(self, store: Store, lessor: Lessor, backend: NoteBackend) -> None:
        self.store = store
        self.notes = Notes(backend)
        self.expiries = Expiries()
        self.stats = StoreStats()
        self._lessor = lessor
        self._now_s = 0.0
        self._trimming: Iterator[None] | None = None
        self.load()

    def load(self) -> None:
        """Find again which leases are v2's and when they end."""
        self.expiries.clear()
        self.notes.load()
        for revision, note in self.notes.scan():
            kv = self.store.get(note.key) if note.expiration_ns else None
            if kv is None:
                continue
            _, _, modified, _, _, lease = decode_kv(kv)
            if modified == revision and self._lessor.exists(lease):
                self.expiries.add(lease, note.expiration_ns)

    def trim_step(self) -> bool:
        """Drop notes of compacted revisions for a few milliseconds; False when none are left."""
        if self._trimming is None:
            self._trimming = self.notes.trim_steps(self.store)
        for _ in self._trimming:
            return True
        self._trimming = None
        return False

    # -- reading ------------------------------------------------------------------------------

    def node_of(self, kv: bytes) -> Node:
        """The file, or with a marker the directory, of an encoded pair."""
        return self._node_of(*decode_kv(kv))

    def _node_of(
        self, key: bytes, create: int, modified: int, version: int, value: bytes, lease: int
    ) -> Node:
        note = None
        if version > 1 or lease:
            note = self.notes.get(modified)
            if note is not None and note.key != key:
                note = None
        expiration_ns = note.expiration_ns if note is not None and lease else 0
        if key.endswith(b"/"):
            return Node(key[:-1], None, True, create, create, expiration_ns)
        created = (note.created if note is not None else 0) or modified
        return Node(key, value, False, modified, created, expiration_ns)

    def file(self, path: bytes) -> Node | None:
        """The file at a path."""
        kv = self.store.get(path)
        return None if kv is None or path == paths.ROOT else self.node_of(kv)

    def directory(self, path: bytes) -> Node | None:
        """The directory at a path, without its children."""
        if path == paths.ROOT:
            return Node(b"", None, True, 0, 0)
        marker = self.store.get(path + b"/")
        if marker is not None:
            return self.node_of(marker)
        return Node(path, None, True, 0, 0) if self.is_directory(path) else None

    def is_directory(self, path: bytes) -> bool:
        """Whether a directory is at a path; a file of the same name is not looked for."""
        return path == paths.ROOT or self.store.any_below(path + b"/")

    def node(self, path: bytes) -> Node:
        """What is at a path, children not loaded. Raises NodeNotFound, NotADirectory."""
        found = self.file(path) or self.directory(path)
        if found is None:
            raise self._missing(path)
        return found

    def _missing(self, path: bytes) -> NodeNotFound | NotADirectory:
        """Why there is nothing at a path: the first part that is missing, or a file on the way."""
        index = self.store.revision
        for directory in paths.ancestors(path):
            if self.store.has(directory):
                return NotADirectory(paths.text_of(directory), index)
            if not self.is_directory(directory):
                return NodeNotFound(paths.text_of(directory), index)
        return NodeNotFound(paths.text_of(path), index)

    # -- applying -----------------------------------------------------------------------------

    def apply(self, body: bytes, now_s: float) -> object:
        """Apply one encoded Request; its Event, or None for SYNC. Raises V2Refused, DecodeError.

        `now_s` is for the lessor of a leader alone.
        """
        self._now_s = now_s
        plain = parse_plain_set(body)
        if plain is not None and plain[0] != paths.ROOT:
            return self._counted_set(plain[0], plain[1])
        request = Request.decode(body)
        if request.Method == "SYNC":
            self._sync(request.Time)
            return None
        path = _path_in_log(request.Path)
        if path is None:
            return ValueError(f"v2 path {request.Path} is not served")
        if request.Method == "PUT":
            return self._put(path, request)
        if request.Method == "POST":
            return self.stats.counted("create", lambda: self._post(path, request))
        if request.Method == "DELETE":
            return self._delete_or_compare(path, request)
        return ValueError(_UNKNOWN_METHOD.format(request.Method))

    def _counted_set(self, path: bytes, value: bytes) -> Event:
        try:
            event = self._set_file(path, value)
        except Exception:
            self.stats.sets_fail += 1
            raise
        self.stats.sets_success += 1
        return event

    def _put(self, path: bytes, request: Request) -> Event:
        compares = bool(request.PrevIndex or request.PrevValue)
        counted = self.stats.counted
        if request.PrevExist is False:
            return counted("create", lambda: self._create(path, request))
        if compares:
            return counted("compareAndSwap", lambda: self._compare_and_swap(path, request))
        if request.PrevExist:
            return counted("update", lambda: self._update(path, request))
        return counted("sets", lambda: self._set(path, request))

    def _delete_or_compare(self, path: bytes, request: Request) -> Event:
        if request.PrevIndex or request.PrevValue:
            return self.stats.counted(
                "compareAndDelete", lambda: self._compare_and_delete(path, request)
            )
        return self.stats.counted("delete", lambda: self._delete(path, request))

    # -- set and create -----------------------------------------------------------------------

    def _set_file(self, path: bytes, value: bytes) -> Event:
        """Set without options; over a file it must be quick."""
        store = self.store
        prev_kv = store.get(path)
        if prev_kv is None:
            return self._place(nodes.SET, path, value, False, 0, 0, False)
        self._check_ancestors(path)
        prev = self.node_of(prev_kv)
        revision = store.put_plain(path, value)
        return Event(nodes.SET, Node(path, value, False, revision, revision), prev, revision)

    def _set(self, path: bytes, request: Request) -> Event:
        value = _bytes(request.Val)
        self._check_not_root(path)
        if request.Refresh:
            found = self.node(path)
            value = found.value or b""
        expiration_ns = _expiration(request)
        return self._place(
            nodes.SET,
            path,
            value,
            request.Dir,
            expiration_ns,
            request.Time,
            bool(request.Refresh),
        )

    def _create(self, path: bytes, request: Request) -> Event:
        self._check_not_root(path)
        self._check_ancestors(path)
        if self.store.has(path) or self.is_directory(path):
            raise NodeExists(paths.text_of(path), self.store.revision)
        expiration_ns = _expiration(request)
        return self._place(
            nodes.CREATE, path, _bytes(request.Val), request.Dir, expiration_ns, request.Time, False
        )

    def _post(self, path: bytes, request: Request) -> Event:
        """Create under a name in order: the next index, so that it also is a new one."""
        name = b"%020d" % (self.store.revision + 1)
        return self._create(paths.below(path) + name, request)

    def _place(
        self,
        action: str,
        path: bytes,
        value: bytes,
        is_dir: bool,
        expiration_ns: int,
        asked_ns: int,
        refresh: bool,
    ) -> Event:
        """Put a new node in the place of a file or of nothing, with the directories above it."""
        self._check_ancestors(path)
        prev = self.file(path)
        if prev is None and self.is_directory(path):
            raise NotAFile(paths.text_of(path), self.store.revision)
        revision = self.store.revision + 1
        puts = [
            (marker, b"", 0)
            for marker in (directory + b"/" for directory in paths.ancestors(path))
            if not self.store.has(marker)
        ]
        note = Note(action, path, is_dir, 0, expiration_ns, refresh)
        lease = self._grant(revision, expiration_ns, asked_ns)
        puts.append((note.key, b"" if is_dir else value, lease))
        self._write([path] if is_dir and prev is not None else [], puts)
        self.notes.put(revision, note)
        node = Node(path, None if is_dir else value, is_dir, revision, revision, expiration_ns)
        return Event(action, node, prev, revision)

    # -- update and compare -------------------------------------------------------------------

    def _update(self, path: bytes, request: Request) -> Event:
        self._check_not_root(path)
        prev = self.node(path)
        if prev.is_dir and request.Val:
            raise NotAFile(paths.text_of(path), self.store.revision)
        return self._rewrite(nodes.UPDATE, prev, request)

    def _compare_and_swap(self, path: bytes, request: Request) -> Event:
        self._check_not_root(path)
        prev = self.node(path)
        if prev.is_dir:
            raise NotAFile(paths.text_of(path), self.store.revision)
        self._compare(prev, request)
        return self._rewrite(nodes.COMPARE_AND_SWAP, prev, request)

    def _compare(self, node: Node, request: Request) -> None:
        """Raises CompareFailed; unset conditions hold."""
        wanted = _bytes(request.PrevValue)
        value_holds = not wanted or node.value == wanted
        index_holds = not request.PrevIndex or node.modified == request.PrevIndex
        if value_holds and index_holds:
            return
        causes = []
        if not value_holds:
            causes.append(f"[{request.PrevValue} != {paths.text_of(node.value or b'')}]")
        if not index_holds:
            causes.append(f"[{request.PrevIndex} != {node.modified}]")
        raise CompareFailed(" ".join(causes), self.store.revision)

    def _rewrite(self, action: str, prev: Node, request: Request) -> Event:
        """Write a node in place: it keeps its created index."""
        path, is_dir = prev.path, prev.is_dir
        value = (prev.value or b"") if request.Refresh else _bytes(request.Val)
        expiration_ns = _expiration(request)
        revision = self.store.revision + 1
        note = Note(action, path, is_dir, prev.created, expiration_ns, bool(request.Refresh))
        lease = self._grant(revision, expiration_ns, request.Time)
        self._write([], [(note.key, b"" if is_dir else value, lease)])
        self.notes.put(revision, note)
        created = prev.created
        node = Node(path, None if is_dir else value, is_dir, revision, created, expiration_ns)
        return Event(action, node, prev, revision)

    # -- delete and expire --------------------------------------------------------------------

    def _delete(self, path: bytes, request: Request) -> Event:
        self._check_not_root(path)
        prev = self.node(path)
        if not prev.is_dir:
            return self._remove(nodes.DELETE, prev)
        if not (request.Dir or request.Recursive):
            raise NotAFile(paths.text_of(path), self.store.revision)
        if not request.Recursive and self._keys_below(path) != [path + b"/"]:
            raise DirectoryNotEmpty(paths.text_of(path), self.store.revision)
        return self._remove(nodes.DELETE, prev)

    def _compare_and_delete(self, path: bytes, request: Request) -> Event:
        prev = self.node(path)
        if prev.is_dir:
            cause = "" if path == paths.ROOT else paths.text_of(path)
            raise NotAFile(cause, self.store.revision)
        self._compare(prev, request)
        return self._remove(nodes.COMPARE_AND_DELETE, prev)

    def _remove(self, action: str, prev: Node, more_keys: tuple[bytes, ...] = ()) -> Event:
        """Take a file, or a directory with all that is in it, out of the store."""
        path, is_dir = prev.path, prev.is_dir
        keys = self._keys_below(path) if is_dir else [path]
        revision = self.store.delete_keys([*keys, *more_keys])
        self.notes.put(revision, Note(action, path, is_dir, prev.created))
        return Event(action, Node(path, None, is_dir, revision, prev.created), prev, revision)

    def _keys_below(self, path: bytes) -> list[bytes]:
        """The keys of a directory, its marker first."""
        return self.store.keys_below(path + b"/")

    def _sync(self, cutoff_ns: int) -> None:
        """End the nodes whose time is over, the earliest first."""
        while (lease := self.expiries.pop_due(cutoff_ns)) is not None:
            self._expire(lease)
            self.end_lost_leases()

    def end_lease(self, lease: int) -> None:
        """A lease of v2 was revoked by itself: its node expires now."""
        self.expiries.discard(lease)
        self._expire(lease)

    def end_lost_leases(self) -> None:
        """After each change: a lease of v2 whose node went, or was written again, goes with it.

        One that v3 hung keys on is left to end by itself, and is v3's from now on.
        """
        loosened = sorted(self._lessor.loosened)
        self._lessor.loosened.clear()
        for lease in loosened:
            if lease not in self.expiries or self._owned_keys(lease):
                continue
            self.expiries.discard(lease)
            if not self._lessor.keys(lease):
                self._lessor.revoke(lease)

    def _expire(self, lease: int) -> None:
        """Revoke a lease that is no longer among the expiries; its node goes as one event."""
        if not self._lessor.exists(lease):
            return
        own = self._owned_keys(lease)
        keys = self._lessor.revoke(lease)
        if not own:
            self.store.delete_keys(keys)
            return
        kv = self.store.get(own[0])
        assert kv is not None, own
        self._remove(nodes.EXPIRE, self.node_of(kv), tuple(keys))
        self.stats.expire_count += 1

    def _owned_keys(self, lease: int) -> list[bytes]:
        """The keys that v2 hung on a lease of its own (v3 clients may have hung others)."""
        return [key for key in self._lessor.keys(lease) if self._own_lease(key) == lease]

    # -- inside -------------------------------------------------------------------------------

    def _check_not_root(self, path: bytes) -> None:
        if path == paths.ROOT:
            raise RootReadOnly("/", self.store.revision)

    def _check_ancestors(self, path: bytes) -> None:
        for directory in paths.ancestors(path):
            if self.store.has(directory):
                raise NotADirectory(paths.text_of(directory), self.store.revision)

    def _own_lease(self, key: bytes) -> int:
        """The lease that v2 gave to a node; 0 for none, or when v3 wrote the key since."""
        kv = self.store.get(key)
        if kv is None:
            return 0
        _, _, modified, _, _, lease = decode_kv(kv)
        note = self.notes.get(modified) if lease else None
        return lease if note is not None and note.key == key and note.expiration_ns > 0 else 0

    def _grant(self, revision: int, expiration_ns: int, asked_ns: int) -> int:
        """A lease for a node written at `revision`; 0 for one that stays."""
        if not expiration_ns:
            return 0
        lease = LEASE_BASE | revision
        while self._lessor.exists(lease):  # somebody chose this very id
            lease += 1 << 40
        self._lessor.grant(lease, lease_ttl_s(expiration_ns, asked_ns), self._now_s)
        self.expiries.add(lease, expiration_ns)
        return lease

    def _write(self, deletes: list[bytes], puts: list[tuple[bytes, bytes, int]]) -> None:
        """Deletes and puts under one revision."""
        if len(puts) == 1 and not deletes:
            self.store.put(*puts[0])
            return
        ops = [RequestOp(request_delete_range=DeleteRangeRequest(key=key)) for key in deletes]
        ops += [
            RequestOp(request_put=PutRequest(key=key, value=value, lease=lease))
            for key, value, lease in puts
        ]
        self.store.txn(TxnRequest(success=ops))


def _path_in_log(path: str) -> bytes | None:
    """The path of a client's key; None when etcd keeps something of its own there."""
    prefix = paths.LOG_PREFIX
    if path != prefix and not path.startswith(prefix + "/"):
        return None
    return paths.clean(_bytes(path[len(prefix) :]))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _expiration(request: Request) -> int:
    """When the node ends in ns since 1970; 0 for never, which times before 2000 mean, too."""
    return request.Expiration if request.Expiration >= EXPIRATION_NS_MIN else 0
