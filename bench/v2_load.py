"""The v2 API by h2load over HTTP/1.1: one key read, one key written, a directory listed.

Each load proves that the work was done: writes by the index, reads by the bytes that came back.
"""

import asyncio
import http.client
import json
import tempfile
from pathlib import Path
from time import perf_counter

from bench.h2load import Figures, LoadFailed, Shape, measured
from bench.requests import PUT_VALUE_BYTES
from bench.servers import Server

CONNECTIONS = 50
KEY = "/v2/keys/bench/one"
DIRECTORY = "/v2/keys/listed"
LIST = DIRECTORY + "?recursive=true"
DIRECTORIES = 10
FORM = "application/x-www-form-urlencoded"
SET = "value=" + "v" * PUT_VALUE_BYTES


async def v2_put(server: Server, requests: int) -> Figures:
    """One key set over and over."""
    before = await asyncio.to_thread(index_of, server)
    figures, _ = await run(server, KEY, Shape(requests, CONNECTIONS, 1), SET)
    written = await asyncio.to_thread(index_of, server) - before
    if written != requests:
        raise LoadFailed(f"{server.kind}: {requests} v2 sets moved the index by {written}")
    return figures


async def v2_get(server: Server, requests: int) -> Figures:
    """That key read over and over."""
    figures, data_bytes = await run(server, KEY, Shape(requests, CONNECTIONS, 1))
    if data_bytes < requests * PUT_VALUE_BYTES:
        raise LoadFailed(f"{server.kind}: {requests} v2 reads gave {data_bytes} bytes")
    return figures


async def v2_list(server: Server, keys: int, requests: int, churn: bool) -> Figures:
    """A directory of `keys` files listed recursively, one request after the other.

    With `churn` a file in it is written before each, so that no answer can be a remembered one.
    """
    if churn:
        return await asyncio.to_thread(list_with_churn, server, keys, requests)
    figures, data_bytes = await run(server, LIST, Shape(requests, 1, 1))
    if data_bytes < requests * keys * 40:
        raise LoadFailed(f"{server.kind}: {requests} listings gave {data_bytes} bytes")
    return figures


def fill(server: Server, keys: int) -> None:
    """Write the files of the directory, in ten directories below it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for i in range(keys):
        path = f"{DIRECTORY}/{i % DIRECTORIES}/key-{i:05d}"
        connection.request("PUT", path, SET[:38], {"content-type": FORM})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise LoadFailed(f"{server.kind}: {path} was answered with {answer.status}")
    connection.close()


def list_with_churn(server: Server, keys: int, requests: int) -> Figures:
    """See `v2_list`; the writes are not part of the time."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    took_ms = []
    cpu_s = 0.0
    for _ in range(requests):
        connection.request("PUT", f"{DIRECTORY}/0/key-00000", SET, {"content-type": FORM})
        connection.getresponse().read()
        before, started_s = server.usage().cpu_s, perf_counter()
        connection.request("GET", LIST)
        body = connection.getresponse().read()
        took_ms.append((perf_counter() - started_s) * 1e3)
        cpu_s += server.usage().cpu_s - before
        found = body.count(b"/key-")
        if found != keys:
            raise LoadFailed(f"{server.kind}: a listing has {found} of {keys} keys")
    connection.close()
    took_ms.sort()
    total_s = sum(took_ms) / 1e3
    p50, p99 = took_ms[len(took_ms) // 2], took_ms[min(len(took_ms) - 1, len(took_ms) * 99 // 100)]
    return Figures(requests / total_s, p50, p99, cpu_s / requests * 1e6)


def index_of(server: Server) -> int:
    """The index of the newest change."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", KEY)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return int(body["node"]["modifiedIndex"] if answer.status == 200 else body["index"])


async def run(
    server: Server, path: str, shape: Shape, form: str | None = None
) -> tuple[Figures, int]:
    """Sends the same request over and over: GET, or PUT with a form."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        words = command(server.port, path, shape, log, Path(folder), form)
        return await measured(server, shape, words)


def command(
    port: int, path: str, shape: Shape, log: Path, folder: Path, form: str | None
) -> list[str]:
    words = ["h2load", "--h1", "-t", "1", "--log-file", str(log)]
    words += ["-n", str(shape.requests), "-c", str(shape.connections), "-m", "1"]
    if form is not None:
        (folder / "form").write_text(form)
        words += ["-d", str(folder / "form"), "-H", ":method: PUT", "-H", f"content-type: {FORM}"]
    return [*words, f"http://127.0.0.1:{port}{path}"]
