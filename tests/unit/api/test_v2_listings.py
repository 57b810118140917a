"""Listings are kept in step with the store: every answer shows one state, the present one."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petcd.api.v2 import listing, listings, pieces
from petcd.lease import Lessor
from petcd.member.v2 import V2View
from petcd.member.v2.errors import V2Refused
from petcd.mvcc.store import Store
from petcd.storage.memory import MemoryBackend
from petcd.wire.kv import DeleteRangeRequest, PutRequest, RequestOp, TxnRequest
from petcd.wire.v2request import Request
from tests.support.v2_listing import Desk, members_of, plain_listing

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


class World:
    """A store with its v2 view, and a desk; changes are told at once unless a test waits."""

    def __init__(self) -> None:
        backend = MemoryBackend()
        lessor = Lessor(backend)
        self.store = Store(backend, lessor)
        self.view = V2View(self.store, lessor, backend)
        self.desk = Desk(self.view)

    def v2(self, method: str, path: str, value: str = "", **fields: object) -> None:
        request = Request(Method=method, Path="/1" + path, Val=value, Time=NOW, **fields)
        try:
            self.view.apply(request.encode(), 0.0)
        except V2Refused:
            return

    def put(self, path: str, value: str = "v", **fields: object) -> None:
        self.v2("PUT", path, value, **fields)
        self.desk.tell()

    def v3_put(self, *keys: bytes) -> None:
        ops = [RequestOp(request_put=PutRequest(key=key, value=b"3")) for key in keys]
        self.store.txn(TxnRequest(success=ops))
        self.desk.tell()

    def v3_delete(self, key: bytes, end: bytes = b"") -> None:
        self.store.delete_range(DeleteRangeRequest(key=key, range_end=end))
        self.desk.tell()

    def list(self, path: bytes, recursive: bool, now_ns: int = NOW) -> dict:
        """An answer, which is compared with the plain listing."""
        self.desk.ask(path, recursive, now_ns)
        body = self.desk.finish()
        assert members_of(body) == plain_listing(self.view, path, recursive, now_ns)
        return json.loads(body)

    def finish_in_steps(self) -> tuple[int, dict]:
        """The number of steps to an answer that was asked for, and the answer."""
        steps = 0
        while not self.desk.answers:
            assert self.desk.listings.step()
            steps += 1
        return steps, json.loads(self.desk.finish())


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def tiny(monkeypatch) -> None:
    """Slices and chunks of a few keys, so that small trees have many."""
    monkeypatch.setattr(listing, "SLICE_KEYS", 2)
    monkeypatch.setattr(listing, "JOIN_COST_MAX", 3)
    monkeypatch.setattr(pieces, "CHUNK_PIECES_MAX", 4)
    monkeypatch.setattr(listings, "FREED_CHUNKS", 1)


def paths_of(node: dict) -> list[object]:
    return [
        (child["key"], paths_of(child)) if "nodes" in child else child["key"]
        for child in node.get("nodes", [])
    ]


# -- what is shown ----------------------------------------------------------------------------


def test_a_listing_shows_one_level_or_all_sorted_and_nothing_hidden(world):
    for path in ("/d/x-1", "/d/x/1", "/d/x/2/3", "/d/a", "/d/_h", "/d/x/_h/4", "/d/_i/j", "/z"):
        world.put(path)
    world.put("/d/empty", "", Dir=True)
    assert paths_of(world.list(b"/d", False)) == ["/d/a", "/d/empty", "/d/x", "/d/x-1"]
    assert paths_of(world.list(b"/d", True)) == [
        "/d/a",
        "/d/empty",
        ("/d/x", ["/d/x/1", ("/d/x/2", ["/d/x/2/3"])]),
        "/d/x-1",
    ]
    assert paths_of(world.list(b"/", False)) == ["/d", "/z"]
    assert paths_of(world.list(b"/d/_i", False)) == ["/d/_i/j"]


def test_directories_are_nested_however_deep_and_odd_their_names_are(world):
    names = [
        b"a",
        b"a\0",
        b"a\0b",
        b"a\1",
        b"a!",
        b"a0",
        b"\0",
        b"\1",
        b"\1\1",
        "\u00e4\U0010ffff".encode(),
    ]
    for name in names:
        world.v3_put(b"/d/" + name + b"/" + name, b"/d/a/" + name)
    world.list(b"/d", True)
    world.list(b"/d", False)
    world.v3_put(b"/deep" + b"/x" * 499)
    world.desk.ask(b"/deep", True)
    assert world.desk.finish().count(b'"nodes":[') == 499
    world.v3_put(b"/y" * 500 + b"/", b"/y" * 501)
    world.desk.ask(b"/y", True)
    assert world.desk.finish().count(b'"dir":true') == 500


def test_a_file_hides_what_lies_below_it_as_long_as_it_is_there(world):
    world.put("/a/b/c/d", "1")
    world.put("/a/b/e", "1")
    shown = world.list(b"/", True)
    world.v3_put(b"/a/b")
    assert paths_of(world.list(b"/", True)) == [("/a", ["/a/b"])]
    world.put("/a/c", "1")
    world.v3_put(b"/a/b/c/new")
    world.v3_delete(b"/a/b/e")
    assert paths_of(world.list(b"/", True)) == [("/a", ["/a/b", "/a/c"])]
    world.v3_delete(b"/a/c")
    world.v3_delete(b"/a/b/c/new")
    world.put("/a/e", "1")
    world.v3_delete(b"/a/b")
    world.v3_delete(b"/a/e")
    world.put("/a/b/e", "1")
    assert paths_of(world.list(b"/", True)) == paths_of(shown)


def test_directories_that_v3_made_go_with_their_last_key_and_those_of_v2_stay(world):
    world.v3_put(b"/three/x/y/z", b"/three/w")
    world.put("/two/x/y", "1")
    world.list(b"/", True)
    world.v3_delete(b"/three/x/y/z")
    world.v2("DELETE", "/two/x/y")
    world.desk.tell()
    assert paths_of(world.list(b"/", True)) == [("/three", ["/three/w"]), ("/two", ["/two/x"])]
    world.v3_delete(b"/two/x/")
    assert paths_of(world.list(b"/", True)) == [("/three", ["/three/w"]), "/two"]


def test_a_directory_comes_back_with_its_next_key(world):
    for name in (b"x", b"y", b"z"):
        world.v3_put(b"/three/w/" + name)
        assert paths_of(world.list(b"/", True)) == [
            ("/three", [("/three/w", [f"/three/w/{name.decode()}"])])
        ]
        world.v3_delete(b"/three/w/" + name)
        assert paths_of(world.list(b"/", True)) == []


def test_a_marker_beside_a_file_shows_when_the_file_has_gone(world):
    world.v3_put(b"/a")
    world.list(b"/", True)
    world.v3_put(b"/a/")
    assert paths_of(world.list(b"/", True)) == ["/a"]
    world.v3_put(b"/a")
    assert world.list(b"/", True)["nodes"][0]["value"] == "3"
    world.v3_delete(b"/a")
    assert world.list(b"/", True)["nodes"][0]["dir"]


# -- times to live ----------------------------------------------------------------------------


def test_times_to_live_are_those_of_the_moment_of_each_answer(world, tiny):
    for number in range(20):
        world.put(f"/d/{number}", Expiration=NOW + (10 + number) * SECOND)
        world.put(f"/d/stays/{number}")
    world.put("/d/dir", "", Dir=True, Expiration=NOW + 50 * SECOND)
    world.put("/d/dir/x")
    assert world.list(b"/d", True)["nodes"][0]["ttl"] == 10
    assert world.list(b"/d", True, NOW + 3 * SECOND)["nodes"][0]["ttl"] == 7
    assert world.list(b"/d", True, NOW + 3 * SECOND + 1)["nodes"][0]["ttl"] == 7
    assert "ttl" not in world.list(b"/d", False, NOW + 10 * SECOND)["nodes"][0]
    world.view.apply(Request(Method="SYNC", Time=NOW + 12 * SECOND).encode(), 0.0)
    world.desk.tell()
    assert world.list(b"/d", True, NOW + 12 * SECOND)["nodes"][0]["key"] == "/d/10"
    world.view.apply(Request(Method="SYNC", Time=NOW + 99 * SECOND).encode(), 0.0)
    world.desk.tell()
    assert paths_of(world.list(b"/d", False, NOW + 99 * SECOND)) == ["/d/stays"]


def test_who_waits_for_the_next_answer_sees_the_time_go_on(world, tiny):
    for number in range(9):
        world.put(f"/d/{number}", Expiration=NOW + 100 * SECOND)
    for asked in range(listings.ANSWERS_MAX + 2):
        world.desk.ask(b"/d", True, NOW + asked * SECOND)
    while world.desk.listings.step():
        pass
    ttls = [json.loads(body)["nodes"][0]["ttl"] for _, body in world.desk.answers]
    assert ttls == [100] * listings.ANSWERS_MAX + [100 - asked] * 2


# -- slices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("recursive", [False, True])
def test_a_huge_listing_is_made_in_slices_and_shows_one_state(world, recursive):
    keys = [b"/d/%04d" % number for number in range(1200)]
    keys += [b"/d/0500x/%04d" % number for number in range(700)]
    for start in range(0, len(keys), 100):
        world.v3_put(*keys[start : start + 100])
    world.desk.ask(b"/d", recursive)
    assert world.desk.listings.step()
    world.v3_put(b"/d/0000-late", b"/d/late", b"/d/0001")
    world.v3_delete(b"/d/0002")
    world.v3_delete(b"/d/0500x/", b"/d/0500x/0699")
    steps, found = world.finish_in_steps()
    assert steps > 2
    assert members_of(json.dumps(found)) == plain_listing(world.view, b"/d", recursive, 0)
    assert len(found["nodes"]) == 1200 + 3 - 1
    if recursive:
        assert sum(len(child.get("nodes", ())) for child in found["nodes"]) == 1


def test_a_change_costs_what_changed_and_not_what_there_is(world, monkeypatch):
    for number in range(3000):
        world.v3_put(b"/d/%d/%04d" % (number % 3, number))
    world.put("/d/1/0001", "old")
    world.list(b"/d", True)
    looks, joins = [], []
    look_at, join = listing.TreeListing._look_at, pieces.Chunk.join
    monkeypatch.setattr(
        listing.TreeListing, "_look_at", lambda self, key: (looks.append(key), look_at(self, key))
    )
    monkeypatch.setattr(
        pieces.Chunk, "join", lambda self, now: (joins.append(1), join(self, now))[1]
    )
    world.put("/d/1/0001", "new")
    world.put("/d/1/0001", "newer")
    world.put("/elsewhere")
    world.desk.ask(b"/d", True)
    assert world.desk.answers, "answered at once"
    world.desk.finish()
    assert (looks, len(joins)) == ([b"/d/1/0001"], 1)


def test_a_listing_catches_up_with_changes_that_never_end(world):
    world.v3_put(*(b"/d/%04d" % number for number in range(600)))
    world.desk.ask(b"/d", True)
    for _ in range(20):
        world.v3_put(*(b"/d/%04d" % number for number in range(1000)))
        world.desk.listings.step()
        if world.desk.answers:
            break
    assert world.desk.answers


# -- who asks when ----------------------------------------------------------------------------


def test_nothing_is_answered_while_changes_have_not_been_told(world):
    world.put("/d/x", "old")
    world.list(b"/d", True)
    world.v2("PUT", "/d/x", "new")
    world.desk.ask(b"/d", True)
    assert not world.desk.listings.step()
    assert not world.desk.answers
    world.desk.tell()
    assert json.loads(world.desk.finish())["nodes"][0]["value"] == "new"


def test_all_who_ask_the_same_share_the_work(world, tiny):
    for number in range(50):
        world.put(f"/d/{number}")
    for _ in range(20):
        world.desk.ask(b"/d", True)
    steps = 0
    while world.desk.listings.step():
        steps += 1
    assert len(world.desk.answers) == 20
    assert len({body for _, body in world.desk.answers}) == 1
    assert steps < 80


def test_a_snapshot_in_between_begins_the_listing_anew(world, tiny):
    for number in range(9):
        world.put(f"/d/{number}")
    world.desk.ask(b"/d", True)
    world.desk.listings.step()
    world.v2("DELETE", "/d/0")
    world.v2("PUT", "/d/new")
    world.store.take_changes()
    world.desk.listings.forget_all(world.store.revision)
    found = json.loads(world.desk.finish())
    assert [child["key"] for child in found["nodes"]] == [f"/d/{n}" for n in range(1, 9)] + [
        "/d/new"
    ]
    world.v2("DELETE", "/d/1")
    world.store.take_changes()
    world.desk.listings.forget_all(world.store.revision)
    assert len(world.list(b"/d", True)["nodes"]) == 8


# -- bounds -----------------------------------------------------------------------------------


def test_listings_are_few_and_small_and_the_one_asked_for_longest_ago_goes(world, monkeypatch):
    for number in range(listings.LISTINGS_MAX + 1):
        world.put(f"/{number}/x")
        world.list(b"/%d" % number, True)
        world.list(b"/0", True)
    assert len(world.desk.listings) == listings.LISTINGS_MAX
    assert (b"/1", True) not in world.desk.listings._listings
    assert (b"/0", True) in world.desk.listings._listings
    monkeypatch.setattr(listings, "MEMORY_BYTES_MAX", 10_000)
    world.put("/big/x", "v" * 5_000)
    assert world.list(b"/big", True)["nodes"][0]["value"] == "v" * 5_000
    assert len(world.desk.listings) == 0


def test_what_nobody_asks_for_any_more_is_dropped(world):
    world.put("/d/x")
    world.put("/e/x")
    world.list(b"/d", True)
    world.list(b"/e", True)
    world.desk.listings.sweep()
    world.list(b"/d", True)
    world.desk.listings.sweep()
    assert list(world.desk.listings._listings) == [(b"/d", True)]
    world.desk.listings.sweep()
    assert len(world.desk.listings) == 0


def test_a_listing_that_is_far_behind_is_dropped_and_freed_bit_by_bit(world, tiny):
    for number in range(40):
        world.put(f"/d/{number}")
    world.list(b"/d", True)
    world.v3_put(*(b"/d/%d" % number for number in range(listing.DUE_KEYS_MIN + 1)))
    assert len(world.desk.listings) == 0
    steps = 0
    while world.desk.listings.step():
        steps += 1
    assert steps > 5
    assert len(world.list(b"/d", True)["nodes"]) == listing.DUE_KEYS_MIN + 1


def test_the_memory_of_a_listing_is_known(world):
    for number in range(100):
        world.put(f"/d/{number:03}", "x" * 100)
    world.list(b"/d", True)
    before = world.desk.listings.memory_bytes
    assert 100 * 2 * 100 < before < 100 * 2 * 400
    for number in range(100):
        world.v2("DELETE", f"/d/{number:03}")
    world.desk.tell()
    world.list(b"/d", True)
    assert world.desk.listings.memory_bytes == 0


# -- any history ------------------------------------------------------------------------------

NAMES = st.sampled_from([*("a", "a-", "b") * 6, "_h", "a\0", "."])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
KEYS = st.tuples(PATHS, st.sampled_from([*("", "", "/") * 5, "//x", "/\udcff"])).map("".join)
TTLS = st.one_of(st.just(0), st.integers(1, 9))
CHANGE = st.one_of(
    st.tuples(st.just("set"), PATHS, TTLS),
    st.tuples(st.just("update"), PATHS, TTLS),
    st.tuples(st.just("mkdir"), PATHS, TTLS),
    st.tuples(st.just("delete"), PATHS, st.booleans()),
    st.tuples(st.just("v3 put"), st.lists(KEYS, min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("v3 delete"), KEYS, st.booleans()),
    st.tuples(st.just("expire"), st.integers(0, 9)),
)
ASK = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from([b"/", b"/a", b"/a/b"]), st.booleans()),
    st.tuples(st.just("ask"), st.just(b"/"), st.just(True)),
)
ACTION = st.one_of(
    *(CHANGE,) * 6,
    *(ASK,) * 2,
    *(st.just(("step",)), st.just(("tell",))) * 3,
    st.sampled_from([("sweep",), ("snapshot",), ("compact",)]),
)


class Checked(World):
    """Compares each answer at the moment when it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.owed = 0
        self.now_ns = NOW

    def answered(self, context, found) -> None:
        path, recursive = context
        self.owed -= 1
        try:
            node = self.view.node(path)
        except V2Refused:
            return
        if node.is_dir:
            body = b"".join(found.parts(node))
            times = (self.now_ns - SECOND, self.now_ns)
            plain = [plain_listing(self.view, path, recursive, time) for time in times]
            assert members_of(body) in plain

    def perform(self, action: str, *details) -> None:
        if action == "ask":
            self.owed += 1
            self.desk.listings.ask(*details, self.now_ns, self.answered, details)
        elif action == "step":
            self.desk.listings.step()
        elif action == "tell":
            self.desk.tell()
        elif action == "sweep":
            self.desk.listings.sweep()
        elif action == "snapshot":
            self.store.take_changes()
            self.desk.listings.forget_all(self.store.revision)
        else:
            self.change(action, *details)

    def change(self, action: str, *details) -> None:
        if action == "v3 put":
            ops = [PutRequest(key=raw(key), value=b"3") for key in details[0]]
            self.store.txn(TxnRequest(success=[RequestOp(request_put=op) for op in ops]))
        elif action == "v3 delete":
            end = raw(details[0]) + b"0" if details[1] else b""
            self.store.delete_range(DeleteRangeRequest(key=raw(details[0]), range_end=end))
        elif action == "expire":
            cutoff = Request(Method="SYNC", Time=NOW + details[0] * SECOND)
            self.view.apply(cutoff.encode(), 0.0)
        elif action == "compact":
            if self.store.revision > self.store.compact_revision:
                self.store.compact(self.store.revision)
                for _ in self.store.compaction_steps():
                    pass
                while self.view.trim_step():
                    pass
        elif action == "delete":
            self.v2("DELETE", details[0], Recursive=details[1])
        else:
            fields: dict[str, object] = {"Dir": action == "mkdir"}
            if action == "update":
                fields["PrevExist"] = True
            if details[1]:
                fields["Expiration"] = NOW + details[1] * SECOND
            self.v2("PUT", details[0], "" if action == "mkdir" else "v", **fields)


def raw(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ACTION, min_size=20, max_size=120))
def test_after_any_history_every_answer_is_the_plain_listing(history):
    with pytest.MonkeyPatch.context() as patch:
        tiny.__wrapped__(patch)
        world = Checked()
        for action in history:
            world.perform(*action)
        world.desk.tell()
        for recursive in (False, True):
            world.perform("ask", b"/", recursive)
        while world.desk.listings.step():
            pass
        assert world.owed == 0
