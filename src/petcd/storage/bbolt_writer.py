"""Writes a bbolt database from sorted rows, front to back, in bounded memory.

A tree grows from its leaves: rows fill a leaf until the next one does not fit, the page goes out,
and its first key and number go to the branch above, which fills and goes out in the same way.  So
at any time there is one open page a level, whatever the number of rows::

    meta  meta  freelist  leaf leaf ... leaf branch  leaf leaf ...  branch  root leaf
      ^ written last, when the root and the number of pages are known

Every page is in use and the freelist is empty, as after a defragmentation.  A branch has two
children at least.

It does not do: sorting (rows out of order are an error), changing a file, syncing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import chain
from typing import BinaryIO, Final

from petcd.storage.bbolt_page import (
    BRANCH,
    BUCKET,
    ELEMENT_BYTES,
    FREELIST,
    IS_BUCKET,
    LEAF,
    META_PAGE,
    PAGE,
    PAGE_BYTES,
    Meta,
    Row,
)

# Pages gathered for one write.
_WRITE_PAGES: Final = 64


class _Pages:
    """Gives pages their numbers and puts them into the file in that order."""

    __slots__ = ("_file", "_parts", "count")

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._parts: list[bytes] = []
        self.count = 0

    def put(self, flags: int, elements: int, content: bytes) -> int:
        """Append a page; returns its number."""
        number = self.count
        extent = -(-(PAGE.size + len(content)) // PAGE_BYTES)
        padding = bytes(extent * PAGE_BYTES - PAGE.size - len(content))
        self._parts += (PAGE.pack(number, flags, elements, extent - 1), content, padding)
        self.count += extent
        if len(self._parts) >= 3 * _WRITE_PAGES:
            self.flush()
        return number

    def flush(self) -> None:
        """Hand what was gathered to the file."""
        self._file.write(b"".join(self._parts))
        self._parts.clear()


class _Branch:
    """The open page of one level above the leaves."""

    __slots__ = ("children", "size")

    def __init__(self) -> None:
        self.children: list[tuple[bytes, int]] = []
        self.size = PAGE.size


class _Tree:
    """One bucket in the making."""

    __slots__ = ("_branches", "_flags", "_last", "_pages", "_rows", "_size")

    def __init__(self, pages: _Pages, flags: int = 0) -> None:
        self._pages = pages
        self._flags = flags
        self._rows: list[Row] = []
        self._size = PAGE.size
        self._last = b""
        self._branches: list[_Branch] = []

    def add(self, rows: Iterable[Row]) -> None:
        """Append rows, whose keys lie above all before."""
        pending, size, last = self._rows, self._size, self._last
        for row in rows:
            key = row[0]
            if key <= last:
                raise ValueError(f"key {key!r} follows {last!r}")
            last = key
            need = ELEMENT_BYTES + len(key) + len(row[1])
            if size + need > PAGE_BYTES and pending:
                self._put_leaf()
                pending, size = self._rows, PAGE.size
            pending.append(row)
            size += need
        self._size, self._last = size, last

    def finish(self) -> int:
        """Put what is open; returns the number of the root page."""
        if self._rows or not self._branches:
            self._put_leaf()
        level = 0
        while True:
            branch = self._branches[level]
            if len(branch.children) == 1 and level == len(self._branches) - 1:
                return branch.children[0][1]
            children, branch.children = branch.children, []
            self._put_branch(level, children)
            level += 1

    def _put_leaf(self) -> None:
        rows, self._rows = self._rows, []
        count = len(rows)
        flags, offset = self._flags, count * ELEMENT_BYTES
        elements: list[int] = []
        for key, value in rows:
            key_bytes, value_bytes = len(key), len(value)
            elements += (flags, offset, key_bytes, value_bytes)
            offset += key_bytes + value_bytes - ELEMENT_BYTES
        head = struct.pack(f"<{4 * count}I", *elements)
        page = self._pages.put(LEAF, count, head + b"".join(chain.from_iterable(rows)))
        self._add_child(0, rows[0][0] if rows else b"", page)

    def _add_child(self, level: int, key: bytes, page: int) -> None:
        if level == len(self._branches):
            self._branches.append(_Branch())
        branch = self._branches[level]
        need = ELEMENT_BYTES + len(key)
        if branch.size + need > PAGE_BYTES and len(branch.children) > 2:
            # The last child waits for the new one: no branch is left with one alone.
            children, branch.children = branch.children[:-1], branch.children[-1:]
            branch.size = PAGE.size + ELEMENT_BYTES + len(branch.children[0][0])
            self._put_branch(level, children)
        branch.children.append((key, page))
        branch.size += need

    def _put_branch(self, level: int, children: list[tuple[bytes, int]]) -> None:
        offset = len(children) * ELEMENT_BYTES
        head: list[bytes] = []
        for key, page in children:
            head.append(struct.pack("<IIQ", offset, len(key), page))
            offset += len(key) - ELEMENT_BYTES
        content = b"".join(head) + b"".join([key for key, _ in children])
        page = self._pages.put(BRANCH, len(children), content)
        self._add_child(level + 1, children[0][0], page)


def write_bolt(file: BinaryIO, buckets: Iterable[tuple[bytes, Iterable[Iterable[Row]]]]) -> int:
    """Write a database into `file`, which is empty, open for writing and can be rewound.

    `buckets` are names in order, each with its rows in chunks, sorted by key.  Returns the size in
    bytes.  Raises ValueError when something is out of order, and what `file` raises.
    """
    pages = _Pages(file)
    for _ in range(2):
        pages.put(META_PAGE, 0, bytes(PAGE_BYTES - PAGE.size))
    freelist = pages.put(FREELIST, 0, b"")
    root = _Tree(pages, IS_BUCKET)
    for name, chunks in buckets:
        bucket = _Tree(pages)
        for rows in chunks:
            bucket.add(rows)
        root.add([(name, BUCKET.pack(bucket.finish(), 0))])
    root_page = root.finish()
    pages.flush()
    file.seek(0)
    for number in (0, 1):
        meta = Meta(PAGE_BYTES, root_page, freelist, pages.count, number).encode()
        head = PAGE.pack(number, META_PAGE, 0, 0)
        file.write((head + meta).ljust(PAGE_BYTES, b"\0"))
    file.flush()
    return pages.count * PAGE_BYTES
