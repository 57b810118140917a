"""The tree of v2 on the store of v3: what requests do to it and what they are answered."""

import pytest

from petcd.member.apply import ALARM, DELETE_RANGE, LEASE_REVOKE, PUT, TXN, V2
from petcd.member.errors import NoSpace
from petcd.member.v2 import errors
from petcd.mvcc.errors import LeaseNotFound as MvccLeaseNotFound
from petcd.wire.kv import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from petcd.wire.lease import LeaseRevokeRequest
from petcd.wire.maintenance import AlarmAction, AlarmRequest, AlarmType
from petcd.wire.v2request import Request
from tests.support.v2_listing import listed

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


class Tree:
    """A rig spoken to in v2's words."""

    def __init__(self, rig) -> None:
        self.rig = rig

    @property
    def view(self):
        return self.rig.member.applier.v2

    @property
    def index(self) -> int:
        return self.rig.member.store.revision

    def ask(self, method: str, path: str, value: str = "", **fields):
        request = Request(Method=method, Path="/1" + path, Val=value, Time=NOW, **fields)
        return self.rig.request(V2, request)

    def put(self, path: str, value: str = "", **fields):
        return self.ask("PUT", path, value, **fields)

    def delete(self, path: str, **fields):
        return self.ask("DELETE", path, **fields)

    def sync(self, time_ns: int) -> None:
        assert self.rig.request(V2, Request(Method="SYNC", Time=time_ns)) is None

    def v3_put(self, key: bytes, value: bytes = b"", lease: int = 0) -> None:
        self.rig.request(PUT, PutRequest(key=key, value=value, lease=lease))

    def v3_keys(self) -> list[bytes]:
        return self.rig.member.store.keys_below(b"/")

    def list(self, path: str, recursive: bool = False):
        assert self.view.node(path.encode()).is_dir
        return listed(self.view, path.encode(), recursive)

    def compact(self, revision):
        """Rows and notes up to a revision go, as in the background of a member."""
        store = self.rig.member.store
        store.compact(revision)
        for _ in store.compaction_steps():
            pass
        for _ in self.view.notes.trim_steps(store):
            pass


def names(node) -> list[object]:
    """A listing's paths; a directory with its children as (path, [...])."""
    return [
        (child["key"], names(child)) if "nodes" in child else child["key"]
        for child in node.get("nodes", [])
    ]


def refusal(outcome) -> tuple[type, str, int]:
    return type(outcome), outcome.cause, outcome.index


@pytest.fixture
def tree(rig) -> Tree:
    return Tree(rig)


# -- files ------------------------------------------------------------------------------------


def test_a_set_creates_a_key_of_v3_in_one_revision(tree):
    before = tree.index
    event = tree.put("/foo", "bar")
    assert (event.action, event.is_created, event.index) == ("set", True, before + 1)
    assert (event.node.modified, event.node.created) == (before + 1, before + 1)
    assert tree.view.file(b"/foo").value == b"bar"
    assert tree.rig.member.store.range(RangeRequest(key=b"/foo")).count == 1


def test_a_set_over_a_key_makes_a_new_node_and_shows_the_old_one(tree):
    first = tree.put("/foo", "1")
    second = tree.put("/foo", "2")
    assert not second.is_created
    assert (second.prev.value, second.prev.modified) == (b"1", first.index)
    assert tree.view.file(b"/foo").created == second.index


def test_an_update_keeps_the_created_index(tree):
    first = tree.put("/foo", "1")
    second = tree.put("/foo", "2", PrevExist=True)
    assert (second.action, second.node.created, second.node.modified) == (
        "update",
        first.index,
        second.index,
    )
    third = tree.put("/foo", "3", PrevIndex=second.index)
    assert (third.action, third.node.created) == ("compareAndSwap", first.index)
    assert tree.view.file(b"/foo").created == first.index
    assert third.prev.created == first.index
    assert tree.put("/foo", "4").node.created == third.index + 1


