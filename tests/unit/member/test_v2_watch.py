"""v2's watchers: which events they get, live and out of the history."""

import pytest

from petcd.member.apply import DELETE_RANGE, PUT, TXN, V2
from petcd.member.v2.errors import HistoryCleared
from petcd.member.v2.nodes import Node
from petcd.member.v2.watch import V2Watchers
from petcd.wire.kv import DeleteRangeRequest, PutRequest, RequestOp, TxnRequest
from petcd.wire.v2request import Request

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


class Watched:
    """A rig with watchers; changes reach them after every request."""

    def __init__(self, rig) -> None:
        self.rig = rig
        self.signals = 0
        self.member = rig.member
        rig.member.store.take_changes()
        self.watchers = V2Watchers(rig.member.applier.v2, self._signal)

    def _signal(self) -> None:
        self.signals += 1

    @property
    def index(self) -> int:
        return self.member.store.revision

    def request(self, field_number: int, message):
        outcome = self.rig.request(field_number, message)
        changes = self.member.store.take_changes()
        if changes:
            self.watchers.notify(changes)
        return outcome

    def ask(self, method: str, path: str, value: str = "", **fields):
        message = Request(Method=method, Path="/1" + path, Val=value, Time=NOW, **fields)
        return self.request(V2, message)

    def put(self, path: str, value: str = "v", **fields):
        return self.ask("PUT", path, value, **fields)

    def watch(self, path: str, recursive=False, stream=True, since=0) -> "Seen":
        seen = Seen()
        seen.watch = self.watchers.add(path.encode(), recursive, stream, since, seen.take)
        return seen

    def catch_up(self) -> int:
        steps = 1
        while self.watchers.catch_up_step():
            steps += 1
        return steps


class Seen(list):
    """What one watcher was told; None for an end without an event."""

    def take(self, event) -> None:
        self.append(None if event is None else (event.action, event.node.path.decode()))
        self.last = event


@pytest.fixture
def watched(rig) -> Watched:
    return Watched(rig)


def play_everything(watched: Watched) -> None:
    """A bit of each kind of event."""
    watched.put("/a/f", "1")
    watched.put("/a/f", "2", PrevExist=True)
    watched.put("/a/f", "3", PrevValue="2")
    watched.put("/a/f", PrevExist=True, Refresh=True, Expiration=NOW + SECOND)
    watched.ask("POST", "/a/q", "job")
    watched.put("/a/_h/x", "hidden")
    watched.put("/a/d", Dir=True)
    watched.request(V2, Request(Method="SYNC", Time=NOW + SECOND))
    watched.request(PUT, PutRequest(key=b"/a/v3", value=b"x"))
    watched.request(PUT, PutRequest(key=b"/a/v3/", value=b"a marker"))
    watched.request(PUT, PutRequest(key=b"/a//odd", value=b"no path"))
    watched.request(DELETE_RANGE, DeleteRangeRequest(key=b"/a/v3"))
    watched.put("/b", "other")
    watched.ask("DELETE", "/a/d", Dir=True)
    watched.put("/a/g", "1")
    watched.ask("DELETE", "/a/g", PrevValue="1")
    watched.ask("DELETE", "/a", Recursive=True)


EVERYTHING = [
    ("set", "/a/f"),
    ("update", "/a/f"),
    ("compareAndSwap", "/a/f"),
    ("create", "/a/q/00000000000000000006"),
    ("set", "/a/d"),
    ("expire", "/a/f"),
    ("set", "/a/v3"),
    ("delete", "/a/v3"),
    ("delete", "/a/d"),
    ("set", "/a/g"),
    ("compareAndDelete", "/a/g"),
    ("delete", "/a"),
]


def test_history_tells_the_same_as_the_live_watch(watched):
    live = watched.watch("/a", recursive=True)
    play_everything(watched)
    assert live == EVERYTHING
    past = watched.watch("/a", recursive=True, since=2)
    assert past == []
    watched.catch_up()
    assert past == EVERYTHING
    watched.put("/a/new")
    assert past[-1] == live[-1] == ("set", "/a/new")
    assert watched.signals == 1


def test_events_of_the_history_carry_the_same_nodes(watched):
    live, past = [], []
    watched.watchers.add(b"/", True, True, 0, live.append)
    play_everything(watched)
    watched.watchers.add(b"/", True, True, 2, past.append)
    watched.catch_up()
    assert [repr(event) for event in past] == [repr(event) for event in live]
    expire = next(event for event in past if event.action == "expire")
    assert (expire.prev.value, expire.prev.expiration_ns) == (b"3", NOW + SECOND)
    assert (expire.node.value, expire.node.created) == (None, 2)
    removed = past[-1]
    assert (removed.node.is_dir, removed.prev.is_dir, removed.prev.created) == (True, True, 2)


def test_a_watch_of_one_path_hears_of_that_and_of_directories_that_go(watched):
    seen = watched.watch("/a/f")
    other = watched.watch("/a/fx")
    play_everything(watched)
    assert seen == [
        *(("set", "/a/f"), ("update", "/a/f"), ("compareAndSwap", "/a/f"), ("expire", "/a/f")),
        ("delete", "/a"),
    ]
    assert other == [("delete", "/a")]
    past = watched.watch("/a/f", since=1)
    watched.catch_up()
    assert past == seen


def test_hidden_parts_are_seen_only_from_inside(watched):
    inside = watched.watch("/a/_h", recursive=True)
    play_everything(watched)
    assert inside == [("set", "/a/_h/x"), ("delete", "/a")]


