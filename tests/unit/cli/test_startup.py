"""The program starts fast: nothing heavy is imported before it is needed."""

import subprocess
import sys

import pytest

HEAVY = {
    *("asyncio", "uvloop", "json", "argparse", "subprocess", "threading", "logging", "ssl"),
    *("inspect", "dataclasses", "random", "http", "getpass", "petcd.server"),
}
PROBE = """
import io, sys
from petcd.cli.ctl.console import Console
from petcd.cli.etcdctl import run
run({words!r}, {{}}, Console(io.BytesIO(), io.BytesIO(), io.BytesIO()))
print(" ".join(sys.modules))
"""


@pytest.mark.parametrize(
    "words",
    [
        ["get", "a", "--endpoints=127.0.0.1:1", "--command-timeout=1ms"],
        ["put", "a", "b", "--endpoints=127.0.0.1:1", "--command-timeout=1ms"],
        ["lease", "grant", "5", "--endpoints=127.0.0.1:1", "--command-timeout=1ms", "-w", "json"],
        ["version"],
        ["get", "--help"],
    ],
    ids=" ".join,
)
def test_a_command_imports_only_what_it_uses(words: list[str]) -> None:
    assert not HEAVY & imported_by(words)


@pytest.mark.parametrize("words", [["ls"], ["set", "a", "b"], ["cluster-health"]], ids=" ".join)
def test_a_command_of_api_2_imports_json_and_nothing_else_that_is_heavy(words: list[str]) -> None:
    assert HEAVY & imported_by(["--endpoints=http://127.0.0.1:1", *words]) <= {"json"}


def imported_by(words: list[str]) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", PROBE.format(words=words)],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stdout.split())
