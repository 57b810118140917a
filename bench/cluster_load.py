"""Loads on three members: at the leader, at a follower, and reads of both kinds."""

from collections.abc import Callable

from bench.clusters import Cluster, running_cluster
from bench.h2load import (
    Figures,
    LoadFailed,
    Shape,
    available,
    current_revision,
    put_load,
    range_load,
)
from bench.requests import one_range

MEMBERS = 3
WARM_UP = Shape(2_000, 10, 20)

Say = Callable[[str], None]


async def cluster_figures(
    kind: str, requests: int, one_by_one: int, say: Say
) -> dict[str, Figures]:
    """Figures by name of the load."""
    if not available():
        raise LoadFailed("h2load is not installed (Debian: nghttp2-client)")
    many, lone = Shape(requests, 10, 20), Shape(one_by_one, 1, 1)
    stale = one_range(serializable=True)
    found: dict[str, Figures] = {}
    async with running_cluster([kind] * MEMBERS) as cluster:
        leader, follower = await cluster.leader(), await cluster.follower()
        await put_load(leader, WARM_UP)
        for name, server in (("leader", leader), ("follower", follower)):
            say(f"put at the {name}")
            found[f"{name}-put"] = await put_load(server, many)
            found[f"{name}-put-1x1"] = await put_load(server, lone)
            say(f"range at the {name}")
            found[f"{name}-range"] = await range_load(server, many)
        found["follower-stale-range"] = await range_load(follower, many, stale)
        await settled(cluster)
    return found


async def settled(cluster: Cluster) -> None:
    """Every member must have all that was written, or the figures mean nothing."""
    revisions = [await current_revision(member) for member in cluster.members]
    if len(set(revisions)) != 1:
        raise LoadFailed(f"members ended at the revisions {revisions}")
