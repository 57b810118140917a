"""`etcdutl version`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.session import Session
from petcd.cli.ctl.version import API_VERSION
from petcd.version import ETCD_VERSION


def run(session: Session) -> None:
    session.console.line(f"etcdutl version: {ETCD_VERSION}")
    session.console.line(f"API version: {API_VERSION}")


VERSION = Command("version", run, "\nThe version of etcd whose etcdutl this one equals.")
