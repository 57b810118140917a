"""Where operators read what happened; the shell has a logger that fits."""

from typing import Protocol


class Log(Protocol):
    """Lines with named fields."""

    def info(self, message: str, **fields: object) -> None:
        """It happened as it should."""

    def warn(self, message: str, **fields: object) -> None:
        """Worth a look."""
