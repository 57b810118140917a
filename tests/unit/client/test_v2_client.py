"""The client of the v2 API: which endpoint is asked, and how answers are read."""

import itertools
import time
from collections.abc import Callable, Iterator

import pytest
from fake_http import Answers, FakeHttp, answer, answering

from petcd.client.v2.cluster import Cluster, Settings
from petcd.client.v2.errors import (
    ClusterUnavailable,
    DeadlinePassed,
    EndpointFailure,
    InvalidAnswer,
    KeysError,
    NoEndpoints,
    V2Failure,
    is_connecting,
)
from petcd.client.v2.keys import Keys
from petcd.client.v2.members import checked_urls, member_list
from petcd.client.v2.url import Url, clean_path, escape_form, escape_path

http = pytest.fixture(answering, name="http")
NOWHERE = "http://127.0.0.1:1"
NODE = '{"action":"get","node":{"key":"/a","value":"1","modifiedIndex":5,"createdIndex":4}}'

Http = Callable[[Answers], FakeHttp]


def until() -> float:
    return time.monotonic() + 10


@pytest.fixture
def reach() -> Iterator[Callable[..., Cluster]]:
    """`reach(*urls, **settings)`: a cluster whose endpoints are in this order."""
    clusters: list[Cluster] = []

    def make(*urls: str, **settings: object) -> Cluster:
        cluster = Cluster(urls, Settings(**settings))  # type: ignore[arg-type]
        clusters.append(cluster)
        # They were shuffled.
        return cluster if cluster.endpoints == list(urls) else make(*urls, **settings)

    yield make
    for cluster in clusters:
        cluster.close()


# -- endpoints ------------------------------------------------------------------------------------


def test_the_next_endpoint_is_asked_when_one_refuses(http: Http, reach) -> None:
    good = http(lambda asked: answer(NODE))
    cluster = reach(NOWHERE, good.url)
    assert Keys(cluster).get("/a", until()).node.value == "1"


def test_the_endpoint_that_answered_is_asked_first_the_next_time(http: Http, reach) -> None:
    bad = http(lambda asked: answer("", "503 Service Unavailable"))
    good = http(lambda asked: answer(NODE))
    keys = Keys(reach(bad.url, good.url))
    for _ in range(3):
        keys.get("/a", until())
    assert (len(bad.asked), len(good.asked)) == (1, 3)
    assert good.connections == 1


def test_what_must_not_happen_twice_is_sent_to_one_endpoint_only(http: Http, reach) -> None:
    bad, good = http(lambda asked: None), http(lambda asked: answer(NODE))
    keys = Keys(reach(bad.url, good.url))
    with pytest.raises(EndpointFailure, match="EOF"):
        keys.delete("/a", until())
    assert (len(bad.asked), good.asked) == (1, [])
    keys.set("/a", "1", until(), prev_exist=False)  # the next one goes to the other
    assert len(good.asked) == 1


def test_all_failures_are_told_when_nobody_answers(http: Http, reach) -> None:
    no_leader = http(lambda asked: answer("", "500 Internal Server Error"))
    gateway = http(lambda asked: answer("", "502 Bad Gateway"))
    with pytest.raises(ClusterUnavailable) as caught:
        Keys(reach(NOWHERE, no_leader.url, gateway.url)).get("/a", until())
    assert str(caught.value) == (
        "client: etcd cluster is unavailable or misconfigured; "
        "error #0: dial tcp 127.0.0.1:1: connect: connection refused\n; "
        f"error #1: client: etcd member {no_leader.url} has no leader\n; "
        f"error #2: client: etcd member {gateway.url} returns server error [Bad Gateway]\n"
    )
    assert not is_connecting(caught.value)


def test_no_connection_at_all_is_told_from_other_failures(reach) -> None:
    with pytest.raises(ClusterUnavailable) as caught:
        Keys(reach(NOWHERE, "http://127.0.0.1:2")).get("/a", until())
    assert is_connecting(caught.value)


