"""How a proxy follows the members of its cluster."""

from petcd.proxy.membership import ClusterFile


def test_members_that_join_and_leave_are_followed_and_remembered(world, tmp_path):
    async def main():
        async with (
            world.serving("a", "b") as (a, b),
            world.proxying(tmp_path, [a.url], refresh_interval_s=0.02) as proxy,
        ):
            assert sorted(proxy.upstreams.urls) == sorted([a.url, b.url])
            a.cluster = b.cluster = [a]
            await world.until(lambda: proxy.upstreams.urls == [a.url])
            a.cluster = b.cluster = [b]
            await world.until(lambda: proxy.upstreams.urls == [b.url])
            await a.stop()
            await world.until(lambda: ClusterFile(str(tmp_path)).load() == (b.url,))
            a.listener = None

    world.run(main())


def test_while_nobody_tells_the_members_the_known_ones_stay(world, tmp_path):
    async def main():
        log = world.Notes()
        async with (
            world.serving("a") as (a,),
            world.proxying(tmp_path, [a.url], refresh_interval_s=0.02, log=log) as proxy,
        ):
            await a.stop()
            a.listener = None
            await world.until(lambda: "failed to get cluster from remote peers" in log.messages())
            assert proxy.upstreams.urls == [a.url]

    world.run(main())


def test_a_proxy_never_forwards_to_itself(world, tmp_path):
    async def main():
        log = world.Notes()
        async with (
            world.serving("a") as (a,),
            world.proxying(tmp_path, [a.url], refresh_interval_s=0.02, log=log) as proxy,
            world.http_client(proxy) as client,
        ):
            itself = type(a)("itself")
            itself.port = proxy.address[1]
            a.cluster = [itself]
            await world.until(lambda: proxy.upstreams.urls == [])
            assert "left out an endpoint that is this proxy" in log.messages()
            assert (await client.ask("GET / HTTP/1.1"))[0] == 503

    world.run(main())


def test_the_first_peer_that_answers_is_enough(world, tmp_path):
    async def main():
        async with (
            world.serving("a") as (a,),
            world.proxying(tmp_path, ["http://127.0.0.1:1", "nonsense", a.url]) as proxy,
        ):
            assert proxy.upstreams.urls == [a.url]

    world.run(main())
