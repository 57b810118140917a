"""Members and proxies in one event loop, on loopback sockets."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import pytest
import uvloop

from petcd.client.aio import connect
from petcd.client.endpoint import parse_endpoint
from petcd.proxy.membership import ClusterFile
from petcd.proxy.proxy import Proxy, ProxySettings
from petcd.transport.listener import Listener
from petcd.transport.options import TransportLimits
from petcd.transport.router import Router


class Notes:
    """A log that remembers."""

    def __init__(self):
        self.lines = []

    def info(self, message, **fields):
        self.lines.append((message, fields))

    warn = info

    def messages(self):
        return [message for message, _ in self.lines]


class FakeMember:
    """A member whose peer and client URL are one port; `answer(request, respond)` may be set."""

    def __init__(self, name):
        self.name = name
        self.router = Router()
        self.listener = None
        self.port = 0
        self.requests = []
        self.answer = self.tell_name
        self.cluster = [self]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def start(self):
        self.listener = Listener(self.router, self.handle)
        _, self.port = await self.listener.start("127.0.0.1", self.port)
        return self

    async def stop(self):
        await self.listener.close()

    def handle(self, request, respond):
        if request.target == "/members":
            members = [
                {"id": 1, "name": each.name, "peerURLs": [each.url], "clientURLs": [each.url]}
                for each in self.cluster
            ]
            respond.send(
                200, [(b"content-type", b"application/json")], json.dumps(members).encode()
            )
            return
        self.requests.append(request)
        self.answer(request, respond)

    def tell_name(self, request, respond):
        respond.send(200, [(b"x-member", self.name.encode())], self.name.encode())


def no_cors(request):
    return []


@asynccontextmanager
async def serving(*names):
    """Started members that know of each other."""
    members = [await FakeMember(name).start() for name in names]
    for member in members:
        member.cluster = members
    try:
        yield members
    finally:
        for member in members:
            if member.listener is not None:
                await member.stop()


@asynccontextmanager
async def proxying(directory, peer_urls, readonly=False, cors=no_cors, log=None, **times):
    """A started proxy; `address` is where it listens."""
    given = {
        "failure_wait_s": 60.0,
        "refresh_interval_s": 60.0,
        "dial_timeout_s": 1.0,
        "write_timeout_s": 5.0,
        "read_timeout_s": 0.0,
        "answer_timeout_s": 10.0,
        **times,
    }
    settings = ProxySettings(readonly=readonly, limits=TransportLimits(), **given)
    cluster_file = ClusterFile(str(directory))
    cluster_file.make_directory()
    proxy = Proxy(settings, peer_urls, cluster_file, cors, log or Notes())
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    await proxy.start([bound])
    proxy.address = bound.getsockname()
    try:
        yield proxy
    finally:
        await proxy.stop()
        bound.close()


class HttpClient:
    """One HTTP/1.1 connection of a client."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    def send(self, head, body=b""):
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.writer.write(f"{head}\r\nHost: h\r\n{length}\r\n".encode() + body)

    async def head(self):
        """(status, headers in lower case)"""
        text = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = text.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        return int(first.split()[1]), headers

    async def answer(self):
        """(status, headers, body) of an answer with a length."""
        status, headers = await self.head()
        return status, headers, await self.reader.readexactly(int(headers["content-length"]))

    async def chunk(self):
        """The next piece of an answer without length, empty at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def ask(self, head, body=b""):
        self.send(head, body)
        return await self.answer()


@asynccontextmanager
async def http_client(proxy):
    reader, writer = await asyncio.open_connection(*proxy.address)
    try:
        yield HttpClient(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def grpc_client(proxy):
    """The engine of a connection to the proxy."""
    host, port = proxy.address
    connection = await connect(parse_endpoint(f"{host}:{port}"), b"test", 5.0)
    try:
        yield connection.engine
    finally:
        connection.close()
        await asyncio.sleep(0.01)


class World:
    """What the tests of this folder are made of."""

    Notes = Notes
    serving = staticmethod(serving)
    proxying = staticmethod(proxying)
    http_client = staticmethod(http_client)
    grpc_client = staticmethod(grpc_client)

    @staticmethod
    def run(work):
        """On the loop of a real proxy; what hangs is told, for uvloop lets no alarm through."""

        async def bounded():
            async with asyncio.timeout(60):
                await work

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(bounded())

    @staticmethod
    async def until(condition, timeout_s=10.0):
        """Give the loop turns until something holds."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.002)


@pytest.fixture
def world():
    return World
