"""Exit codes of the v2 commands, and how a command ends with one."""

from __future__ import annotations

SUCCESS = 0
ERROR = 1
BAD_CONNECTION = 2
NO_SUCH_COMMAND = 3
SERVER_ERROR = 4
NOT_HEALTHY = 5
BAD_ARGUMENTS = 128


class Complaint(Exception):
    """Ends the command: a text on stderr as it is, and an exit code."""

    def __init__(self, text: str, code: int = ERROR) -> None:
        super().__init__(text)
        self.code = code
