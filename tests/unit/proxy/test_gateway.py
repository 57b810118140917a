"""The TCP gateway between sockets on loopback."""

import asyncio
import socket

import pytest
import uvloop

from petcd.proxy.gateway import SOCKET_BUFFER_BYTES, Gateway
from petcd.proxy.remotes import Remote


class Notes:
    """A log that remembers."""

    def __init__(self):
        self.lines = []

    def info(self, message, **fields):
        self.lines.append((message, fields))

    warn = info


class Endpoint:
    """A server that says its name and then gives back what it gets."""

    def __init__(self, name):
        self.name = name
        self.server = None
        self.port = 0

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def serve(self, reader, writer):
        writer.write(self.name)
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write(b"!")
        writer.close()

    async def stop(self):
        self.server.close()
        await asyncio.sleep(0)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """`run(coroutine)` on each kind of loop: uvloop reads before a new connection can be paused."""

    def run(work):
        async def bounded():
            async with asyncio.timeout(60):
                await work

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return run


async def gateway_to(*ports, retry_delay_s=60.0):
    gateway = Gateway(
        [Remote("127.0.0.1", port) for port in ports], "127.0.0.1", 0, retry_delay_s, Notes()
    )
    await gateway.start()
    return gateway


async def greeting(gateway):
    reader, writer = await asyncio.open_connection(*gateway.address)
    name = await reader.read(1)
    writer.close()
    return name


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_connections_go_to_the_endpoints_in_turn(run):
    async def main():
        one, two = await Endpoint(b"1").start(), await Endpoint(b"2").start()
        gateway = await gateway_to(one.port, two.port)
        assert [await greeting(gateway) for _ in range(4)] == [b"1", b"2", b"1", b"2"]
        await gateway.stop()
        await one.stop()
        await two.stop()

    run(main())


def test_bytes_pass_both_ways_and_each_end_is_handed_on(run):
    async def main():
        endpoint = await Endpoint(b"1").start()
        gateway = await gateway_to(endpoint.port)
        reader, writer = await asyncio.open_connection(*gateway.address)
        sent = bytes(range(256)) * 4096
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == b"1" + sent + b"!"
        writer.close()
        async with asyncio.timeout(5):
            while gateway.sides:
                await asyncio.sleep(0.005)
        await gateway.stop()
        await endpoint.stop()

    run(main())


def test_what_a_client_sends_before_it_is_connected_is_not_lost(run):
    async def main():
        endpoint = await Endpoint(b"1").start()
        gateway = await gateway_to(endpoint.port)
        with socket.create_connection(gateway.address) as client:
            client.sendall(b"early")
            client.shutdown(socket.SHUT_WR)
            client.setblocking(False)
            answer = b""
            while not answer.endswith(b"!"):
                answer += await asyncio.get_running_loop().sock_recv(client, 100)
            assert answer == b"1early!"
        await gateway.stop()
        await endpoint.stop()

    run(main())


def test_a_dead_endpoint_is_left_out_and_taken_back_when_it_answers(run):
    async def main():
        alive, dead = await Endpoint(b"a").start(), Endpoint(b"d")
        dead.port = free_port()
        gateway = await gateway_to(dead.port, alive.port, retry_delay_s=0.02)
        assert [await greeting(gateway) for _ in range(3)] == [b"a"] * 3
        messages = [message for message, _ in gateway._log.lines]
        assert messages.count("deactivated endpoint") == 1
        await dead.start()
        for _ in range(200):
            await asyncio.sleep(0.01)
            if gateway.remotes.all[0].active:
                break
        assert {await greeting(gateway), await greeting(gateway)} == {b"a", b"d"}
        await gateway.stop()
        await alive.stop()
        await dead.stop()

    run(main())


def test_without_any_endpoint_the_client_is_hung_up_on(run):
    async def main():
        gateway = await gateway_to(free_port())
        assert await greeting(gateway) == b""
        await gateway.stop()

    run(main())


def test_a_client_that_does_not_read_holds_up_the_endpoint_and_not_the_memory(run):
    async def main():
        taken = 0

        async def flood(reader, writer):
            nonlocal taken
            with pytest.raises(ConnectionError):
                while True:
                    writer.write(bytes(1 << 16))
                    await writer.drain()
                    taken += 1 << 16

        server = await asyncio.start_server(flood, "127.0.0.1", 0)
        gateway = await gateway_to(server.sockets[0].getsockname()[1])
        client = socket.create_connection(gateway.address)
        before = -1
        while taken != before:
            before = taken
            await asyncio.sleep(0.1)
        buffered = sum(side.transport.get_write_buffer_size() for side in gateway.sides)
        assert buffered < 2 * SOCKET_BUFFER_BYTES
        client.close()
        await gateway.stop()
        server.close()
        await asyncio.sleep(0.05)

    run(main())