def test_parents_are_made_in_the_same_revision_and_outlive_their_children(tree):
    event = tree.put("/a/b/c", "1")
    assert tree.v3_keys() == [b"/a/", b"/a/b/", b"/a/b/c"]
    node = tree.view.directory(b"/a/b")
    assert (node.modified, node.created) == (event.index, event.index)
    tree.delete("/a/b/c")
    assert tree.view.node(b"/a/b").is_dir


@pytest.mark.parametrize(
    ("fields", "kind", "cause"),
    [
        ({"PrevValue": "x"}, errors.CompareFailed, "[x != 1]"),
        ({"PrevIndex": 99}, errors.CompareFailed, "[99 != 2]"),
        ({"PrevValue": "x", "PrevIndex": 99}, errors.CompareFailed, "[x != 1] [99 != 2]"),
        ({"PrevExist": False}, errors.NodeExists, "/foo"),
    ],
)
def test_a_failed_condition_changes_nothing(tree, fields, kind, cause):
    tree.put("/foo", "1")
    assert tree.index == 2
    assert refusal(tree.put("/foo", "2", **fields)) == (kind, cause, 2)
    assert (tree.index, tree.view.file(b"/foo").value) == (2, b"1")


def test_a_delete_with_conditions_says_so(tree):
    first = tree.put("/foo", "1")
    assert isinstance(tree.delete("/foo", PrevValue="2"), errors.CompareFailed)
    event = tree.delete("/foo", PrevValue="1", PrevIndex=first.index)
    assert (event.action, event.node.created, event.node.modified) == (
        "compareAndDelete",
        first.index,
        first.index + 1,
    )
    assert event.prev.value == b"1"
    assert refusal(tree.delete("/foo")) == (errors.NodeNotFound, "/foo", event.index)


def test_names_in_order_are_the_next_index_in_twenty_digits(tree):
    event = tree.ask("POST", "/queue", "job")
    assert event.action == "create"
    assert event.node.path == b"/queue/%020d" % event.index
    tree.put("/other", "x")
    assert tree.ask("POST", "/queue").node.path == b"/queue/%020d" % (event.index + 2)
    assert refusal(tree.ask("POST", "/other"))[:2] == (errors.NotADirectory, "/other")


# -- directories ------------------------------------------------------------------------------


def test_directories_refuse_what_files_take(tree):
    tree.put("/d", Dir=True)
    index = tree.index
    assert refusal(tree.put("/d", Dir=True)) == (errors.NotAFile, "/d", index)
    assert refusal(tree.put("/d", "x")) == (errors.NotAFile, "/d", index)
    assert refusal(tree.put("/d", "x", PrevExist=True)) == (errors.NotAFile, "/d", index)
    assert refusal(tree.put("/d", "x", PrevValue="y")) == (errors.NotAFile, "/d", index)
    assert refusal(tree.delete("/d")) == (errors.NotAFile, "/d", index)
    assert refusal(tree.delete("/d", PrevValue="y")) == (errors.NotAFile, "/d", index)
    assert tree.index == index


def test_the_root_cannot_be_written(tree):
    for outcome in (
        tree.put("/", "x"),
        tree.put("", "x", PrevExist=True),
        tree.put("/", "x", PrevValue="x"),
        tree.delete("/", Recursive=True),
    ):
        assert refusal(outcome) == (errors.RootReadOnly, "/", 1)


def test_a_directory_replaces_a_file_and_shows_it(tree):
    tree.put("/d", "was a file")
    event = tree.put("/d", Dir=True)
    assert (event.node.is_dir, event.prev.value) == (True, b"was a file")
    assert tree.v3_keys() == [b"/d/"]


def test_a_file_on_the_way_is_no_directory(tree):
    tree.put("/f", "x")
    for outcome in (tree.put("/f/a/b", "y"), tree.put("/f/a", Dir=True), tree.delete("/f/a")):
        assert refusal(outcome) == (errors.NotADirectory, "/f", 2)
    with pytest.raises(errors.NotADirectory):
        tree.view.node(b"/f/a/b")


