"""Peer URLs as MemberAdd takes them; what is refused is refused by etcd, too."""

import pytest

from petcd.api.peer_urls import BadPeerUrls, read_peer_urls


def test_urls_are_sorted_and_blanks_around_them_go():
    assert read_peer_urls(["http://b:2 ", " http://a:1"]) == ["http://a:1", "http://b:2"]


def test_the_scheme_is_written_in_lower_case_since_ids_are_made_of_it():
    assert read_peer_urls(["HTTP://Host:1"]) == ["http://Host:1"]


@pytest.mark.parametrize(
    "url",
    ["http://[::1]:5", "http://user@a:1", "http://a:1?x=1", "http://[fe80::1%25en0]:1"],
)
def test_what_etcd_takes_is_taken(url):
    assert read_peer_urls([url]) == [url]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a:1",
        "http://a",
        "http://a:1/",
        "http://a b:1",
        "http://%zz:1",
        "http://[::1",
        "x://a:1",
        "http://a\tb:1",
    ],
)
def test_what_is_no_peer_url_is_refused(url):
    with pytest.raises(BadPeerUrls):
        read_peer_urls(["http://good:1", url])


def test_there_must_be_one():
    with pytest.raises(BadPeerUrls, match="no valid URLs given"):
        read_peer_urls([])
