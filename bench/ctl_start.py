"""`etcdctl get`, from the start of the process to its end: each server's own program against it."""

import asyncio
import os
import sys
from time import perf_counter

from bench.h2load import LoadFailed, median
from bench.servers import Server, compiled, real_etcd
from bench.v2_load import KEY

RUNS = 20


async def ctl_get(server: Server, api: str) -> float:
    """Median seconds of one `get` with that ETCDCTL_API ("2" or "3")."""
    key = KEY.removeprefix("/v2/keys")
    endpoint = f"http://127.0.0.1:{server.port}"
    command = [*program(server.kind), "--endpoints", endpoint, "get", key]
    # As installed programs run: byte code is kept.
    env = {**os.environ, "ETCDCTL_API": api}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    if server.kind == "petcd" and compiled():
        env["PYTHONPATH"] = compiled()
    took_s = [await once(command, env, server.kind) for _ in range(RUNS + 1)]
    return median(took_s[1:])


def program(kind: str) -> list[str]:
    if kind == "petcd":
        return [sys.executable, "-m", "petcd.cli.etcdctl"]
    return [str(real_etcd() / "etcdctl")]


async def once(command: list[str], env: dict[str, str], kind: str) -> float:
    pipe, out = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    begin = perf_counter()
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=pipe, stderr=out)
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    took_s = perf_counter() - begin
    if process.returncode != 0:
        raise LoadFailed(f"{kind}: etcdctl get failed: {output.decode(errors='replace')[-200:]}")
    return took_s
