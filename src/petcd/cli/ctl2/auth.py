"""`auth enable` and `auth disable`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl2.session import Session, told_plainly


def run_enable(session: Session) -> None:
    session.check_no_arguments()
    with told_plainly():
        session.auth().enable()
    session.console.line("Authentication Enabled")


def run_disable(session: Session) -> None:
    session.check_no_arguments()
    with told_plainly():
        session.auth().disable()
    session.console.line("Authentication Disabled")


ENABLE = Command(" ", run_enable)
DISABLE = Command(" ", run_disable)
