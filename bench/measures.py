"""What is measured, in which unit, and what is wanted of it: the one table behind every report.

A wanted value is petcd's figure divided by etcd's from the same run, or petcd's own figure for a
`Bound.OWN` measure. For `Better.MORE` it is the least allowed, for `Better.LESS` the most.
"""

from enum import Enum
from typing import NamedTuple


class Better(Enum):
    MORE = "more"
    LESS = "less"


class Bound(Enum):
    RATIO = "ratio"
    OWN = "own"


class Unit(Enum):
    """What a figure is counted in, and how it is shown."""

    PER_SECOND = "/s"
    SECONDS = "s"
    BYTES = "MB"
    TIMES = "x"


class Measure(NamedTuple):
    name: str  # as in the JSON file
    title: str
    unit: Unit
    better: Better
    must: float | None = None
    aim: float | None = None
    bound: Bound = Bound.RATIO


class Verdict(Enum):
    AIM = "aim reached"
    MUST = "ok"
    MISSED = "MISSED"
    NONE = ""  # nothing is demanded of it
    UNKNOWN = "?"  # a figure is missing


def rate(name: str, title: str, must: float | None = None, aim: float | None = None) -> Measure:
    return Measure(name, title, Unit.PER_SECOND, Better.MORE, must, aim)


def wait(name: str, title: str, must: float | None = None, aim: float | None = None) -> Measure:
    return Measure(name, title, Unit.SECONDS, Better.LESS, must, aim)


def size(name: str, title: str, must: float | None = None, aim: float | None = None) -> Measure:
    return Measure(name, title, Unit.BYTES, Better.LESS, must, aim)


def stall(name: str, title: str) -> Measure:
    """An event loop may be blocked by one request for 50 ms at most, better 5."""
    return Measure(name, title, Unit.SECONDS, Better.LESS, 0.050, 0.005, Bound.OWN)


def start(name: str, title: str) -> Measure:
    """A command of ours may take 0.15 s from its start to its exit, better 0.08."""
    return Measure(name, title, Unit.SECONDS, Better.LESS, 0.15, 0.08, Bound.OWN)


