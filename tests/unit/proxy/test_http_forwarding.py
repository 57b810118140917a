"""HTTP through a proxy, between sockets on loopback."""

import asyncio
import json

import pytest

from petcd.proxy.http_forwarding import UNSENT_BYTES_MAX


def test_requests_and_answers_pass_and_a_client_stays_with_its_member(world, tmp_path):
    async def main():
        async with (
            world.serving("a", "b", "c") as members,
            world.proxying(tmp_path, [members[0].url]) as proxy,
            world.http_client(proxy) as client,
        ):
            answers = [
                await client.ask("PUT /v2/keys/x HTTP/1.1", b"value=%d" % n) for n in range(5)
            ]
            assert {status for status, _, _ in answers} == {200}
            (name,) = {body.decode() for _, _, body in answers}
            assert answers[0][1]["x-member"] == name
            (member,) = (member for member in members if member.name == name)
            assert [request.body for request in member.requests] == [
                b"value=%d" % n for n in range(5)
            ]
            assert member.requests[0].header(b"x-forwarded-for") == b"127.0.0.1"

    world.run(main())


def test_a_member_that_is_gone_is_left_out_and_another_answers(world, tmp_path):
    async def main():
        async with (
            world.serving("a", "b") as members,
            world.proxying(tmp_path, [members[0].url]) as proxy,
        ):
            await members[1].stop()
            for _ in range(8):
                async with world.http_client(proxy) as client:
                    assert (await client.ask("PUT / HTTP/1.1", b"x"))[2] == b"a"
            assert proxy.upstreams.available() == [members[0].url]
            await members[0].stop()
            async with world.http_client(proxy) as client:
                status, headers, body = await client.ask("GET / HTTP/1.1")
                assert status == 502 and headers["content-type"] == "application/json"
                assert body == b'{"message":"httpproxy: unable to get response from 1 endpoint(s)"}'
                status, _, body = await client.ask("GET / HTTP/1.1")
                assert status == 503
                assert body == b'{"message":"httpproxy: zero endpoints currently available"}'

    world.run(main())


def test_a_failed_member_is_tried_again_after_the_wait(world, tmp_path):
    async def main():
        async with (
            world.serving("a") as (member,),
            world.proxying(tmp_path, [member.url], failure_wait_s=0.05) as proxy,
        ):
            await member.stop()
            async with world.http_client(proxy) as client:
                assert (await client.ask("GET / HTTP/1.1"))[0] == 502
                await member.start()
                assert (await client.ask("GET / HTTP/1.1"))[0] == 503
                await world.until(proxy.upstreams.available)
                assert (await client.ask("GET / HTTP/1.1"))[0] == 200

    world.run(main())


@pytest.mark.parametrize(("method", "sent"), [("GET", 2), ("POST", 1), ("PUT", 1), ("DELETE", 1)])
def test_only_a_request_that_changes_nothing_is_sent_a_second_time(world, tmp_path, method, sent):
    async def main():
        async with (
            world.serving("a", "b") as members,
            world.proxying(tmp_path, [members[0].url]) as proxy,
            world.http_client(proxy) as client,
        ):
            for member in members:
                member.answer = lambda request, respond, member=member: [
                    connection.transport.abort() for connection in list(member.listener.connections)
                ]
            status, _, body = await client.ask(f"{method} / HTTP/1.1", b"x" * (method != "GET"))
            assert status == 502
            assert f"from {sent} endpoint(s)".encode() in body
            requests = sum(len(member.requests) for member in members)
            assert requests == 1 or method == "GET"

    world.run(main())


def test_a_watch_passes_piece_by_piece_and_ends_with_its_client(world, tmp_path):
    async def main():
        held = []

        def watch(request, respond):
            respond.start(200, [(b"x-etcd-index", b"7")])
            held.append(respond)

        async with (
            world.serving("a") as (member,),
            world.proxying(tmp_path, [member.url]) as proxy,
        ):
            member.answer = watch
            async with world.http_client(proxy) as client:
                client.send("GET /v2/keys/a?wait=true&stream=true HTTP/1.1")
                status, headers = await client.head()  # before any event
                assert status == 200 and headers["x-etcd-index"] == "7"
                for event in (b"one\n", b"two\n"):
                    held[0].write(event)
                    assert await client.chunk() == event
            await world.until(lambda: held[0].closed)

    world.run(main())


