"""Single requests: bounds, what an answer means, what a failure does."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from peer_fakes import LOCAL_ID, REMOTE_ID, Bench, response

from petcd.peer.context import PeerStatus
from petcd.peer.messages import decode_message
from petcd.peer.pipeline import IN_FLIGHT_MAX, QUEUED_MAX, Pipeline
from petcd.peer.url_picker import UrlPicker
from petcd.raft.types import Message, MessageType
from petcd.transport.http_client import Unreachable


def message(index: int) -> Message:
    return Message(MessageType.APP_RESP, REMOTE_ID, LOCAL_ID, 1, index=index)


class Rig:
    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.status = PeerStatus(bench.context, REMOTE_ID)
        self.picker = UrlPicker(["http://one:2380", "http://two:2380"])
        self.pipeline = Pipeline(bench.context, REMOTE_ID, self.picker, self.status)


def run(bench: Bench, scenario: Callable[[Rig], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario(Rig(bench))

    asyncio.run(main())


async def turns(count: int = 30) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_each_message_is_one_request(bench: Bench) -> None:
    async def scenario(rig: Rig) -> None:
        assert rig.pipeline.send(message(1)) and rig.pipeline.send(message(2))
        await turns()
        assert [decode_message(body) for _, _, body in bench.client.posts] == [
            message(1),
            message(2),
        ]
        assert {target for _, target, _ in bench.client.posts} == {"/raft"}
        assert rig.status.active and not bench.news.unreachables

    run(bench, scenario)


def test_few_are_under_way_and_few_wait(bench: Bench) -> None:
    async def scenario(rig: Rig) -> None:
        bench.client.gate = asyncio.Event()
        for n in range(IN_FLIGHT_MAX):
            assert rig.pipeline.send(message(n))
            await turns()
        assert len(bench.client.posts) == IN_FLIGHT_MAX
        assert all(rig.pipeline.send(message(n)) for n in range(QUEUED_MAX))
        assert not rig.pipeline.send(message(0))
        bench.client.gate.set()
        await turns(200)
        assert len(bench.client.posts) == IN_FLIGHT_MAX + QUEUED_MAX

    run(bench, scenario)


@pytest.mark.parametrize(("status", "removed"), [(403, 1), (412, 0), (500, 0), (200, 0)], ids=str)
def test_what_is_not_taken_makes_the_peer_unreachable(
    bench: Bench, status: int, removed: int
) -> None:
    async def scenario(rig: Rig) -> None:
        bench.client.answer = lambda *_: response(status, b"cluster ID mismatch\n")
        rig.pipeline.send(message(1))
        await turns()
        assert bench.news.unreachables == [REMOTE_ID] and bench.told_removed == removed
        assert rig.picker.pick() == "http://two:2380" and not rig.status.active

    run(bench, scenario)


def test_a_peer_that_is_down_is_reported_for_each_message(bench: Bench) -> None:
    async def scenario(rig: Rig) -> None:
        bench.client.answer = lambda *_: Unreachable("down")
        for n in range(3):
            rig.pipeline.send(message(n))
        await turns()
        assert bench.news.unreachables == [REMOTE_ID] * 3
        assert bench.counters.of(REMOTE_ID).sent_failures == 3

    run(bench, scenario)


def test_a_stopped_pipeline_sends_nothing_more(bench: Bench) -> None:
    async def scenario(rig: Rig) -> None:
        bench.client.gate = asyncio.Event()
        for n in range(10):
            rig.pipeline.send(message(n))
        await turns()
        rig.pipeline.stop()
        bench.client.gate.set()
        await turns(100)
        assert len(bench.client.posts) == IN_FLIGHT_MAX and not bench.news.unreachables

    run(bench, scenario)
