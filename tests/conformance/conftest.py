"""Servers to compare with: the real etcd where it is installed, petcd from this checkout."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from etcdctl_runs import StartServer

from bench.servers import Server, ServerFailed, real_etcd


@pytest.fixture(scope="module")
def start_server() -> Iterator[StartServer]:
    """`start_server(kind, *flags)`: a fresh server of kind `petcd` or `etcd` that serves; all end
    with the module. Skips where the real etcd is not there."""
    with contextlib.ExitStack() as stack:

        def start(kind: str, *flags: str) -> Server:
            try:
                real_etcd()
            except ServerFailed as error:
                pytest.skip(f"no real etcd to compare with: {error}")
            server = Server(kind, *flags)
            stack.callback(server.close)
            asyncio.run(server.start())
            return server

        yield start
