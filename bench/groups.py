"""The groups of loads that can be asked for by name; each runs on one fresh server at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bench.closed_loop import Drive, drive, fill_mixed_keys, go_blocks, go_puts, mixed, same_put
from bench.cluster_load import cluster_figures
from bench.ctl_start import ctl_get
from bench.failover import fail_over
from bench.h2load import (
    Figures,
    LoadFailed,
    Shape,
    available,
    percentile,
    put_load,
    range_load,
)
from bench.million import million
from bench.perf_check import LOADS, check_perf
from bench.servers import running
from bench.v2_load import fill, v2_get, v2_list, v2_put
from bench.watch_load import fan_out

SHAPES = ((1, 1), (10, 20), (100, 10))
WARM_UP = Shape(2_000, 10, 20)

Values = dict[str, float]
Say = Callable[[str], None]


class Sizes(NamedTuple):
    """How much load: a full run, or a quick one."""

    requests: int = 100_000
    requests_one_by_one: int = 5_000
    fan_out_puts: int = 300
    keys: int = 1_000_000
    perf_loads: tuple[str, ...] = LOADS
    v2_requests: int = 50_000
    v2_listed: int = 10_000
    v2_listings: int = 200
    leader_kills: int = 30


QUICK = Sizes(20_000, 1_000, 100, 100_000, ("s",), 10_000, 10_000, 30, 3)


class Group(NamedTuple):
    """`long` groups run once, whatever --repeat says."""

    name: str
    meaning: str
    run: Callable[[str, Sizes, Say], Awaitable[Values]]
    long: bool = False


async def put_and_range(kind: str, sizes: Sizes, say: Say) -> Values:
    if not available():
        raise LoadFailed("h2load is not installed (Debian: nghttp2-client)")
    values: Values = {}
    async with running(kind) as server:
        await put_load(server, WARM_UP)
        for name, load in (("put", put_load), ("range", range_load)):
            for connections, streams in SHAPES:
                alone = connections == 1
                requests = sizes.requests_one_by_one if alone else sizes.requests
                shape = Shape(requests, connections, streams)
                say(f"{name}, {shape}")
                prefix = f"{name}-{connections}x{streams}"
                values |= named(prefix, await load(server, shape))
    return values


async def clients(kind: str, sizes: Sizes, say: Say) -> Values:
    """The same puts by a plain client and by one in Go, and a mixed load."""
    load = Drive(sizes.requests, 10, 20)
    async with running(kind) as server:
        say("put by a plain client")
        plain = await drive(server, [same_put() for _ in range(load.connections)], load)
        say("put by a client in Go")
        blocks = go_blocks(load.requests // load.connections, server.port)
        go = await drive(server, [go_puts(blocks) for _ in range(load.connections)], load)
        say("mixed load")
        await fill_mixed_keys(server)
        both = await drive(server, [mixed() for _ in range(load.connections)], load)
    values = named("go-put", go) | named("mixed", both)
    return values | {"go-cost": go.cpu_us / plain.cpu_us}


async def watch(kind: str, sizes: Sizes, say: Say) -> Values:
    async with running(kind) as server:
        say("1 event to 1,000 watchers")
        figures = await fan_out(server, sizes.fan_out_puts)
    return {
        "watch-events": figures.events_per_second,
        "watch-p50": figures.p50_ms / 1e3,
        "watch-cpu": figures.cpu_us / 1e6,
    }


async def million_keys(kind: str, sizes: Sizes, say: Say) -> Values:
    async with running(kind) as server:
        return await million(server, sizes.keys, say)


async def v2(kind: str, sizes: Sizes, say: Say) -> Values:
    """The v2 API, which etcd serves with --enable-v2 only."""
    if not available():
        raise LoadFailed("h2load is not installed (Debian: nghttp2-client)")
    async with running(kind, "--enable-v2") as server:
        say("v2: a directory of 10,000 keys is written")
        await asyncio.to_thread(fill, server, sizes.v2_listed)
        await v2_put(server, WARM_UP.requests)
        say("v2 PUT")
        values = named("v2-put", await v2_put(server, sizes.v2_requests))
        say("v2 GET")
        values |= named("v2-get", await v2_get(server, sizes.v2_requests))
        say("v2 listing")
        for name, churn in (("v2-list", False), ("v2-list-fresh", True)):
            listed = await v2_list(server, sizes.v2_listed, sizes.v2_listings, churn)
            values |= named(name, listed)
        say("etcdctl get")
        for name, api in (("ctl-get", "3"), ("ctl-get-v2", "2")):
            values[name] = await ctl_get(server, api)
    return values


async def cluster(kind: str, sizes: Sizes, say: Say) -> Values:
    loads = await cluster_figures(kind, sizes.requests, sizes.requests_one_by_one, say)
    values: Values = {}
    for name, figures in loads.items():
        values |= named(name, figures)
    return values


async def failover(kind: str, sizes: Sizes, say: Say) -> Values:
    waits_s = await fail_over(kind, sizes.leader_kills, say)
    return {
        "failover-p50": percentile(waits_s, 50),
        "failover-p99": percentile(waits_s, 99),
    }


async def perf(kind: str, sizes: Sizes, say: Say) -> Values:
    values: Values = {}
    for load in sizes.perf_loads:
        async with running(kind) as server:
            say(f"etcdctl check perf --load {load} (a minute)")
            values |= await check_perf(server, load)
    return values


def named(prefix: str, figures: Figures) -> Values:
    return {
        prefix: figures.per_second,
        f"{prefix}-p50": figures.p50_ms / 1e3,
        f"{prefix}-p99": figures.p99_ms / 1e3,
        f"{prefix}-cpu": figures.cpu_us / 1e6,
    }


GROUPS = (
    Group("kv", "put and range of one key by h2load: 1 x 1, 10 x 20, 100 x 10", put_and_range),
    Group("clients", "puts by a client in Go, and a mixed load", clients),
    Group("watch", "one event to 1,000 watchers on 100 streams", watch),
    Group("million", "a million keys: load, memory, restart, page, stalls", million_keys, True),
    Group("v2", "the v2 API over HTTP/1.1, 50 connections: PUT, GET, listings; etcdctl get", v2),
    Group("cluster", "three members: put and range at the leader and at a follower", cluster),
    Group(
        "failover", "three members: the leader killed under load, until writes go", failover, True
    ),
    Group("perf", "the real `etcdctl check perf`, s m l xl, a minute each", perf, True),
)
