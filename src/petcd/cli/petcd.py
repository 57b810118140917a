"""The `petcd` command: the others under one name, for machines where `etcd` means the Go program.

petcd server ...    what `etcd ...` does
petcd ctl ...       what `etcdctl ...` does
petcd utl ...       what `etcdutl ...` does
petcd render DIR    files for systemd
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from petcd.version import ETCD_VERSION, PETCD_VERSION

COMMANDS = {
    "server": ("petcd.cli.etcd", "start a member, a proxy or a gateway: etcd's flags and commands"),
    "ctl": ("petcd.cli.etcdctl", "talk to a cluster: etcdctl's commands"),
    "utl": ("petcd.cli.etcdutl", "look after files of stopped members: etcdutl's commands"),
    "render": ("petcd.cli.render", "write the files that make a member a service of systemd"),
}


def usage() -> str:
    """What the command can do."""
    rows = "".join(f"  petcd {name:<8} {meaning}\n" for name, (_, meaning) in COMMANDS.items())
    return f"petcd {PETCD_VERSION} (etcd {ETCD_VERSION})\n\nusage:\n{rows}"


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    if not words or words[0] in ("-h", "--help", "help", "-version", "--version"):
        sys.stdout.write(usage())
        return 0
    command = COMMANDS.get(words[0])
    if command is None:
        sys.stderr.write(f"petcd: unknown command {words[0]!r}\n{usage()}")
        return 2
    main_of: Callable[[], int | None] = import_module(command[0]).main
    sys.argv[:] = [f"{sys.argv[0]} {words[0]}", *words[1:]]
    return main_of() or 0


def main() -> None:
    """Entry point of the command."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
