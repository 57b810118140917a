"""`etcdctl check perf` by the real etcdctl: writes at a fixed rate for a minute.

Its loads: s 150 writes/s by 50 clients, m 1,000 by 200, l 8,000 by 500, xl 15,000 by 1,000.
"""

import re

from bench.h2load import LoadFailed, finished
from bench.servers import Server, real_etcd

LOADS = ("s", "m", "l", "xl")
TIMEOUT_S = 120


async def check_perf(server: Server, load: str) -> dict[str, float]:
    """The writes a second that it reached and the slowest of them in seconds."""
    etcdctl = str(real_etcd() / "etcdctl")
    endpoint = f"http://127.0.0.1:{server.port}"
    command = [etcdctl, "--endpoints", endpoint, "check", "perf", "--load", load]
    output = await finished(command, TIMEOUT_S)
    throughput = re.search(r"Throughput[^\d]*([\d.]+) writes/s", output)
    slowest = re.search(r"Slowest request took[^\d]*([\d.]+)s", output)
    if throughput is None or slowest is None:
        raise LoadFailed(f"{server.kind}: check perf said {output[-200:]!r}")
    return {
        f"perf-{load}-writes": float(throughput.group(1)),
        f"perf-{load}-slowest": float(slowest.group(1)),
    }
