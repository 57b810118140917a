"""Where a URL leads."""

import pytest

from petcd.transport.http_client import Unreachable, address_of


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://m1:2380", ("m1", 2380, False)),
        ("https://m1.example.com", ("m1.example.com", 443, True)),
        ("http://[::1]:80/x", ("::1", 80, False)),
        ("http://müller:80", ("müller", 80, False)),
    ],
)
def test_a_url_names_host_and_port(url: str, address: tuple[str, int, bool]) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "m1:2380",
        "unix://m1",
        "http://",
        "http://m1:99999",
        "http://m1..x:1",
        f"http://{'a' * 64}",
    ],
)
def test_where_nobody_can_be_found_is_unreachable(url: str) -> None:
    with pytest.raises(Unreachable):
        address_of(url)
