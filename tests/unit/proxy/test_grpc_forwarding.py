"""gRPC calls through a proxy, between sockets on loopback."""

import asyncio

import pytest

from petcd.transport.grpc_status import CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE, UNIMPLEMENTED
from petcd.transport.router import BIDI, UNARY, Method

UNARY_PATH = b"/test.Service/Unary"
STREAM_PATH = b"/test.Service/Stream"


async def ended(call):
    """Wait until a call has ended; its status and messages."""
    async with asyncio.timeout(10):
        while call.status is None:
            await asyncio.sleep(0.001)
    return call.status, list(call.messages)


def echo(member):
    """A method that answers with the member's name and the request."""
    member.calls = []

    def handle(call, body):
        member.calls.append(call)
        call.reply(member.name.encode() + b" " + body)

    member.router.add(Method(UNARY_PATH, UNARY, handle))


def stream(member, handle):
    member.calls = []

    def began(call):
        member.calls.append(call)
        handle(call)

    member.router.add(Method(STREAM_PATH, BIDI, began))


def test_unary_calls_of_any_service_pass_and_stay_with_one_member(world, tmp_path):
    async def main():
        async with world.serving("a", "b", "c") as members:
            for member in members:
                echo(member)
            async with (
                world.proxying(tmp_path, [members[0].url]) as proxy,
                world.grpc_client(proxy) as engine,
            ):
                calls = [engine.unary(UNARY_PATH, b"%d" % n) for n in range(50)]
                answers = [(await ended(call))[1][0] for call in calls]
                (name,) = {answer.split()[0] for answer in answers}
                assert [answer.split()[1] for answer in answers] == [b"%d" % n for n in range(50)]
                assert name in b"abc"

    world.run(main())


def test_long_messages_pass_both_ways(world, tmp_path):
    async def main():
        async with world.serving("a") as (member,):
            echo(member)
            async with (
                world.proxying(tmp_path, [member.url]) as proxy,
                world.grpc_client(proxy) as engine,
            ):
                body = bytes(range(256)) * 6000
                assert await ended(engine.unary(UNARY_PATH, body)) == (0, [b"a " + body])

    world.run(main())


def test_metadata_passes_in_both_directions_and_with_the_status(world, tmp_path):
    async def main():
        def handle(call):
            call.begin([(b"x-begin", b"1"), (b"x-raw-bin", b"AAE")])
            call.on_half_close = lambda: [
                call.__setattr__("trailers", [(b"x-end", b"2")]),
                call.finish(7, "no: \u00e9"),
            ]

        async with world.serving("a") as (member,):
            stream(member, handle)
            async with (
                world.proxying(tmp_path, [member.url]) as proxy,
                world.grpc_client(proxy) as engine,
            ):
                call = engine.open(STREAM_PATH, [(b"token", b"t"), (b"k-bin", b"\x00\xff")])
                await world.until(lambda: call.headers is not None)  # before any message
                assert (b"x-begin", b"1") in call.headers and (b"x-raw-bin", b"AAE") in call.headers
                call.half_close()
                assert await ended(call) == (7, [])
                assert call.details == "no: \u00e9"
                assert (b"x-end", b"2") in call.trailers
                seen = member.calls[0].metadata()
                assert seen[b"token"] == b"t" and seen[b"k-bin"] == b"\x00\xff"

    world.run(main())


def test_a_stream_goes_both_ways_message_by_message(world, tmp_path):
    async def main():
        def handle(call):
            call.on_message = lambda body: call.send(body.upper())
            call.on_half_close = call.finish

        async with world.serving("a") as (member,):
            stream(member, handle)
            async with (
                world.proxying(tmp_path, [member.url]) as proxy,
                world.grpc_client(proxy) as engine,
            ):
                call = engine.open(STREAM_PATH)
                for count, word in enumerate((b"one", b"two", b""), 1):
                    call.send(word)
                    await world.until(lambda count=count: len(call.messages) == count)
                call.half_close()
                assert await ended(call) == (0, [b"ONE", b"TWO", b""])

    world.run(main())


def test_a_client_that_cancels_or_leaves_ends_the_call_at_the_member(world, tmp_path):
    async def main():
        async with world.serving("a") as (member,):
            stream(member, lambda call: call.send(b"hello"))
            async with world.proxying(tmp_path, [member.url]) as proxy:
                async with world.grpc_client(proxy) as engine:
                    first, second = engine.open(STREAM_PATH), engine.open(STREAM_PATH)
                    await world.until(lambda: first.messages and second.messages)
                    first.cancel()
                    await world.until(lambda: [c.cancelled for c in member.calls] == [True, False])
                    assert second.status is None
                await world.until(lambda: all(call.cancelled for call in member.calls))

    world.run(main())


def test_a_deadline_goes_along_and_ends_the_call_everywhere(world, tmp_path):
    async def main():
        async with world.serving("a") as (member,):
            stream(member, lambda call: None)
            async with (
                world.proxying(tmp_path, [member.url]) as proxy,
                world.grpc_client(proxy) as engine,
            ):
                began = asyncio.get_running_loop().time()
                call = engine.open(STREAM_PATH, timeout_s=0.2)
                assert (await ended(call))[0] == DEADLINE_EXCEEDED
                await world.until(lambda: member.calls[0].cancelled)
                assert 0 < member.calls[0].deadline - began < 5.0

    world.run(main())