def test_a_full_directory_goes_only_recursively_and_in_one_revision(tree):
    tree.put("/d/e/f", "1")
    tree.put("/d/g", "2")
    tree.put("/dx", "3")
    assert refusal(tree.delete("/d", Dir=True)) == (errors.DirectoryNotEmpty, "/d", 4)
    event = tree.delete("/d", Recursive=True)
    assert (event.action, event.node.is_dir, event.index) == ("delete", True, 5)
    assert tree.v3_keys() == [b"/dx"]
    tree.put("/e", Dir=True)
    assert tree.delete("/e", Dir=True).node.is_dir


def test_what_is_missing_is_named_by_its_first_missing_part(tree):
    tree.put("/a/b", "1")
    with pytest.raises(errors.NodeNotFound) as caught:
        tree.view.node(b"/a/x/y/z")
    assert caught.value.cause == "/a/x"


# -- listings ---------------------------------------------------------------------------------


def test_a_listing_shows_one_level_or_all_sorted_and_nothing_hidden(tree):
    for path in ("/d/x-1", "/d/x/1", "/d/x/2/3", "/d/a", "/d/_h", "/d/x/_h/4", "/d/_i/j", "/z"):
        tree.put(path, "v")
    tree.put("/d/empty", Dir=True)
    assert names(tree.list("/d")) == ["/d/a", "/d/empty", "/d/x", "/d/x-1"]
    assert names(tree.list("/d", True)) == [
        "/d/a",
        "/d/empty",
        ("/d/x", ["/d/x/1", ("/d/x/2", ["/d/x/2/3"])]),
        "/d/x-1",
    ]
    assert names(tree.list("/")) == ["/d", "/z"]
    assert names(tree.list("/d/_i")) == ["/d/_i/j"]


# -- with v3 beside ---------------------------------------------------------------------------


def test_what_v3_wrote_is_a_tree_without_markers(tree):
    tree.v3_put(b"/app/db/host", b"h")
    assert names(tree.list("/", True)) == [("/app", [("/app/db", ["/app/db/host"])])]
    node = tree.view.directory(b"/app")
    assert (node.modified, node.created) == (0, 0)
    assert tree.view.file(b"/app/db/host").created == 2
    tree.rig.request(DELETE_RANGE, DeleteRangeRequest(key=b"/app/db/host"))
    with pytest.raises(errors.NodeNotFound):
        tree.view.node(b"/app")


def test_a_directory_of_v3_gets_its_marker_when_v2_writes_into_it(tree):
    tree.v3_put(b"/app/one")
    tree.put("/app/two", "2")
    assert tree.v3_keys() == [b"/app/", b"/app/one", b"/app/two"]


def test_keys_that_are_no_paths_are_not_shown(tree):
    for key in (b"plain", b"/a//b", b"/a/../c", b"/a/\xff", b"/a/./d", b"//", b"/"):
        tree.v3_put(key)
    tree.v3_put(b"/a/ok")
    assert names(tree.list("/", True)) == [("/a", ["/a/ok"])]
    assert names(tree.list("/")) == ["/a"]
    assert names(tree.list("/a")) == ["/a/ok"]
    tree.v3_put(b"/a" * 501)
    assert names(tree.list("/", True)) == [("/a", ["/a/ok"])]
    assert isinstance(tree.delete("/a", Dir=True), errors.DirectoryNotEmpty)
    tree.delete("/a", Recursive=True)
    assert tree.v3_keys() == [b"/", b"//"]


def test_a_key_that_is_also_a_prefix_is_a_file(tree):
    tree.v3_put(b"/a", b"file")
    tree.v3_put(b"/a/b", b"below")
    assert names(tree.list("/", True)) == ["/a"]
    assert names(tree.list("/")) == ["/a"]
    assert tree.view.node(b"/a").value == b"file"
    assert tree.view.file(b"/a/b").value == b"below"
    assert refusal(tree.put("/a/c", "x"))[:2] == (errors.NotADirectory, "/a")
    tree.delete("/a")
    assert tree.view.node(b"/a").is_dir