MEASURES = (
    rate("put-1x1", "put, 1 x 1"),
    wait("put-1x1-p50", "put, 1 x 1, median", 1.2, 1.0),
    wait("put-1x1-p99", "put, 1 x 1, p99"),
    rate("put-10x20", "put, 10 x 20", 1.5, 2.5),
    wait("put-10x20-p50", "put, 10 x 20, median"),
    wait("put-10x20-p99", "put, 10 x 20, p99", 1.0, 0.5),
    wait("put-10x20-cpu", "put, 10 x 20, server CPU each"),
    rate("put-100x10", "put, 100 x 10", 1.5, 2.5),
    wait("put-100x10-p99", "put, 100 x 10, p99"),
    rate("range-1x1", "range of a key, 1 x 1"),
    wait("range-1x1-p50", "range of a key, 1 x 1, median"),
    rate("range-10x20", "range of a key, 10 x 20", 1.5, 3.0),
    wait("range-10x20-p99", "range of a key, 10 x 20, p99"),
    wait("range-10x20-cpu", "range of a key, server CPU each"),
    rate("range-100x10", "range of a key, 100 x 10"),
    rate("go-put", "put by a client in Go, 10 x 20"),
    wait("go-put-p99", "put by a client in Go, p99"),
    Measure(
        "go-cost",
        "its CPU each, against a plain client's",
        Unit.TIMES,
        Better.LESS,
        1.5,
        1.2,
        Bound.OWN,
    ),
    rate("mixed", "mixed load, 10 x 20"),
    wait("mixed-p50", "mixed load, median"),
    wait("mixed-p99", "mixed load, p99"),
    rate("watch-events", "1 event to 1,000 watchers, delivered", 1.0, 2.0),
    wait("watch-p50", "1 event to 1,000 watchers, until the last"),
    wait("watch-cpu", "server CPU for one delivered event"),
    rate("load-keys", "keys loaded, 100 puts a transaction", 1.0, 2.0),
    size("rss-loaded", "RSS after the load", 1.2, 0.7),
    size("rss-loaded-anonymous", "of that not file pages"),
    size("rss-restarted", "RSS after a restart", 1.2, 0.7),
    size("rss-restarted-anonymous", "of that not file pages, restarted"),
    size("disk-loaded", "data directory after the load"),
    wait("restart", "restart until it serves", 1.2, 0.5),
    wait("page-500", "first 500 keys of all, with count", 1.0, 0.1),
    Measure("stall-idle", "longest wait, idle", Unit.SECONDS, Better.LESS),
    stall("stall-range", "longest wait while all keys are read"),
    stall("stall-hash", "longest wait while hashing"),
    stall("stall-snapshot", "longest wait while a snapshot streams"),
    stall("stall-compact", "longest wait while compacting all"),
    rate("v2-get", "v2 GET of a key, 50 connections", 0.7, 1.5),
    wait("v2-get-p99", "v2 GET of a key, p99"),
    wait("v2-get-cpu", "v2 GET of a key, server CPU each"),
    rate("v2-put", "v2 PUT, 50 connections", 1.0, 2.0),
    wait("v2-put-p99", "v2 PUT, p99"),
    wait("v2-put-cpu", "v2 PUT, server CPU each"),
    rate("v2-list", "v2 listing of 10,000 keys, recursive", 1.0, 2.0),
    rate("v2-list-fresh", "the same after a write in it"),
    wait("v2-list-fresh-p50", "the same, median"),
    start("ctl-get", "etcdctl get, start to exit"),
    start("ctl-get-v2", "etcdctl get, start to exit, API 2"),
    rate("leader-put", "3 members: put at the leader, 10 x 20", 1.0, 1.5),
    wait("leader-put-p99", "3 members: put at the leader, p99"),
    wait("leader-put-cpu", "3 members: put, leader's CPU each"),
    wait("leader-put-1x1-p50", "3 members: lone put at the leader, median"),
    rate("follower-put", "3 members: put at a follower, 10 x 20"),
    wait("follower-put-1x1-p50", "3 members: lone put at a follower, median"),
    rate("leader-range", "3 members: range at the leader, 10 x 20"),
    rate("follower-range", "3 members: range at a follower, 10 x 20"),
    rate("follower-stale-range", "3 members: serializable range at a follower"),
    wait("failover-p50", "leader killed until writes succeed, median"),
    Measure(
        "failover-p99",
        "leader killed until writes succeed, p99",
        Unit.SECONDS,
        Better.LESS,
        3.0,
        2.0,
        Bound.OWN,
    ),
    *(
        measure
        for load in ("s", "m", "l", "xl")
        for measure in (
            rate(f"perf-{load}-writes", f"check perf {load}, writes"),
            wait(f"perf-{load}-slowest", f"check perf {load}, slowest"),
        )
    ),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


def judged(measure: Measure, petcd: float | None, etcd: float | None) -> float | None:
    """The number that must and aim speak of."""
    if measure.bound is Bound.OWN:
        return petcd
    return petcd / etcd if petcd is not None and etcd else None


def verdict(measure: Measure, petcd: float | None, etcd: float | None) -> Verdict:
    if measure.must is None:
        return Verdict.NONE
    number = judged(measure, petcd, etcd)
    if number is None:
        return Verdict.UNKNOWN
    if reaches(measure, number, measure.aim):
        return Verdict.AIM
    return Verdict.MUST if reaches(measure, number, measure.must) else Verdict.MISSED


def reaches(measure: Measure, number: float, wanted: float | None) -> bool:
    if wanted is None:
        return False
    return number >= wanted if measure.better is Better.MORE else number <= wanted
