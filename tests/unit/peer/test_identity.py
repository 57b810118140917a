"""Versions and clusters that fit together, and those that do not; ids as etcd reads them."""

import pytest
from peer_endpoints import CLUSTER_ID

from petcd.peer.errors import ClusterIdMismatch, IncompatibleVersion
from petcd.peer.identity import Identity, parse_member_id, sender_of

US = Identity(1, CLUSTER_ID, version="3.5.33")
CLUSTER = f"{CLUSTER_ID:x}".encode()


class Said:
    def __init__(self, **headers: bytes) -> None:
        self._headers = {name.replace("_", "-").encode(): v for name, v in headers.items()}

    def header(self, name: bytes) -> bytes | None:
        return self._headers.get(name)


def said(version: bytes, minimum: bytes, cluster: bytes = CLUSTER) -> Said:
    return Said(x_server_version=version, x_min_cluster_version=minimum, x_etcd_cluster_id=cluster)


@pytest.mark.parametrize(
    ("version", "minimum"),
    [
        (b"3.0.0", b"2.3.0"),
        (b"3.5.1", b"3.0.0"),
        (b"3.6.0-alpha.0", b"3.5.99"),
        (b"4.0.0", b"3.0.0"),
    ],
)
def test_members_of_neighbouring_versions_work_together(version: bytes, minimum: bytes) -> None:
    US.check(said(version, minimum))


@pytest.mark.parametrize(
    ("version", "minimum"),
    [(b"2.3.8", b"2.1.0"), (b"3.6.0", b"3.6.0"), (b"x", b"3.0.0"), (b"3.5", b"3.0.0"), (b"", b"")],
)
def test_a_version_that_is_too_old_or_too_new_does_not_fit(version: bytes, minimum: bytes) -> None:
    with pytest.raises(IncompatibleVersion):
        US.check(said(version, minimum))


def test_a_peer_that_says_no_version_is_of_before_2_1() -> None:
    with pytest.raises(IncompatibleVersion):
        US.check(Said(x_etcd_cluster_id=CLUSTER))


@pytest.mark.parametrize("cluster", [b"1", b"0" + CLUSTER, CLUSTER.upper(), b""])
def test_another_cluster_does_not_fit(cluster: bytes) -> None:
    with pytest.raises(ClusterIdMismatch):
        US.check(said(b"3.5.0", b"3.0.0", cluster))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("8e9e05c52164694d", 0x8E9E05C52164694D),
        ("0", 0),
        ("A", 10),
        ("0" * 20 + "1", 1),
        ("", None),
        ("1" * 17, None),
        ("0x1", None),
        ("1_0", None),
        (" 1", None),
        ("+1", None),
        ("g", None),
    ],
)
def test_ids_are_hexadecimal_digits_and_nothing_else(text: str, number: int | None) -> None:
    assert parse_member_id(text) == number


def test_a_sender_is_known_by_id_and_urls_together() -> None:
    assert sender_of(Said(x_server_from=b"b2", x_peerurls=b"http://a:1,http://b:2")) == (
        0xB2,
        ["http://a:1", "http://b:2"],
    )
    assert sender_of(Said(x_server_from=b"b2")) is None
    assert sender_of(Said(x_peerurls=b"http://a:1")) is None