# -- time to live -----------------------------------------------------------------------------


def test_a_node_expires_with_the_entry_that_carries_the_time(tree):
    tree.put("/k", "v", Expiration=NOW + 5 * SECOND)
    assert tree.view.file(b"/k").expiration_ns == NOW + 5 * SECOND
    assert len(tree.rig.member.lessor) == 1
    tree.sync(NOW + 5 * SECOND - 1)
    assert tree.view.file(b"/k")
    tree.sync(NOW + 5 * SECOND)
    assert tree.view.file(b"/k") is None
    assert len(tree.rig.member.lessor) == 0
    assert tree.view.stats.expire_count == 1


def test_nodes_expire_in_order_one_revision_each_directories_whole(tree):
    tree.put("/b", "2", Expiration=NOW + 2 * SECOND)
    tree.put("/d", Dir=True, Expiration=NOW + 3 * SECOND)
    tree.put("/d/x", "3", Expiration=NOW + 9 * SECOND)
    tree.put("/a", "1", Expiration=NOW + 1 * SECOND)
    index = tree.index
    tree.sync(NOW + 4 * SECOND)
    assert tree.index == index + 3
    assert tree.v3_keys() == []
    tree.sync(NOW + 10 * SECOND)
    assert (tree.index, len(tree.rig.member.lessor)) == (index + 3, 0)


def test_a_later_write_takes_the_time_to_live_away(tree):
    for number, write in enumerate(
        (
            lambda path: tree.put(path, "2"),
            lambda path: tree.put(path, "2", PrevExist=True),
            lambda path: tree.put(path, "2", PrevValue="1"),
            lambda path: tree.v3_put(path.encode(), b"2"),
        )
    ):
        path = f"/k{number}"
        tree.put(path, "1", Expiration=NOW + SECOND)
        write(path)
        assert len(tree.rig.member.lessor) == 0
        tree.sync(NOW + 2 * SECOND)
        node = tree.view.file(path.encode())
        assert (node.value, node.expiration_ns) == (b"2", 0)


def test_nodes_that_v3_wrote_over_or_deleted_leave_nothing_behind(tree):
    tree.put("/k", "v")
    row_bytes = tree.rig.backend.size_in_use()
    compares = Compare(key=b"/k", version=0)
    removal = RequestOp(request_delete_range=DeleteRangeRequest(key=b"/k"))
    for write in (
        lambda: tree.v3_put(b"/k", b"w"),
        lambda: tree.rig.request(DELETE_RANGE, DeleteRangeRequest(key=b"/", range_end=b"0")),
        lambda: tree.rig.request(TXN, TxnRequest(compare=[compares], failure=[removal])),
    ):
        for _ in range(20):
            tree.put("/k", "v", Expiration=NOW + 1000 * SECOND)
            write()
        assert (len(tree.rig.member.lessor), len(tree.view.expiries)) == (0, 0)
    tree.compact(tree.rig.member.store.revision)
    tree.rig.backend.commit()
    assert tree.rig.backend.size_in_use() < row_bytes + 200


@pytest.mark.parametrize("restarts", [False, True])
def test_what_becomes_of_a_lease_without_its_node_is_the_same_after_a_restart(tree, restarts):
    tree.put("/written", "1", Expiration=NOW + SECOND)
    (lease,) = tree.rig.member.lessor.leases()
    tree.put("/deleted", "1", Expiration=NOW + SECOND)
    tree.put("/kept", "1", Expiration=NOW + SECOND)
    tree.v3_put(b"/other", b"3", lease=lease)
    tree.v3_put(b"/written", b"2")
    tree.rig.request(DELETE_RANGE, DeleteRangeRequest(key=b"/deleted"))
    tree.rig.request(PUT, PutRequest(key=b"/kept", value=b"4", ignore_lease=True))
    if restarts:
        tree.rig.restart(True)
    tree.sync(NOW + 2 * SECOND)
    assert tree.v3_keys() == [b"/kept", b"/other", b"/written"]
    assert len(tree.rig.member.lessor) == 2
    tree.put("/kept", "5")
    tree.rig.request(DELETE_RANGE, DeleteRangeRequest(key=b"/other"))
    assert len(tree.rig.member.lessor) == 2