def test_a_long_poll_waits_as_long_as_it_takes(world, tmp_path):
    async def main():
        held = []
        async with (
            world.serving("a") as (member,),
            world.proxying(tmp_path, [member.url]) as proxy,
            world.http_client(proxy) as client,
        ):
            member.answer = lambda request, respond: held.append(respond)
            client.send("GET /v2/keys/a?wait=true HTTP/1.1")
            await world.until(lambda: held)
            held[0].send(200, [], b"event")
            assert (await client.answer())[2] == b"event"

    world.run(main())


def test_a_client_that_does_not_read_holds_up_its_member_and_not_the_memory(world, tmp_path):
    async def main():
        piece, total = bytes(64 << 10), 64 << 20
        progress = [0]

        def flood(request, respond):
            def more():
                while progress[0] < total and respond.queued_bytes < 1 << 18:
                    respond.write(piece)
                    progress[0] += len(piece)

            respond.start(200, [])
            respond.on_drain = more
            more()

        async with (
            world.serving("a") as (member,),
            world.proxying(tmp_path, [member.url]) as proxy,
            world.http_client(proxy) as client,
        ):
            client.reader._limit = 1 << 10
            member.answer = flood
            client.send("GET / HTTP/1.1")
            before = -1
            while progress[0] != before:
                before = progress[0]
                await asyncio.sleep(0.1)
            assert progress[0] < total
            (connection,) = proxy._listener.connections
            waiting = connection.transport.get_write_buffer_size() + connection.engine.queued_bytes
            assert waiting < 4 * UNSENT_BYTES_MAX

    world.run(main())


def test_the_head_of_an_answer_tells_the_length_of_its_body(world, tmp_path):
    async def main():
        async with (
            world.serving("abc") as (member,),
            world.proxying(tmp_path, [member.url]) as proxy,
            world.http_client(proxy) as client,
        ):
            client.send("HEAD / HTTP/1.1")
            status, headers = await client.head()
            assert status == 200 and headers["content-length"] == "3"
            assert (await client.ask("GET / HTTP/1.1"))[2] == b"abc"

    world.run(main())


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_announces_none(world, tmp_path, status):
    async def main():
        async with (
            world.serving("a") as (member,),
            world.proxying(tmp_path, [member.url]) as proxy,
            world.http_client(proxy) as client,
        ):
            member.answer = lambda request, respond: respond.send(status, [], b"")
            client.send("DELETE /v2/members/1 HTTP/1.1")
            seen, headers = await client.head()
            assert seen == status
            assert "transfer-encoding" not in headers and "content-length" not in headers
            member.answer = member.tell_name
            assert (await client.ask("GET / HTTP/1.1"))[2] == b"a"

    world.run(main())


