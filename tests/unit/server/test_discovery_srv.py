"""The first members from SRV records of a name server on loopback."""

import pytest
from fake_dns import name_server

from petcd.client.srv import resolver
from petcd.server.config import load_config
from petcd.server.discovery import _ask_dns
from petcd.server.discovery_registry import DiscoveryFailed


class Notes:
    def info(self, message, **fields):
        pass

    warn = info


def found(zone, *flags, as_member=True, name="b"):
    config = load_config(["--name", name, "--discovery-srv", "example.com", *flags], {})
    with name_server(zone) as address:
        return _ask_dns(config, Notes(), as_member, resolver(address))


ZONE = {
    "_etcd-server._tcp.example.com": [
        "0 0 2380 127.0.0.1.",
        "0 0 2381 127.0.0.1.",
        "1 0 2382 localhost.",
    ]
}
LOCAL = ("--initial-advertise-peer-urls", "http://localhost:2381")


def parts(cluster):
    return dict(part.split("=") for part in cluster.split(","))


def test_the_own_record_gets_the_name_and_the_others_numbers():
    cluster = parts(found(ZONE, *LOCAL))
    assert cluster["b"] == "http://127.0.0.1:2381"
    assert sorted(cluster) == ["0", "1", "b"]
    assert cluster["1"] == "http://localhost:2382"  # the last by priority


def test_both_services_are_joined_and_the_name_of_the_service_counts():
    zone = {
        "_etcd-server-ssl-blue._tcp.example.com": ["0 0 2380 127.0.0.1."],
        "_etcd-server-blue._tcp.example.com": ["0 0 2381 127.0.0.1."],
    }
    cluster = parts(found(zone, *LOCAL, "--discovery-srv-name", "blue"))
    assert cluster == {"0": "https://127.0.0.1:2380", "b": "http://127.0.0.1:2381"}


def test_a_member_without_its_record_is_refused_and_a_proxy_is_not():
    advertised = ("--initial-advertise-peer-urls", "http://127.0.0.1:9999")
    with pytest.raises(DiscoveryFailed) as error:
        found(ZONE, *advertised, name="x")
    assert str(error.value) == 'cannot find local etcd member "x" in SRV records'
    assert len(parts(found(ZONE, *advertised, as_member=False))) == 3


def test_a_record_of_the_wrong_scheme_does_not_make_the_member():
    zone = {"_etcd-server-ssl._tcp.example.com": ["0 0 2381 127.0.0.1.", "0 0 1 127.0.0.1."]}
    with pytest.raises(DiscoveryFailed, match="cannot find local etcd member"):
        found(zone, *LOCAL)


def test_a_domain_without_records_names_both_services():
    with pytest.raises(DiscoveryFailed) as error:
        found({}, *LOCAL)
    assert "_etcd-server-ssl lookup" in str(error.value) and "_etcd-server lookup" in str(
        error.value
    )


def test_records_that_lead_nowhere_are_left_out():
    zone = {"_etcd-server._tcp.example.com": ["0 0 2381 127.0.0.1.", "0 0 2381 nowhere.invalid."]}
    assert parts(found(zone, *LOCAL)) == {"b": "http://127.0.0.1:2381"}