def test_the_leases_of_what_lies_in_a_directory_go_with_it(tree):
    tree.put("/d/a", "1", Expiration=NOW + SECOND)
    tree.put("/d/e/b", "1", Expiration=NOW + SECOND)
    tree.delete("/d", Recursive=True)
    assert len(tree.rig.member.lessor) == 0


def test_a_refresh_moves_the_time_and_keeps_the_value(tree):
    tree.put("/k", "v", Expiration=NOW + SECOND)
    event = tree.put("/k", PrevExist=True, Refresh=True, Expiration=NOW + 5 * SECOND)
    assert event.node.value == b"v"
    tree.sync(NOW + 2 * SECOND)
    assert tree.view.file(b"/k").value == b"v"
    assert refusal(tree.put("/none", Refresh=True, Expiration=NOW))[:2] == (
        errors.NodeNotFound,
        "/none",
    )


def test_times_to_live_survive_a_restart_unchanged(tree):
    tree.put("/k", "v", Expiration=NOW + 5 * SECOND)
    tree.put("/u", "v", Expiration=NOW + 9 * SECOND)
    tree.put("/u", "w", PrevExist=True, Expiration=NOW + 7 * SECOND)
    for committed in (True, False):
        tree.rig.restart(committed)
        assert tree.view.file(b"/k").expiration_ns == NOW + 5 * SECOND
        assert tree.view.expiries.next_ns() == NOW + 5 * SECOND
        assert len(tree.view.expiries) == 2
    tree.sync(NOW + 6 * SECOND)
    assert tree.view.file(b"/k") is None
    assert tree.view.file(b"/u").created == 3


def test_revoking_the_lease_of_a_node_expires_it(tree):
    tree.put("/k", "v", Expiration=NOW + 5 * SECOND)
    (lease,) = tree.rig.member.lessor.leases()
    tree.v3_put(b"/other", lease=lease)
    tree.rig.request(LEASE_REVOKE, LeaseRevokeRequest(ID=lease))
    assert tree.v3_keys() == []
    assert tree.view.stats.expire_count == 1
    with pytest.raises(MvccLeaseNotFound):
        tree.rig.member.store.put(b"/x", b"", lease)


# -- space ----------------------------------------------------------------------------------


def test_without_space_v2_only_takes_away(make_rig):
    tree = Tree(make_rig(quota_bytes=20_000))
    tree.put("/small", "x", Expiration=NOW + SECOND)
    tree.put("/other", "x")
    assert isinstance(tree.put("/big", "x" * 30_000), NoSpace)
    assert isinstance(tree.put("/more", "x"), NoSpace)
    assert tree.delete("/other").action == "delete"
    tree.sync(NOW + SECOND)
    assert tree.view.file(b"/small") is None
    alarm = AlarmRequest(action=AlarmAction.ACTIVATE, memberID=7, alarm=AlarmType.NOSPACE)
    tree.rig.request(ALARM, alarm)
    index = tree.index
    assert isinstance(tree.put("/more", "x"), NoSpace)
    assert isinstance(tree.ask("POST", "/more", "x"), NoSpace)
    assert tree.index == index
    assert tree.delete("/big").action == "delete"


# -- notes ------------------------------------------------------------------------------------


def test_notes_go_with_the_rows_they_belong_to(tree):
    tree.put("/kept", "1")
    tree.put("/kept", "2", PrevExist=True)
    for number in range(5):
        tree.put("/k", str(number), PrevExist=None if number == 0 else True)
    tree.delete("/k", PrevValue="4")
    last = tree.put("/last", PrevExist=False)
    tree.compact(last.index)
    left = [(note.action, note.path) for _, note in tree.view.notes.scan()]
    assert left == [("update", b"/kept"), ("create", b"/last")]
    assert tree.view.file(b"/kept").created == 2