def test_an_answer_before_the_request_is_taken_counts(world, tmp_path):
    async def main():
        async def refuse(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
            await over.wait()
            writer.transport.abort()
            gone.set()

        over, gone = asyncio.Event(), asyncio.Event()
        strict = await asyncio.start_server(refuse, "127.0.0.1", 0)
        host, port = strict.sockets[0].getsockname()
        async with (
            world.serving("a") as (member,),
            world.proxying(tmp_path, [member.url]) as proxy,
            world.http_client(proxy) as client,
        ):
            proxy.upstreams.replace([f"http://{host}:{port}"])
            answer = await client.ask("PUT / HTTP/1.1", bytes(3 << 20))
            assert (answer[0], answer[2]) == (413, b"no!")
            over.set()
            await gone.wait()
        strict.close()
        await asyncio.sleep(0.01)

    world.run(main())


def test_a_url_that_is_none_is_a_failed_member(world, tmp_path):
    async def main():
        async with (
            world.serving("a") as (member,),
            world.proxying(tmp_path, [member.url]) as proxy,
            world.http_client(proxy) as client,
        ):
            proxy.upstreams.replace(["http://a..b:1", "nonsense", "unix:///x", "http://h:x"])
            assert (await client.ask("GET / HTTP/1.1"))[0] == 502
            assert (await client.ask("GET / HTTP/1.1"))[0] == 503

    world.run(main())


def test_a_member_that_stays_silent_is_given_up_after_the_read_timeout(world, tmp_path):
    async def main():
        async with (
            world.serving("a") as (member,),
            world.proxying(tmp_path, [member.url], read_timeout_s=0.05) as proxy,
            world.http_client(proxy) as client,
        ):
            member.answer = lambda request, respond: None
            assert (await client.ask("GET / HTTP/1.1"))[0] == 502

    world.run(main())


def test_a_member_that_hangs_is_given_up_unless_a_watch_waits(world, tmp_path):
    async def main():
        async with (
            world.serving("a", "b") as members,
            world.proxying(tmp_path, [members[0].url], answer_timeout_s=0.05) as proxy,
            world.http_client(proxy) as client,
            world.http_client(proxy) as watcher,
        ):
            watcher.send("GET /v2/keys/a?wait=true HTTP/1.1")
            await world.until(lambda: members[0].requests or members[1].requests)
            for member in members:
                member.answer = lambda request, respond: None
            watcher.send("GET /v2/keys/a?wait=true HTTP/1.1")
            status, _, _ = await client.ask("PUT /v2/keys/a HTTP/1.1", b"value=1")
            assert status == 502
            assert len(proxy.upstreams.available()) == 1
            assert (await client.ask("GET /v2/keys/a HTTP/1.1"))[0] == 502
            assert (await watcher.answer())[0] == 200
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.15):
                    await watcher.answer()

    world.run(main())


def test_a_readonly_proxy_answers_501_to_everything_but_get(world, tmp_path):
    async def main():
        async with (
            world.serving("a") as (member,),
            world.proxying(tmp_path, [member.url], readonly=True) as proxy,
            world.http_client(proxy) as client,
        ):
            for method in ("PUT", "POST", "DELETE", "OPTIONS"):
                status, _, body = await client.ask(f"{method} /v2/keys/a HTTP/1.1", b"x")
                assert (status, body) == (501, b"")
            assert (await client.ask("GET / HTTP/1.1"))[2] == b"a"
            assert len(member.requests) == 1

    world.run(main())


def test_the_proxys_own_pages(world, tmp_path):
    async def main():
        async with (
            world.serving("a", "b") as members,
            world.proxying(tmp_path, [members[0].url]) as proxy,
            world.http_client(proxy) as client,
        ):
            status, _, body = await client.ask("GET /v2/config/local/proxy HTTP/1.1")
            assert status == 200 and body.endswith(b"\n")
            assert sorted(json.loads(body)["endpoints"]) == sorted(each.url for each in members)
            status, headers, body = await client.ask("DELETE /v2/config/local/proxy HTTP/1.1")
            assert (status, headers["allow"], body) == (405, "get", b"Method Not Allowed\n")
            await client.ask("GET /v2/keys/a HTTP/1.1")
            await client.ask("DANCE /v2/keys/a HTTP/1.1")
            _, _, body = await client.ask("GET /metrics HTTP/1.1")
            lines = body.decode().splitlines()
            assert 'etcd_proxy_requests_total{method="GET"} 1.0' in lines
            assert 'etcd_proxy_handled_total{code="200",method="GET"} 1.0' in lines
            assert 'etcd_proxy_requests_total{method="OTHER"} 1.0' in lines
            assert not any(
                member.requests and "/metrics" in member.requests[0].target for member in members
            )

    world.run(main())


def test_the_headers_for_browsers_are_there_once(world, tmp_path):
    async def main():
        mine = [(b"access-control-allow-origin", b"*")]

        def with_cors(request, respond):
            respond.send(200, mine, b"x")

        async with (
            world.serving("a") as (member,),
            world.proxying(tmp_path, [member.url], cors=lambda request: mine) as proxy,
            world.http_client(proxy) as client,
        ):
            member.answer = with_cors
            client.send("GET / HTTP/1.1")
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert head.count(b"Access-Control-Allow-Origin") == 1

    world.run(main())
