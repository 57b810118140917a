"""`etcd gateway`: its words and refusals, as the original prints them."""

import pytest

from petcd.cli import etcd_gateway
from petcd.cli.etcd import run


@pytest.mark.parametrize("words", [[], ["--help"], ["dance"]])
def test_without_start_it_explains_itself(words, capsys):
    assert run(["gateway", *words]) == 0
    printed = capsys.readouterr()
    assert "Available Commands:\n  start       start the gateway\n" in printed.out
    assert not printed.err


def test_help_of_start_names_all_flags(capsys):
    assert run(["gateway", "start", "--help"]) == 0
    printed = capsys.readouterr().out
    for flag in etcd_gateway.FLAGS:
        assert f"--{flag.name} " in printed


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--nonsense"], "unknown flag: --nonsense"),
        (
            ["--retry-delay", "1"],
            'invalid argument "1" for "--retry-delay" flag: time: missing unit in duration "1"',
        ),
    ],
)
def test_a_wrong_flag_is_told_before_and_behind_the_usage(words, complaint, capsys):
    assert run(["gateway", "start", *words]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"Error: {complaint}\nUsage:\n")
    assert printed.err.endswith(f"\n\n{complaint}\n")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (
            ["--endpoints", "127.0.0.1:23790"],
            "SRV or endpoint (127.0.0.1:23790->127.0.0.1:23790) should not resolve to the gateway "
            "listen addr (127.0.0.1:23790)",
        ),
        (["--endpoints", "nonsense"], 'error parsing endpoint "nonsense"'),
        (["--listen-addr", "nonsense"], "failed to validate listen address: nonsense"),
        (["--endpoints", "nowhere.invalid:1"], "failed to resolve endpoint host: nowhere.invalid"),
        (["--endpoints", "a..b:1"], "failed to resolve endpoint host: a..b"),
        (["--listen-addr", "a..b:1"], "failed to resolve listen host: a..b"),
        (["--endpoints", ""], "no endpoints found"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_listens(words, complaint, capsys):
    assert run(["gateway", "start", *words]) == 1
    assert capsys.readouterr().out == complaint + "\n"
