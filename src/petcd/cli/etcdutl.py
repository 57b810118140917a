"""The `etcdutl` command: the commands of `utl`, found and run as etcdctl's are."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from petcd.cli.ctl.console import Console
from petcd.cli.etcdctl import program, run_command


def run(words: Sequence[str], env: Mapping[str, str], console: Console) -> int:
    """One command line; the exit code."""
    from petcd.cli.utl.table import ROOT

    return run_command(ROOT, words, env, console)


def main() -> int:
    """The program.  Returns the exit code."""
    return program(run)


if __name__ == "__main__":
    sys.exit(main())
