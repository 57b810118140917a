"""Run a command for the user, with further variables in its environment."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence


def run_command(command: Sequence[str], variables: Mapping[str, str]) -> str:
    """Run and wait; stdin is empty, stdout and stderr are ours.  "" or what went wrong."""
    try:
        done = subprocess.run(
            list(command), stdin=subprocess.DEVNULL, env={**os.environ, **variables}, check=False
        )
    except FileNotFoundError:
        if "/" in command[0]:
            return f"fork/exec {command[0]}: no such file or directory"
        return f'exec: "{command[0]}": executable file not found in $PATH'
    except OSError as error:
        return f"fork/exec {command[0]}: {(error.strerror or '').lower()}"
    if done.returncode < 0:
        return f"signal: {_signal_text(-done.returncode)}"
    return f"exit status {done.returncode}" if done.returncode else ""


def _signal_text(number: int) -> str:
    return (signal.strsignal(number) or f"signal {number}").lower()