def test_sync_takes_over_what_the_members_publish(http: Http, reach) -> None:
    member = '{"id":"1","name":"m","peerURLs":[],"clientURLs":["http://a:1","http://b:2"]}'
    server = http(lambda asked: answer('{"members":[%s]}' % member))  # noqa: UP031
    cluster = reach(server.url)
    cluster.sync(until())
    assert sorted(cluster.endpoints) == ["http://a:1", "http://b:2"]


def test_sync_refuses_to_have_no_endpoints(http: Http, reach) -> None:
    server = http(lambda asked: answer('{"members":[{"id":"1"}]}'))
    cluster = reach(server.url)
    with pytest.raises(NoEndpoints):
        cluster.sync(until())
    assert cluster.endpoints == [server.url]


def test_redirects_are_followed_but_not_for_ever(http: Http, reach) -> None:
    target = http(lambda asked: answer(NODE))
    here = http(lambda asked: answer("", "307 Temporary", f"Location: {target.url}/v2/keys/b"))
    assert Keys(reach(here.url)).get("/a", until()).node.value == "1"
    assert target.lines() == ["GET /v2/keys/b"]
    circle = http(lambda asked: answer("", "307 Temporary", "Location: /v2/keys/x"))
    with pytest.raises(ClusterUnavailable, match="too many redirects"):
        Keys(reach(circle.url)).get("/a", until())
    assert len(circle.asked) == 11


# -- times ----------------------------------------------------------------------------------------


def test_a_silent_endpoint_costs_its_own_time_only(http: Http, reach) -> None:
    silent, good = http(lambda asked: b""), http(lambda asked: answer(NODE))
    cluster = reach(silent.url, good.url, header_timeout_s=0.05)
    assert Keys(cluster).get("/a", until()).node.value == "1"
    with pytest.raises(ClusterUnavailable, match="exceeded header timeout"):
        Keys(reach(silent.url, header_timeout_s=0.05)).get("/a", until())


def test_the_time_for_all_is_over_at_once(http: Http, reach) -> None:
    silent, good = http(lambda asked: b""), http(lambda asked: answer(NODE))
    with pytest.raises(DeadlinePassed):
        Keys(reach(silent.url, good.url)).get("/a", time.monotonic() + 0.05)
    assert good.asked == []


def test_a_watch_has_no_time_and_goes_on_when_the_server_ends_it(http: Http, reach) -> None:
    replies = itertools.chain([answer(""), answer("")], itertools.repeat(answer(NODE)))
    server = http(lambda asked: next(replies))
    keys = Keys(reach(server.url, header_timeout_s=0.001))
    assert keys.next_event("/a", 7, recursive=True).node.key == "/a"
    line = "GET /v2/keys/a?recursive=true&wait=true&waitIndex=7"
    assert server.lines() == [line] * 3


# -- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        answer(NODE),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n%x;x=y\r\n%b\r\n0\r\n\r\n"
        % (NODE[:5].encode(), len(NODE) - 5, NODE[5:].encode()),
        b"HTTP/1.0 200 OK\r\n\r\n" + NODE.encode(),
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer(NODE),
    ],
    ids=["length", "chunks", "end of connection", "continue"],
)
def test_an_answer_ends_as_its_head_says(http: Http, raw: bytes, reach) -> None:
    server = http(lambda asked: raw)
    assert Keys(reach(server.url)).get("/a", until()).node.value == "1"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (None, "EOF"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", 'malformed HTTP response "SSH-2.0-OpenSSH"'),
        (b"HTTP/1.1 200 OK\r\nContent-Len", "unexpected EOF"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk length"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * (2 << 20), "headers exceeded"),
    ],
    ids=["nothing", "another protocol", "half a head", "bad chunk", "endless head"],
)
def test_what_is_no_http_is_a_failure_of_the_endpoint(http: Http, raw, why: str, reach) -> None:
    server = http(lambda asked: raw)
    with pytest.raises(ClusterUnavailable, match=why):
        Keys(reach(server.url)).get("/a", until())


