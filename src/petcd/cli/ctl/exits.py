"""Exit codes of etcdctl, and the exception that ends a command with one."""

from __future__ import annotations

SUCCESS = 0
ERROR = 1
BAD_CONNECTION = 2
INVALID_INPUT = 3
BAD_FEATURE = 4
INTERRUPTED = 5
IO_ERROR = 6
BAD_ARGUMENTS = 128


class CommandError(Exception):
    """Ends the command: `Error: <text>` on stderr and this exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Ended(Exception):
    """Ends the command with an exit code; everything has been said."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
