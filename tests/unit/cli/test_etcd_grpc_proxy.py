"""`etcd grpc-proxy`: its words and refusals."""

import pytest

from petcd.cli import etcd_grpc_proxy
from petcd.cli.etcd import run


def test_without_start_it_explains_itself(capsys):
    assert run(["grpc-proxy"]) == 0
    assert "Available Commands:\n  start       start the grpc proxy\n" in capsys.readouterr().out


def test_help_of_start_names_all_flags(capsys):
    assert run(["grpc-proxy", "start", "--help"]) == 0
    printed = capsys.readouterr().out
    for flag in etcd_grpc_proxy.FLAGS:
        assert f"--{flag.name} " in printed


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--namespace", "a/"], "--namespace cannot be used: it is not served yet"),
        (["--auto-tls"], "--auto-tls cannot be used: it is not served yet"),
        (["--resolver-ttl", "5"], "--resolver-ttl cannot be used: it is not served yet"),
        (["--endpoints", "https://h:1"], "--endpoints: TLS is not served yet"),
        (["--endpoints", "nonsense"], 'error parsing endpoint "nonsense"'),
        (["--listen-addr", "nonsense"], "failed to validate listen address: nonsense"),
        (
            ["--endpoints", "127.0.0.1:23790"],
            "SRV or endpoint (127.0.0.1:23790->127.0.0.1:23790) should not resolve to the gateway "
            "listen addr (127.0.0.1:23790)",
        ),
    ],
)
def test_what_would_be_done_wrong_is_refused(words, complaint, capsys):
    assert run(["grpc-proxy", "start", *words]) == 1
    assert capsys.readouterr().err == complaint + "\n"