@pytest.mark.parametrize(
    "body",
    [
        "",
        "404 page not found",
        "[]",
        "{}",
        '{"node":[]}',
        '{"node":{"key":1}}',
        '{"node":{"nodes":1}}',
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
def test_what_is_not_etcds_json_is_told(http: Http, body: str, status: str, reach) -> None:
    server = http(lambda asked: answer(body, status))
    with pytest.raises((InvalidAnswer, KeysError)) as caught:
        Keys(reach(server.url)).get("/a", until())
    assert isinstance(caught.value, InvalidAnswer) or status[:3] == "404"


def test_an_error_of_the_keys_api_keeps_its_parts(http: Http, reach) -> None:
    body = '{"errorCode":100,"message":"Key not found","cause":"/a","index":12}'
    server = http(lambda asked: answer(body, "404 Not Found"))
    with pytest.raises(KeysError, match=r"^100: Key not found \(/a\) \[12\]$"):
        Keys(reach(server.url)).get("/a", until())


def test_a_node_is_shown_as_gos_client_shows_it(http: Http, reach) -> None:
    body = (
        '{"action":"get","node":{"key":"/d","dir":true,"nodes":[{"key":"/d/a","value":"<&>",'
        '"ttl":5,"expiration":"2026-01-02T03:04:05.6Z","modifiedIndex":3,"createdIndex":2}]}}'
    )
    server = http(lambda asked: answer(body, "200 OK", "X-Etcd-Index: 9"))
    event = Keys(reach(server.url)).get("/d", until())
    assert event.index == 9
    assert event.json() == (
        '{"action":"get","node":{"key":"/d","dir":true,"value":"","nodes":[{"key":"/d/a",'
        '"value":"\\u003c\\u0026\\u003e","nodes":null,"createdIndex":2,"modifiedIndex":3,'
        '"expiration":"2026-01-02T03:04:05.6Z","ttl":5}],"createdIndex":0,"modifiedIndex":0},'
        '"prevNode":null}'
    )


def test_credentials_go_with_every_request(http: Http, reach) -> None:
    server = http(lambda asked: answer('{"members":[]}'))
    member_list(reach(server.url, credentials=("u", "p:ü")), until())
    assert "Authorization: Basic dTpwOsO8" in server.asked[0].head


# -- URLs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown", "dialled"),
    [
        ("http://h:1", "http://h:1", "h:1"),
        ("h:1", "http://h:1", "h:1"),
        ("http://h", "http://h", "h:80"),
        ("https://[::1]/base", "https://[::1]/base", "[::1]:443"),
        ("unix:///tmp/s", "unix:///tmp/s", "/tmp/s"),
    ],
)
def test_an_endpoint_may_leave_out_scheme_and_port(text: str, shown: str, dialled: str) -> None:
    url = Url(text)
    assert (url.shown, url.endpoint().address) == (shown, dialled)


@pytest.mark.parametrize("text", ["ftp://h:1", "", "http://"])
def test_an_endpoint_that_cannot_be_dialled_is_refused(text: str) -> None:
    with pytest.raises(V2Failure):
        Url(text).endpoint()


def test_paths_and_forms_are_escaped_as_the_bytes_they_are() -> None:
    assert clean_path("a//b/./c/../d/") == "/a/b/d/"
    assert clean_path("/..") == clean_path("") == "/"
    assert escape_path("/a b/ü\udcff?#%") == "/a%20b/%C3%BC%FF%3F%23%25"
    assert escape_form({"b": "x y&=+", "a": "ü~"}) == "a=%C3%BC~&b=x+y%26%3D%2B"


@pytest.mark.parametrize("url", ["h:1", "ftp://h:1", "http://h", "http://h:1/x", "http://:"])
def test_a_peer_url_must_be_complete(url: str) -> None:
    with pytest.raises(V2Failure):
        checked_urls([url])
    assert checked_urls([" http://b:1", "http://a:1"]) == ["http://a:1", "http://b:1"]
