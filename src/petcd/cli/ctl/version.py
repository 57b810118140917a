"""`etcdctl version`, and the declaration of `help`, which the program itself carries out."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.session import Session
from petcd.version import CLUSTER_VERSION, ETCD_VERSION

API_VERSION = CLUSTER_VERSION.rpartition(".")[0]


def run(session: Session) -> None:
    session.console.line(f"etcdctl version: {ETCD_VERSION}")
    session.console.line(f"API version: {API_VERSION}")


def _never(session: Session) -> None:
    raise AssertionError("help is shown by the program")


VERSION = Command("version", run, "\nThe version of etcd whose etcdctl this one equals.")
HELP = Command(
    "help [command]",
    _never,
    "",
    (("% help lease grant", "the same as: etcdctl lease grant --help"),),
)
