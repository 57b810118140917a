"""What a proxy and discovery read from others: anything parses or raises its documented error; and
no request that a client can make over HTTP/2 becomes two at the member."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from petcd.client.endpoint import AddressError, split_host_port
from petcd.proxy.membership import ClusterFile, parse_members
from petcd.proxy.request_lines import HOP_BY_HOP, Unspeakable, request_bytes
from petcd.proxy.srv_endpoints import remote_of
from petcd.server.discovery_registry import DiscoveryFailed, Entry, initial_cluster
from petcd.transport.http import HttpRequest
from petcd.transport.http1 import Http1ServerEngine
from petcd.transport.options import TransportLimits

ROUNDS = settings(max_examples=100, deadline=None)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["peerURLs", "clientURLs", "PeerURLs", "id"]), inner)
    ),
    max_leaves=12,
)


def is_urls(found):
    return isinstance(found, tuple) and all(isinstance(url, str) for url in found)


@ROUNDS
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
def test_any_answer_is_members_or_refused(body):
    try:
        members = parse_members(body)
    except ValueError:
        return
    assert is_urls(members.peer_urls) and is_urls(members.client_urls)


@ROUNDS
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
def test_any_cluster_file_is_urls_or_refused(tmp_path_factory, body):
    file = ClusterFile(str(tmp_path_factory.getbasetemp() / "fuzz"))
    file.make_directory()
    with open(file.path, "wb") as out:
        out.write(body)
    try:
        assert is_urls(file.load())
    except ValueError:
        pass


@ROUNDS
@given(st.lists(st.text(max_size=30) | st.just("a=http://a:1"), min_size=1, max_size=4))
def test_any_entries_are_a_cluster_or_refused(peers):
    entries = [Entry(str(at), text, at) for at, text in enumerate(peers)]
    try:
        assert initial_cluster(entries).count("=") >= len(entries)
    except DiscoveryFailed:
        pass


@ROUNDS
@given(st.text(max_size=30))
def test_any_endpoint_is_a_remote_or_refused(text):
    try:
        remote = remote_of(text)
    except ValueError:
        return
    assert 0 <= remote.port < 65536
    try:
        split_host_port(remote.address)
    except AddressError as error:
        raise AssertionError(remote.address) from error


TOKENS = st.sampled_from([b"x-a", b"connection", b"te", b"content-length", b"transfer-encoding"])
HEADERS = st.tuples(
    TOKENS | st.binary(max_size=12),
    st.sampled_from([b"close, x-a", b"7", b"chunked"]) | st.binary(max_size=20),
)


def requests_in(data):
    """What a member's engine makes of bytes."""
    seen = []

    def handle(request, respond):
        seen.append(request)
        respond.send(200, [], b"")

    engine = Http1ServerEngine(handle, TransportLimits(), "", lambda: b"now")
    engine.receive(data, 0.0)
    return seen, engine.take_output()


@ROUNDS
@given(
    st.sampled_from(["GET", "PUT", "POST"]) | st.text(max_size=8),
    st.sampled_from(["/v2/keys/a", "/ HTTP/1.1\r\nhost: h\r\n\r\nGET /"]) | st.text(max_size=20),
    st.lists(HEADERS, max_size=5),
    st.binary(max_size=40),
)
def test_what_a_client_asks_is_one_request_at_the_member_or_refused(method, target, headers, body):
    request = HttpRequest(method, target, headers, body, "10.0.0.1:5")
    try:
        data = request_bytes(request, "member:2379")
    except Unspeakable:
        return
    follower = b"GET /follower HTTP/1.1\r\nhost: h\r\n\r\n"
    seen, answers = requests_in(data + follower)
    if not seen:  # the member refused it as a whole, and what follows too
        assert answers.startswith(b"HTTP/1.1 4") and answers.count(b"HTTP/1.1 ") == 1
        return
    assert [each.target for each in seen][-1] == "/follower" and len(seen) == 2
    assert (seen[0].method, seen[0].target) == (method, target)
    names = {name for name, _ in seen[0].headers}
    assert not names & HOP_BY_HOP
    if method in ("PUT", "POST"):
        assert seen[0].body == body


@pytest.mark.parametrize(
    "smuggled", ["/a HTTP/1.1\r\nhost: h\r\n\r\nGET /admin", "/a\r\nx: y", "/a b"]
)
def test_the_law_can_be_broken(smuggled):
    """A proxy that only joins the parts would send two requests, or another one."""
    naive = f"GET {smuggled} HTTP/1.1\r\nhost: h\r\n\r\n".encode()
    seen, _ = requests_in(naive)
    assert [each.target for each in seen] != [smuggled]
