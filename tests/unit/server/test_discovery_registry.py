"""Members that gather in a registry, with a registry and a clock in the hand of the test."""

import asyncio

import pytest

from petcd.server.discovery_registry import (
    ClusterFull,
    DiscoveryFailed,
    Entry,
    Gathering,
    Unanswered,
)


class Notes:
    def __init__(self):
        self.messages = []

    def info(self, message, **fields):
        self.messages.append(message)

    warn = info


class FakeRegistry:
    """A registry in memory. `failures` are raised by the next calls, one each."""

    def __init__(self, size, *entries):
        self.size_text = size
        self.made = [
            Entry(name, f"{name}=http://{name}:2380", at) for at, name in enumerate(entries)
        ]
        self.failures = []
        self.arrived = asyncio.Event()
        self.taken_but_unanswered = False

    def add(self, name, peers=None):
        self.made.append(Entry(name, peers or f"{name}=http://{name}:2380", len(self.made)))
        self.arrived.set()

    def fail(self):
        if self.failures:
            raise self.failures.pop(0)

    async def size(self):
        self.fail()
        return self.size_text

    async def entries(self):
        self.fail()
        return list(reversed(self.made)), len(self.made)

    async def register(self, member_id, peers):
        if self.taken_but_unanswered:
            self.taken_but_unanswered = False
            self.add(member_id, peers)
            raise Unanswered("lost")
        if any(entry.member_id == member_id for entry in self.made):
            return False
        self.add(member_id, peers)
        return True

    async def changed_since(self, index):
        self.fail()
        while len(self.made) <= index:
            self.arrived.clear()
            await self.arrived.wait()


def gathering(registry):
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) > 20:
            raise AssertionError("endless")

    made = Gathering(registry, "http://d/token", Notes(), sleep)
    return made, pauses


def join(registry, name, peers=None):
    made, pauses = gathering(registry)
    return asyncio.run(made.join(name, peers or f"{name}=http://{name}:2380")), pauses


def test_the_last_one_to_come_finds_the_others():
    found, pauses = join(FakeRegistry("3", "a", "b"), "c")
    assert found == "a=http://a:2380,b=http://b:2380,c=http://c:2380"
    assert not pauses


def test_the_first_one_waits_for_the_others():
    async def main():
        registry = FakeRegistry("3")
        task = asyncio.ensure_future(gathering(registry)[0].join("a", "a=http://a:2380"))
        for name in "bc":
            for _ in range(5):
                await asyncio.sleep(0)
            assert not task.done()
            registry.add(name)
        assert (await task).count("=") == 3

    asyncio.run(main())


def test_who_comes_too_late_finds_the_cluster_full_and_is_not_registered():
    registry = FakeRegistry("2", "a", "b")
    with pytest.raises(ClusterFull) as full:
        join(registry, "c")
    assert str(full.value) == "discovery: cluster is full"
    assert full.value.initial_cluster == "a=http://a:2380,b=http://b:2380"
    assert len(registry.made) == 2


def test_of_two_who_come_for_the_last_place_the_later_is_turned_away():
    registry = FakeRegistry("2", "a")
    genuine = registry.register

    async def overtaken(member_id, peers):
        registry.add("b")
        return await genuine(member_id, peers)

    registry.register = overtaken
    with pytest.raises(ClusterFull):
        join(registry, "c")


def test_a_proxy_gets_the_full_cluster_and_waits_for_one_that_is_not():
    async def main():
        registry = FakeRegistry("2", "a")
        task = asyncio.ensure_future(gathering(registry)[0].find())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        registry.add("b")
        registry.add("late")
        assert await task == "a=http://a:2380,b=http://b:2380"

    asyncio.run(main())


def test_an_id_that_is_taken_is_refused():
    with pytest.raises(DiscoveryFailed, match="discovery: found duplicate id"):
        join(FakeRegistry("3", "a"), "a")


def test_a_registration_without_an_answer_is_recognised_afterwards():
    registry = FakeRegistry("1")
    registry.taken_but_unanswered = True
    found, pauses = join(registry, "a")
    assert found == "a=http://a:2380" and pauses == [2.0]


@pytest.mark.parametrize(
    ("size", "entries", "peers", "text"),
    [
        ("many", (), None, "discovery: size key is bad"),
        ("0", (), None, "discovery: size key is bad"),
        ("-1", (), None, "discovery: size key is bad"),
        ("2", ("a",), "a=http://other:2380", "discovery: found duplicate name"),
        ("2", ("a",), "nonsense", "discovery: invalid URL"),
    ],
)
def test_a_registry_that_makes_no_cluster_is_refused(size, entries, peers, text):
    with pytest.raises(DiscoveryFailed) as error:
        join(FakeRegistry(size, *entries), "b", peers)
    assert str(error.value) == text


def test_pauses_grow_to_four_minutes_and_it_goes_on_for_ever():
    registry = FakeRegistry("1")
    registry.failures = [Unanswered("down")] * 11
    found, pauses = join(registry, "a")
    assert found
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 256, 256, 256]


def test_a_watch_that_breaks_is_begun_again():
    async def main():
        registry = FakeRegistry("2")
        made, _ = gathering(registry)
        task = asyncio.ensure_future(made.join("a", "a=http://a:2380"))
        for _ in range(5):
            await asyncio.sleep(0)
        registry.failures = [Unanswered("closed")]
        registry.arrived.set()
        registry.add("b")
        assert (await task).count("=") == 2

    asyncio.run(main())
