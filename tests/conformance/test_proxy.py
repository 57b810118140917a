"""Proxy mode beside the real etcd's: both stand before the same real member, and answer alike.

On purpose different: headers for browsers come once (etcd adds its own to the member's), and gRPC
passes (etcd's proxy answers it with the member's HTTP error).
"""

import json
import re
import subprocess
import urllib.error
import urllib.request

import pytest

from bench.servers import command_of, free_ports
from petcd.client.channel import Channel
from petcd.client.endpoint import parse_endpoint
from petcd.client.methods import PUT, RANGE
from petcd.wire.kv import PutRequest, RangeRequest, RangeResponse

KINDS = ("petcd", "etcd")
WAIT_S = 20.0
FORM = "application/x-www-form-urlencoded"
VOLATILE = re.compile(rb'("modifiedIndex":|"createdIndex":|"index":|/)\d+')
"""Each call is made by both, and so by one of them on a store that has moved on."""


class Proxy:
    """A proxy process before one member."""

    def __init__(self, kind, directory, peer_url, *flags):
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.directory = directory
        command = [
            *command_of(kind),
            *("--data-dir", str(directory), "--initial-cluster", f"m={peer_url}"),
            *("--listen-client-urls", self.url, *flags),
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "started listening" in line:
                return
        raise AssertionError(f"the proxy of {kind} ended with {self.process.wait()}")

    def ask(self, method, path, body=None):
        """(status, headers in lower case, body)"""
        headers = {"Content-Type": FORM} if body is not None else {}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=WAIT_S)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, found, answer.read()

    def close(self):
        self.process.terminate()
        self.process.communicate(timeout=WAIT_S)


@pytest.fixture(scope="module")
def proxies(start_server, tmp_path_factory):
    peer_url = start_server("etcd", "--enable-v2").peer_url
    made = {}
    for kind in KINDS:
        directory = tmp_path_factory.mktemp(kind)
        made[kind] = Proxy(kind, directory / "on", peer_url, "--proxy", "on")
        made[f"{kind} readonly"] = Proxy(kind, directory / "ro", peer_url, "--proxy", "readonly")
    yield made
    for proxy in made.values():
        proxy.close()


CALLS = [
    ("PUT", "/v2/keys/WHO/a", b"value=1"),
    ("GET", "/v2/keys/WHO/a", None),
    ("GET", "/v2/keys/WHO/missing", None),
    ("PUT", "/v2/keys/WHO/a", b"value=2&prevValue=no"),
    ("PUT", "/v2/keys/WHO/d?dir=true", b""),
    ("DELETE", "/v2/keys/WHO/d?dir=true", None),
    ("POST", "/v2/keys/WHO/q", b"value=x"),
    ("GET", "/v2/keys/WHO?recursive=true&sorted=true", None),
    ("GET", "/v2/members", None),
    ("GET", "/v2/machines", None),
    ("GET", "/version", None),
    ("GET", "/health", None),
    ("GET", "/nowhere", None),
    ("GET", "/v2/config/local/proxy", None),
    ("PUT", "/v2/config/local/proxy", b""),
    ("OPTIONS", "/v2/keys/WHO/a", None),
]
COMPARED = ("content-type", "x-etcd-cluster-id", "allow", "access-control-allow-origin")


def outcome(proxy, who, method, path, body):
    """What matters of an answer; WHO in a path is a directory for each proxy."""
    status, headers, answer = proxy.ask(method, path.replace("WHO", who), body)
    kept = {name: headers[name] for name in COMPARED if name in headers}
    return status, kept, VOLATILE.sub(rb"\g<1>0", answer.replace(who.encode(), b"WHO"))


@pytest.mark.real_etcd
@pytest.mark.parametrize("mode", ["", " readonly"])
def test_both_proxies_answer_alike(proxies, mode):
    ours, theirs = (
        [outcome(proxies[kind + mode], f"{kind[0]}-side{mode[1:]}", *call) for call in CALLS]
        for kind in KINDS
    )
    for call, mine, other in zip(CALLS, ours, theirs, strict=True):
        assert mine == other, call


@pytest.mark.real_etcd
def test_both_remember_the_members_in_the_same_file(proxies):
    ours, theirs = ((proxies[kind].directory / "proxy" / "cluster").read_bytes() for kind in KINDS)
    assert ours == theirs and json.loads(ours)["PeerURLs"]


@pytest.mark.real_etcd
def test_a_watch_passes_the_moment_it_fires(proxies):
    proxy = proxies["petcd"]
    _, headers, _ = proxy.ask("PUT", "/v2/keys/w", b"value=1")
    index = int(headers["x-etcd-index"])
    proxy.ask("PUT", "/v2/keys/w", b"value=2")
    _, _, body = proxy.ask("GET", f"/v2/keys/w?wait=true&waitIndex={index + 1}")
    assert json.loads(body)["node"]["value"] == "2"


@pytest.mark.real_etcd
@pytest.mark.parametrize("command", ["gateway", "grpc-proxy"])
def test_the_smaller_proxies_have_etcds_flags(command):
    ours, theirs = (
        subprocess.run(
            [*command_of(kind), command, "start", "--help"],
            capture_output=True,
            text=True,
            check=True,
            timeout=WAIT_S,
        ).stdout
        for kind in KINDS
    )
    assert names_of(ours) == names_of(theirs)


def names_of(help_text):
    return sorted(set(re.findall(r"^ +(?:-h, )?(--[\w-]+)", help_text, re.MULTILINE)))


@pytest.mark.real_etcd
def test_a_grpc_proxy_passes_calls_and_tells_of_its_member(start_server):
    member = start_server("etcd")
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [
            *(*command_of("petcd"), "grpc-proxy", "start"),
            *("--endpoints", f"127.0.0.1:{member.port}", "--listen-addr", f"127.0.0.1:{port}"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any("started gRPC proxy" in line for line in process.stderr)
    try:
        channel = Channel([parse_endpoint(f"127.0.0.1:{port}")])
        channel.unary(PUT, PutRequest(key=b"k", value=b"v").encode(), WAIT_S)
        answer = channel.unary(RANGE, RangeRequest(key=b"k").encode(), WAIT_S)
        assert RangeResponse.decode(answer).kvs[0].value == b"v"
        channel.close()
        for path in ("/health", "/proxy/health"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as page:
                assert json.loads(page.read())["health"] == "true"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            assert b"etcd_server_has_leader 1" in page.read()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/proxy/metrics", timeout=5) as page:
            assert b"etcd_proxy_handled_total" in page.read()
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)
