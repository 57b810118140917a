"""Which member a client's request goes to."""

from collections import Counter

import pytest

from petcd.proxy.upstreams import Upstreams

URLS = ["http://a:1", "http://b:1", "http://c:1"]


@pytest.fixture
def upstreams(world):
    made = Upstreams(5.0, lambda: made.now, world.Notes())
    made.now = 100.0
    made.replace(URLS)
    return made


def test_a_client_keeps_its_order_and_clients_spread(upstreams):
    clients = [f"10.0.0.{n}:4711" for n in range(300)]
    firsts = {client: upstreams.order_for(client)[0] for client in clients}
    assert all(upstreams.order_for(client)[0] == first for client, first in firsts.items())
    assert min(Counter(firsts.values()).values()) > 60


def test_only_the_clients_of_a_failed_member_move(upstreams):
    clients = [f"10.0.0.{n}:4711" for n in range(100)]
    before = {client: upstreams.order_for(client) for client in clients}
    upstreams.failed(URLS[0])
    for client in clients:
        without = [url for url in before[client] if url != URLS[0]]
        assert upstreams.order_for(client) == without


def test_a_failed_member_is_back_after_the_wait(upstreams):
    upstreams.failed(URLS[1])
    upstreams.now += 4.9
    assert URLS[1] not in upstreams.available()
    upstreams.now += 0.1
    assert upstreams.available() == URLS


def test_a_new_list_of_members_does_not_forgive(upstreams):
    upstreams.failed(URLS[1])
    upstreams.replace([URLS[1], "http://d:1"])
    assert upstreams.available() == ["http://d:1"]


def test_a_member_that_left_and_came_back_is_tried_at_once(upstreams):
    upstreams.failed(URLS[1])
    upstreams.replace(URLS[:1])
    upstreams.replace(URLS)
    assert upstreams.available() == URLS


def test_one_failure_is_told_once_however_many_requests_saw_it(upstreams):
    for _ in range(5):
        upstreams.failed(URLS[0])
    assert upstreams._log.messages() == ["marked endpoint unavailable"]
