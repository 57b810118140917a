"""Three members that find each other through a registry which petcd or the real etcd keeps."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from bench.servers import command_of, free_ports, real_etcd

WAIT_S = 60.0
FORM = "application/x-www-form-urlencoded"


def ask(url, method="GET", body=None, timeout_s=5.0):
    headers = {"Content-Type": FORM} if body is not None else {}
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        return answer.read()


class Founder:
    """One process that is to become a member."""

    def __init__(self, kind, name, directory, *flags):
        client, peer = free_ports(2)
        self.client_url = f"http://127.0.0.1:{client}"
        self.log = directory / f"{name}.log"
        peer_url = f"http://127.0.0.1:{peer}"
        command = [
            *command_of(kind),
            *("--name", name, "--data-dir", str(directory / name)),
            *("--listen-client-urls", self.client_url, "--advertise-client-urls", self.client_url),
            *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
            *flags,
        ]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stderr=log, env=dict(os.environ))

    def members(self):
        """Names of the members that this one knows, once it serves."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()
            try:
                found = json.loads(ask(f"{self.client_url}/v2/members"))["members"]
                if all(member["name"] for member in found):
                    return sorted(member["name"] for member in found)
            except (OSError, KeyError, ValueError):
                pass
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(WAIT_S)


@pytest.fixture
def found(tmp_path):
    founders = []

    def found(kind, name, *flags):
        founders.append(Founder(kind, name, tmp_path, *flags))
        return founders[-1]

    yield found
    for founder in reversed(founders):
        founder.close()


def v2_token(server):
    """A registry for three under a URL of the v2 API."""
    url = f"http://127.0.0.1:{server.port}/v2/keys/_etcd/registry/t-{time.monotonic_ns()}"
    ask(f"{url}/_config/size", "PUT", b"value=3")
    return ["--discovery", url]


def v3_token(server):
    token = f"t-{time.monotonic_ns()}"
    endpoint = f"127.0.0.1:{server.port}"
    subprocess.run(
        [
            *(str(real_etcd() / "etcdctl"), "--endpoints", endpoint),
            *("put", f"/_etcd/registry/{token}/_config/size", "3"),
        ],
        check=True,
        capture_output=True,
        timeout=WAIT_S,
        env={**os.environ, "ETCDCTL_API": "3"},
    )
    return ["--discovery-token", token, "--discovery-endpoints", endpoint]


@pytest.mark.real_etcd
@pytest.mark.parametrize(
    ("keeper", "token"),
    [("petcd", v2_token), ("etcd", v2_token), ("petcd", v3_token), ("etcd", v3_token)],
)
def test_three_members_find_each_other_and_the_fourth_becomes_a_proxy(
    start_server, found, keeper, token
):
    flags = token(start_server(keeper, "--enable-v2"))
    founders = [found("petcd", name, *flags) for name in ("a", "b", "c")]
    assert [founder.members() for founder in founders] == [["a", "b", "c"]] * 3
    ask(f"{founders[0].client_url}/v2/keys/found", "PUT", b"value=1")
    fourth = found("petcd", "d", *flags)
    assert fourth.members() == ["a", "b", "c"]
    assert json.loads(ask(f"{fourth.client_url}/v2/keys/found?quorum=true"))["node"]["value"] == "1"
    fifth = found("petcd", "e", *flags, "--discovery-fallback", "exit")
    assert fifth.process.wait(WAIT_S) == 1
    assert "discovery: cluster is full" in fifth.log.read_text()
    assert not (fifth.log.parent / "e").exists()


@pytest.mark.real_etcd
def test_real_members_and_ours_gather_under_one_url(start_server, found):
    flags = v2_token(start_server("petcd"))
    founders = [
        found("etcd", "a", *flags, "--enable-v2"),
        found("petcd", "b", *flags),
        found("petcd", "c", *flags),
    ]
    assert founders[1].members() == ["a", "b", "c"]
