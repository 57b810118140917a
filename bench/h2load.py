"""Throughput and latency by h2load, the load generator of nghttp2: C, one thread, one body.

h2load takes any answer for a success, so each load proves that the work was done: puts by the
revision, ranges by the bytes that came back. Its own summary has no percentiles, they come from its
log of single requests.
"""

import asyncio
import re
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.requests import PUT, PUT_VALUE_BYTES, RANGE, one_put, one_range, revision_of
from bench.servers import Server

LOAD_TIMEOUT_S = 300


class LoadFailed(Exception):
    """A load whose answers were not what they must be; its figures would be worthless."""


class Shape(NamedTuple):
    """How many requests, over how many connections, with how many streams open on each."""

    requests: int
    connections: int
    streams: int

    def __str__(self) -> str:
        return f"{self.connections} x {self.streams}"


class Figures(NamedTuple):
    """One load. Latencies are of single requests, from sending to the end of the answer."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  # of the server, per request


def available() -> bool:
    return shutil.which("h2load") is not None


async def put_load(server: Server, shape: Shape) -> Figures:
    before = await current_revision(server)
    figures, _ = await run(server, PUT, one_put(), shape)
    written = await current_revision(server) - before
    if written != shape.requests:
        raise LoadFailed(f"{server.kind}: {shape.requests} puts made {written} revisions")
    return figures


async def range_load(server: Server, shape: Shape, message: bytes = one_range()) -> Figures:
    """Reads the one key that the put loads write."""
    figures, data_bytes = await run(server, RANGE, message, shape)
    if data_bytes < shape.requests * PUT_VALUE_BYTES:
        raise LoadFailed(f"{server.kind}: {shape.requests} ranges gave {data_bytes} bytes")
    return figures


async def put_once(server: Server) -> None:
    connection = await server.connect()
    await connection.call(PUT, one_put())
    connection.close()


async def current_revision(server: Server) -> int:
    connection = await server.connect()
    reply = await connection.call(RANGE, one_range())
    connection.close()
    return revision_of(reply)


async def run(server: Server, path: str, message: bytes, shape: Shape) -> tuple[Figures, int]:
    """Sends the same message over and over; returns figures and the bytes of data that came."""
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        return await measured(server, shape, h2load_command(server.port, path, shape, body, log))


async def measured(server: Server, shape: Shape, command: list[str]) -> tuple[Figures, int]:
    """Runs h2load, which is told a log file; returns figures and the bytes of data that came."""
    log = Path(command[command.index("--log-file") + 1])
    before = server.usage().cpu_s
    output = await finished(command)
    cpu_s = server.usage().cpu_s - before
    latencies_us = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    check_all_succeeded(server, shape, output)
    per_second = float(expect(r"finished in [^,]*, ([\d.]+) req/s", output))
    data_bytes = int(expect(r"\((\d+)\) data", output))
    p50, p99 = percentile(latencies_us, 50) / 1e3, percentile(latencies_us, 99) / 1e3
    return Figures(per_second, p50, p99, cpu_s / shape.requests * 1e6), data_bytes


def h2load_command(port: int, path: str, shape: Shape, body: Path, log: Path) -> list[str]:
    return [
        "h2load",
        *("-n", str(shape.requests), "-c", str(shape.connections), "-m", str(shape.streams)),
        *("-t", "1", "-d", str(body), "--log-file", str(log)),
        *("-H", "content-type: application/grpc", "-H", "te: trailers"),
        f"http://127.0.0.1:{port}{path}",
    ]


async def finished(command: list[str], timeout_s: float = LOAD_TIMEOUT_S) -> str:
    """Runs a command to its end and returns its output."""
    pipe, out = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=out)
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise LoadFailed(f"{command[0]} did not end within {timeout_s:.0f} s") from None
    return output.decode(errors="replace")


def check_all_succeeded(server: Server, shape: Shape, output: str) -> None:
    succeeded = int(expect(r"(\d+) succeeded", output))
    if succeeded != shape.requests:
        raise LoadFailed(f"{server.kind}: {succeeded} of {shape.requests} requests succeeded")


def expect(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise LoadFailed(f"h2load printed no {pattern!r}: {text[-300:]!r}")
    return found.group(1)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of the ordered values do not exceed."""
    if len(ordered) == 1:
        return ordered[0]
    at = min(len(ordered) - 1, int(len(ordered) * percent / 100))
    return ordered[at]


def median(values: list[float]) -> float:
    return statistics.median(values)
