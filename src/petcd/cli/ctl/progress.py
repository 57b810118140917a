"""A progress line on stdout: `` 12 / 60   20.00% 00m48s``, with a bar on a terminal."""

from __future__ import annotations

import os

from petcd.cli.ctl.console import Console

NARROW_COLUMNS = 40
"""No bar on terminals narrower than this."""


class Progress:
    """Counts up to `total`; `columns` is the terminal's width, 0 when there is none."""

    def __init__(self, console: Console, total: int, columns: int = 0) -> None:
        self.console = console
        self.total = total
        self.columns = columns
        self._shown = ""

    def show(self, done: int, elapsed_s: float) -> None:
        """Draw the line unless it would look the same."""
        text = self._text(min(done, self.total), elapsed_s)
        if text != self._shown:
            self._shown = text
            self.console.write(f"\r{text}".encode())
            self.console.flush()

    def finish(self) -> None:
        """Complete, and a new line."""
        self.show(self.total, 0.0)
        self.console.line()

    def _text(self, done: int, elapsed_s: float) -> str:
        left = f" {done} / {self.total} "
        right = f" {done / self.total:7.2%}"
        if 0 < done < self.total:
            seconds = int(elapsed_s / done * (self.total - done))
            right += f" {seconds // 60:02d}m{seconds % 60:02d}s"
        room = self.columns - len(left) - len(right) - 2
        if self.columns < NARROW_COLUMNS or room < 3:
            return left + right
        filled = room * done // self.total
        head = "o" * (filled - 1) + "m" if filled else ""
        return f"{left}B{head}{' ' * (room - filled)}!{right}"


def terminal_columns(fd: int) -> int:
    """Width of the terminal at a file descriptor, 0 when it is none."""
    try:
        return os.get_terminal_size(fd).columns if os.isatty(fd) else 0
    except OSError:
        return 0