def test_a_long_poll_gets_one_event_and_no_more(watched):
    seen = watched.watch("/k", stream=False)
    assert watched.member.applier.v2.stats.watchers == 1
    watched.put("/k", "1")
    watched.put("/k", "2")
    assert seen == [("set", "/k")]
    past = watched.watch("/k", stream=False, since=2)
    watched.catch_up()
    assert past == [("set", "/k")] and past.last.node.value == b"1"
    assert watched.member.applier.v2.stats.watchers == 0


def test_an_index_in_the_future_is_waited_for(watched):
    seen = watched.watch("/k", since=watched.index + 3)
    for value in "123":
        watched.put("/k", value)
    assert seen == [("set", "/k")] and seen.last.node.value == b"3"


def test_a_transaction_of_v3_is_several_events_of_one_index(watched):
    seen = watched.watch("/", recursive=True)
    puts = [RequestOp(request_put=PutRequest(key=key)) for key in (b"/x", b"/y/z", b"plain")]
    watched.request(TXN, TxnRequest(success=puts))
    assert seen == [("set", "/x"), ("set", "/y/z")]
    past = watched.watch("/", recursive=True, since=2)
    watched.catch_up()
    assert past == seen


def test_what_is_compacted_is_refused_and_what_is_left_is_told(watched):
    for value in range(10):
        watched.put("/k", str(value))
    store = watched.member.store
    store.compact(6)
    for _ in store.compaction_steps():
        pass
    with pytest.raises(HistoryCleared) as caught:
        watched.watch("/k", since=6)  # readable, but not what was there before
    assert caught.value.cause == "the requested history has been cleared [7/6]"
    assert caught.value.index == watched.index
    seen = watched.watch("/k", stream=False, since=7)
    watched.catch_up()
    assert (seen.last.node.value, seen.last.prev.value) == (b"5", b"4")


def test_a_watch_whose_history_is_compacted_on_the_way_ends(watched):
    for value in range(1000):
        watched.put("/other", str(value))
    seen = watched.watch("/k", since=2)
    watched.watchers.catch_up_step()
    watched.member.store.compact(900)
    watched.catch_up()
    assert seen == [None]
    assert seen.watch.ended


def test_events_are_whole_though_a_compaction_came_in_the_same_batch(watched):
    """As on a member that catches up: it hears of all that after the last of it."""
    watched.put("/k", "1")
    watched.put("/l", "1")
    events = []
    watched.watchers.add(b"/", True, True, 0, events.append)
    watched.rig.request(DELETE_RANGE, DeleteRangeRequest(key=b"/k"))
    watched.rig.request(V2, Request(Method="PUT", Path="/1/l", Val="2", PrevExist=True))
    watched.rig.request(PUT, PutRequest(key=b"/m", value=b"new"))
    watched.member.store.compact(watched.index)
    watched.watchers.notify(watched.member.store.take_changes())
    told = [(event.action, event.node.created, event.prev) for event in events]
    assert repr(told) == repr(
        [
            ("delete", 2, Node(b"/k", b"1", False, 2, 2)),
            ("update", 3, Node(b"/l", b"1", False, 3, 3)),
            ("set", 6, None),
        ]
    )


def test_a_watch_that_reaches_the_compacted_index_on_the_way_ends(watched):
    for value in range(1000):
        watched.put("/k", str(value))
    seen = watched.watch("/other", since=2)
    watched.watchers.catch_up_step()
    watched.member.store.compact(seen.watch.next_revision)
    watched.catch_up()
    assert seen == [None]


def test_removed_and_closed_watches_hear_nothing_more(watched):
    removed, past, closed = watched.watch("/k"), watched.watch("/k", since=1), watched.watch("/k")
    watched.watchers.remove(removed.watch)
    watched.watchers.remove(removed.watch)
    watched.watchers.close()
    watched.put("/k")
    assert (removed, past, closed) == ([], [None], [None])
    assert watched.member.applier.v2.stats.watchers == 0


def test_a_watch_resumes_a_hundred_thousand_events_back(watched):
    """What etcd refuses with error 401 after 1000 events."""
    store = watched.member.store
    first = watched.put("/job/first", "here")
    for number in range(100_000):
        store.put_plain(b"/noise/%d" % (number % 1000), b"")
    watched.watchers.notify(store.take_changes())
    assert watched.index - first.index == 100_000
    poll = watched.watch("/job", recursive=True, stream=False, since=first.index)
    stream = watched.watch("/job", recursive=True, since=first.index)
    count = watched.watch("/noise", recursive=True, since=first.index + 1)
    steps = watched.catch_up()
    assert poll == stream == [("set", "/job/first")]
    assert len(count) == 100_000
    assert steps >= 2 * 100_000 / 500  # in slices, not in one go
    watched.put("/job/last")
    assert stream[1:] == [("set", "/job/last")]


def test_a_watch_of_the_future_waits_for_it_through_a_snapshot(watched):
    seen = watched.watch("/k", since=watched.index + 4)
    watched.rig.request(PUT, PutRequest(key=b"/other", value=b""))
    watched.member.store.take_changes()
    watched.watchers.skip_to(watched.index)  # as when a snapshot was installed
    watched.catch_up()
    for value in ("too early", "still too early", "now"):
        watched.put("/k", value)
    watched.catch_up()
    assert (len(seen), seen.last.node.value) == (1, b"now")
