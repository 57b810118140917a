"""SRV records through a name server on loopback."""

import random

import pytest
from fake_dns import name_server

from petcd.client import srv
from petcd.client.srv import LookupFailed, Target, client_endpoints, in_order, resolver, service_of

ZONE = {
    "_etcd-client-ssl._tcp.example.com": ["10 5 2379 safe.example.com."],
    "_etcd-client._tcp.example.com": ["20 0 2379 b.example.com.", "10 0 2378 a.example.com."],
    "_etcd-client-blue._tcp.example.com": ["0 0 1 blue.example.com."],
}


def test_endpoints_of_both_services_are_joined_https_first():
    with name_server(ZONE) as address:
        found = client_endpoints(resolver(address), "example.com", "")
    assert found == [
        ("https://safe.example.com:2379", Target("safe.example.com", 2379, 10, 5)),
        ("http://a.example.com:2378", Target("a.example.com", 2378, 10, 0)),
        ("http://b.example.com:2379", Target("b.example.com", 2379, 20, 0)),
    ]


def test_one_service_is_enough():
    with name_server(ZONE) as address:
        found = client_endpoints(resolver(address), "example.com", "blue")
    assert [url for url, _ in found] == ["http://blue.example.com:1"]


def test_a_domain_without_records_is_refused_with_both_names():
    with name_server(ZONE) as address, pytest.raises(LookupFailed) as error:
        client_endpoints(resolver(address), "other.org", "")
    assert str(error.value) == (
        "dns lookup errors: lookup _etcd-client-ssl._tcp.other.org: no such host and "
        "lookup _etcd-client._tcp.other.org: no such host"
    )


@pytest.mark.parametrize("domain", ["", "a..b", "x" * 70])
def test_a_domain_that_is_none_is_refused_in_one_line(domain):
    with name_server({}) as address, pytest.raises(LookupFailed) as error:
        resolver(address)("etcd-client", domain)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "scheme", "service"),
    [
        ("", "http", "etcd-server"),
        ("", "https", "etcd-server-ssl"),
        ("n", "http", "etcd-server-n"),
        ("n", "https", "etcd-server-ssl-n"),
    ],
)
def test_a_service_name_follows_the_scheme(name, scheme, service):
    assert service_of("etcd-server", name, scheme) == service


def test_priorities_come_first_and_weights_decide_among_equals():
    heavy, light, later = Target("h", 1, 0, 3), Target("l", 1, 0, 1), Target("z", 1, 5, 100)
    chance = random.Random(8).random
    firsts = [in_order([later, light, heavy], chance)[0] for _ in range(4000)]
    assert later not in firsts
    assert 2800 < firsts.count(heavy) < 3200


def test_endpoints_without_tls_are_left_out_and_told_unless_they_are_wanted(monkeypatch):
    told = []
    with name_server(ZONE) as address:
        monkeypatch.setattr(srv, "resolver", lambda: resolver(address))
        assert len(srv.discover_endpoints("example.com", "", True, told.append)) == 3
        assert not told
        safe = srv.discover_endpoints("example.com", "", False, told.append)
    assert safe == ["https://safe.example.com:2379"]
    assert told[0] == 'ignoring discovered insecure endpoint "http://a.example.com:2378"'
