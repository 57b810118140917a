"""The logger that raft writes to, handed in by the caller.

Every call site asks `logger.level` first, so that a line which nobody wants costs one comparison
and is never formatted. The texts equal those of etcd's raft library, word for word: its
interaction traces are a test of ours, and operators know them.
"""

from __future__ import annotations

from typing import Final, Protocol

DEBUG: Final = 0
INFO: Final = 1
WARNING: Final = 2
ERROR: Final = 3
SILENT: Final = 5


class Logger(Protocol):
    """Receives finished lines. `level` is the lowest level that is wanted (0 = all, 5 = none)."""

    level: int

    def debug(self, text: str) -> None: ...

    def info(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    def error(self, text: str) -> None: ...


class SilentLogger:
    """Wants nothing; the default."""

    def __init__(self) -> None:
        self.level: int = SILENT

    def debug(self, text: str) -> None:
        """Drop the line."""

    def info(self, text: str) -> None:
        """Drop the line."""

    def warning(self, text: str) -> None:
        """Drop the line."""

    def error(self, text: str) -> None:
        """Drop the line."""
