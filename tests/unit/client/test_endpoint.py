"""Endpoints as users write them."""

import pytest

from petcd.client.endpoint import (
    AddressError,
    parse_endpoint,
    split_host_port,
    target_authority,
)


@pytest.mark.parametrize(
    ("text", "network", "address", "tls"),
    [
        ("127.0.0.1:2379", "tcp", "127.0.0.1:2379", False),
        ("localhost:2379", "tcp", "localhost:2379", False),
        ("http://etcd.io:2379/path", "tcp", "etcd.io:2379", False),
        ("https://127.0.0.1:2379", "tcp", "127.0.0.1:2379", True),
        ("http://[2001:db8::1]:100/", "tcp", "[2001:db8::1]:100", False),
        ("unix:a.sock", "unix", "a.sock", False),
        ("unix:///tmp/a.sock", "unix", "/tmp/a.sock", False),
        ("unixs://tmp.sock", "unix", "tmp.sock", True),
        ("dns://other", "tcp", "dns://other", False),
        ("", "tcp", "", False),
    ],
)
def test_an_endpoint_is_understood(text: str, network: str, address: str, tls: bool) -> None:
    found = parse_endpoint(text)
    assert (found.network, found.address, found.tls, found.text) == (network, address, tls, text)


def test_a_unix_socket_is_called_localhost() -> None:
    assert parse_endpoint("unix:/x").authority == "localhost"
    assert parse_endpoint("http://h:1").authority == "h:1"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("h:1", "h:1"), ("http://h:1", "h:1"), ("unix:/x.sock", "/x.sock"), ("unixs:x", "x")],
)
def test_logs_name_an_endpoint_without_its_scheme(text: str, shown: str) -> None:
    assert target_authority(text) == shown


@pytest.mark.parametrize(
    ("address", "parts"), [("h:1", ("h", "1")), ("[::1]:80", ("::1", "80")), (":1", ("", "1"))]
)
def test_host_and_port_are_split(address: str, parts: tuple[str, str]) -> None:
    assert split_host_port(address) == parts


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("", "missing address"),
        ("h", "address h: missing port in address"),
        ("a:b:c", "address a:b:c: too many colons in address"),
        ("[::1", "address [::1: missing ']' in address"),
        ("[::1]x:1", "address [::1]x:1: missing port in address"),
    ],
)
def test_a_bad_address_is_named(address: str, complaint: str) -> None:
    with pytest.raises(AddressError) as caught:
        split_host_port(address)
    assert str(caught.value) == complaint