def test_a_member_that_resets_a_stream_ends_it_for_the_client(world, tmp_path):
    async def main():
        def handle(call):
            call.send(b"hello")
            call.engine.reset(call, 8)

        async with world.serving("a") as (member,):
            stream(member, handle)
            async with (
                world.proxying(tmp_path, [member.url]) as proxy,
                world.grpc_client(proxy) as engine,
            ):
                call = engine.open(STREAM_PATH)
                assert (await ended(call))[0] == CANCELLED

    world.run(main())


def test_a_call_goes_to_the_next_member_when_the_first_is_gone(world, tmp_path):
    async def main():
        async with world.serving("a", "b") as members:
            for member in members:
                echo(member)
            async with world.proxying(tmp_path, [members[0].url]) as proxy:
                await members[1].stop()
                members[1].listener = None
                for _ in range(8):
                    async with world.grpc_client(proxy) as engine:
                        call = engine.unary(UNARY_PATH, b"x")
                        assert await ended(call) == (0, [b"a x"])
                assert proxy.upstreams.available() == [members[0].url]

    world.run(main())


def test_a_call_that_a_stopping_member_did_not_take_goes_to_the_next(world, tmp_path):
    async def main():
        async with world.serving("a", "b") as members:
            for member in members:
                echo(member)
            async with (
                world.proxying(tmp_path, [members[0].url]) as proxy,
                world.grpc_client(proxy) as engine,
            ):
                first = (await ended(engine.unary(UNARY_PATH, b"x")))[1][0].split()[0].decode()
                at = next(member for member in members if member.name == first)
                (connection,) = (c for c in at.listener.connections if hasattr(c.engine, "streams"))
                connection.engine.draining = True  # refuses new streams, as after its GOAWAY
                answer = await ended(engine.unary(UNARY_PATH, b"y"))
                other = next(member for member in members if member is not at)
                assert answer == (0, [other.name.encode() + b" y"])
                connection.engine.draining = False

    world.run(main())


def test_a_call_that_a_member_may_have_acted_on_is_not_repeated(world, tmp_path):
    async def main():
        async with world.serving("a", "b") as members:
            for member in members:
                member.calls = []

                def cut(call, body, member=member):
                    member.calls.append(body)
                    for connection in list(member.listener.connections):
                        connection.transport.abort()

                member.router.add(Method(UNARY_PATH, UNARY, cut))
            async with (
                world.proxying(tmp_path, [members[0].url]) as proxy,
                world.grpc_client(proxy) as engine,
            ):
                status, _ = await ended(engine.unary(UNARY_PATH, b"x"))
                assert status == UNAVAILABLE
                assert sum(len(member.calls) for member in members) == 1

    world.run(main())


def test_without_members_a_call_is_unavailable(world, tmp_path):
    async def main():
        async with world.serving("a") as (member,):
            echo(member)
            async with world.proxying(tmp_path, [member.url]) as proxy:
                await member.stop()
                member.listener = None
                async with world.grpc_client(proxy) as engine:
                    texts = []
                    for _ in range(2):
                        call = engine.unary(UNARY_PATH, b"x")
                        assert (await ended(call))[0] == UNAVAILABLE
                        texts.append(call.details)
                assert texts == [
                    "httpproxy: unable to get response from 1 endpoint(s)",
                    "httpproxy: zero endpoints currently available",
                ]

    world.run(main())


@pytest.mark.parametrize("slow", ["client", "member"])
def test_who_does_not_read_holds_up_the_other_side_and_not_the_memory(world, tmp_path, slow):
    async def main():
        count, piece = 2000, bytes(16 << 10)
        member_sent = []

        def flood(call):
            if slow == "member":
                call.send(b"began")
                call.pause_reading()
                call.on_message = member_sent.append
                return

            def more():
                while len(member_sent) < count and call.queued_bytes < 1 << 18:
                    call.send(piece)
                    member_sent.append(None)

            call.on_drain = more
            more()

        async with world.serving("a") as (member,):
            stream(member, flood)
            async with (
                world.proxying(tmp_path, [member.url]) as proxy,
                world.grpc_client(proxy) as engine,
            ):
                call = engine.open(STREAM_PATH)
                if slow == "client":
                    call.pause_reading()
                else:
                    await world.until(lambda: call.messages)
                    for _ in range(count):
                        call.send(piece)
                before, now = -1, -2
                while before != now:
                    before = now
                    await asyncio.sleep(0.1)
                    now = len(member_sent) if slow == "client" else call.queued_bytes
                (upstream,) = proxy._connections._open.values()
                (downstream,) = proxy._listener.connections
                held = upstream.engine.queued_bytes + downstream.engine.queued_bytes
                assert held < 3 << 20
                if slow == "client":
                    assert now < count
                    call.resume_reading()
                    await world.until(lambda: len(call.messages) == count)
                else:
                    assert now > count * len(piece) // 2
                    member.calls[0].resume_reading()
                    await world.until(lambda: len(member_sent) == count)

    world.run(main())


def test_a_readonly_proxy_refuses_calls_that_write(world, tmp_path):
    async def main():
        async with world.serving("a") as (member,):
            path = b"/etcdserverpb.KV/Range"
            member.router.add(Method(path, UNARY, lambda call, body: call.reply(b"read")))
            put = b"/etcdserverpb.KV/Put"
            member.router.add(Method(put, UNARY, lambda call, body: call.reply(b"written")))
            async with (
                world.proxying(tmp_path, [member.url], readonly=True) as proxy,
                world.grpc_client(proxy) as engine,
            ):
                assert await ended(engine.unary(path, b"")) == (0, [b"read"])
                assert (await ended(engine.unary(put, b"")))[0] == UNIMPLEMENTED

    world.run(main())
