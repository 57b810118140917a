"""Where a script's text goes: the nodes' log lines and the harness's own words."""

from __future__ import annotations

LEVEL_NAMES = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE")
_NONE = len(LEVEL_NAMES) - 1


class Output:
    """Collects text, and is the `Logger` of all nodes. At level NONE it takes nothing at all."""

    def __init__(self) -> None:
        self.level = 0
        self._parts: list[str] = []

    def set_level(self, name: str) -> bool:
        """Choose the level by name, in upper or lower case; False if there is none such."""
        wanted = name.upper()
        if wanted not in LEVEL_NAMES:
            return False
        self.level = LEVEL_NAMES.index(wanted)
        return True

    def is_quiet(self) -> bool:
        """True at level NONE."""
        return self.level == _NONE

    def write(self, text: str) -> None:
        """Add text as it is."""
        if not self.is_quiet():
            self._parts.append(text)

    def take(self) -> str:
        """The text so far; afterwards there is none."""
        return "".join(self.swap([]))

    def swap(self, parts: list[str]) -> list[str]:
        """Collect into `parts` from now on; returns what was collected into before."""
        before = self._parts
        self._parts = parts
        return before

    def _line(self, level: int, text: str) -> None:
        if self.level <= level:
            self.write(f"{LEVEL_NAMES[level]} {text}\n")

    def debug(self, text: str) -> None:
        """A log line of level DEBUG."""
        self._line(0, text)

    def info(self, text: str) -> None:
        """A log line of level INFO."""
        self._line(1, text)

    def warning(self, text: str) -> None:
        """A log line of level WARN."""
        self._line(2, text)

    def error(self, text: str) -> None:
        """A log line of level ERROR."""
        self._line(3, text)
