"""The same command lines with the real etcdctl and with ours, against the real etcd and petcd.

Everything is compared with the real program at the real server: stdout, stderr and exit code.
"""

import pytest
from etcdctl_runs import Run, Seen, StartServer, assert_same
from etcdctl_script import SCRIPT

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(300)]


def played(start_server: StartServer, ctl: str, server: str) -> list[Seen]:
    run = Run(ctl, start_server(server))
    run.identities()
    return run.play(SCRIPT)


@pytest.fixture(scope="module")
def reference(start_server: StartServer) -> list[Seen]:
    return played(start_server, "etcd", "etcd")


@pytest.mark.parametrize(
    ("ctl", "server"),
    [("petcd", "etcd"), ("etcd", "petcd"), ("petcd", "petcd")],
    ids=["our-etcdctl-at-etcd", "etcdctl-at-petcd", "our-etcdctl-at-petcd"],
)
def test_a_script_of_all_commands_gives_the_same(
    start_server: StartServer, reference: list[Seen], ctl: str, server: str
) -> None:
    seen = played(start_server, ctl, server)
    assert_same(reference, seen)


def test_a_script_of_all_commands_gives_the_same_through_a_proxy(
    start_server: StartServer, reference: list[Seen]
) -> None:
    member = start_server("petcd")
    proxy = start_server("petcd", "--proxy", "on", "--initial-cluster", f"m={member.peer_url}")
    run = Run("etcd", proxy)
    run.names += [
        (f"127.0.0.1:{member.port}", "CLIENT"),
        (f"127.0.0.1:{member.peer_port}", "PEER"),
    ]
    run.identities()
    assert_same(reference, run.play(SCRIPT))
