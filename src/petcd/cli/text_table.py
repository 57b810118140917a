"""Tables in ASCII boxes as etcdctl prints them up to 3.6.

```
+-----------+--------+
| ENDPOINT  | HEALTH |      header in capitals, centred
+-----------+--------+
| 127.0.0.1 |   true |      cells right-aligned, long text wrapped
+-----------+--------+
```
"""

from __future__ import annotations

from collections.abc import Sequence

WRAP_COLUMNS = 30
"""Cells with longer text are broken between words."""


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The table's lines, each with its newline."""
    wrapped = [[wrap(cell) for cell in row] for row in rows]
    widths = [
        max([len(title), *[_width(row[column]) for row in wrapped]])
        for column, title in enumerate(header)
    ]
    rule = "+" + "".join(["-" * (width + 2) + "+" for width in widths]) + "\n"
    titles = [_centred(title.upper(), width) for title, width in zip(header, widths, strict=True)]
    lines = [rule, _line(titles), rule]
    for row in wrapped:
        height = max(len(cell) for cell in row)
        for number in range(height):
            pieces = [cell[number] if number < len(cell) else "" for cell in row]
            lines.append(
                _line([piece.rjust(width) for piece, width in zip(pieces, widths, strict=True)])
            )
    lines.append(rule)
    return "".join(lines)


def _width(lines: Sequence[str]) -> int:
    """Columns that a cell takes: text that had to be broken takes all it may."""
    longest = max(len(line) for line in lines)
    return max(longest, WRAP_COLUMNS) if len(lines) > 1 else longest


def _line(cells: Sequence[str]) -> str:
    return "".join([f"| {cell} " for cell in cells]) + "|\n"


def _centred(text: str, width: int) -> str:
    gap = width - len(text)
    left = gap // 2
    return " " * left + text + " " * (gap - left)


def wrap(text: str) -> list[str]:
    """Lines of at most `WRAP_COLUMNS` (a longer word sets the measure), as even as possible: the
    squares of what each line but the last leaves empty add up to the least."""
    words = text.replace("\n", " ").split(" ")
    limit = max([WRAP_COLUMNS, *[len(word) for word in words]])
    best: list[tuple[float, int]] = [(0.0, len(words))] * (len(words) + 1)
    for start in reversed(range(len(words))):
        choices = []
        width = -1
        for stop in range(start + 1, len(words) + 1):
            width += len(words[stop - 1]) + 1
            if width > limit:
                break
            gap = 0 if stop == len(words) else (limit - width) ** 2
            choices.append((gap + best[stop][0], stop))
        best[start] = min(choices)
    lines = []
    start = 0
    while start < len(words):
        stop = best[start][1]
        lines.append(" ".join(words[start:stop]))
        start = stop
    return lines
