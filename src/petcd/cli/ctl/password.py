"""Ask for a password: prompt on stdout, answer from stdin, unseen on a terminal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from petcd.cli.ctl.console import Console


def ask_password(console: Console, prompt: str = "Password: ") -> str:
    """What was typed; "" when stdin has ended."""
    console.write(prompt.encode())
    console.flush()
    with _without_echo(console):
        line = console.stdin.readline()
    console.line()
    return os.fsdecode(line.rstrip(b"\r\n"))


@contextlib.contextmanager
def _without_echo(console: Console) -> Iterator[None]:
    try:
        fd = console.stdin.fileno()
        if not os.isatty(fd):
            raise OSError
    except OSError:
        yield
        return
    import termios

    old = termios.tcgetattr(fd)
    unseen = [*old]
    unseen[3] &= ~termios.ECHO
    termios.tcsetattr(fd, termios.TCSADRAIN, unseen)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, old)
