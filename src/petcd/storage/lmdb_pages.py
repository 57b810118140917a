"""Is a file of LMDB's sound? Its pages, looked at from outside before anything is read through it.

LMDB has no checksums. It believes what page headers and rows say of sizes and places: a bit that
rotted there makes it abort the process, or read behind the end of the file, which kills it; in the
list of free pages it makes the next commits write over rows. So a file that was left alone for a
while is walked first, every page that its newest commit can reach:

    meta page -> main tree -> a tree for each bucket -> rows -> pages of large values
              -> tree of free pages: none of them may be among the others

::

    page      number 8 | - 2 | kind 2 | lower 2 | upper 2 | places of rows, 2 each | ... | rows
    row       size 4 (or 6: page below) | kind 2 | key size 2 | key | value, or first page of it
    rows      fill the page from `upper` to its end without gaps
    tree      - 4 | flags 2 | depth 2 | branches 8 | leaves 8 | overflow 8 | rows 8 | root 8

Law: one wrong bit of this structure is found, unless it only makes a value a bit longer or shorter
within its place, or a list of free pages shorter. A page that nobody has is no damage: LMDB may
leak some, and never uses them again. A million rows of 250 bytes take 0.35 s.

It does not do: telling whether keys and values are those that were written (hashes of the store are
compared between members), looking at a file in use, repairing.

Source: LMDB 0.9, its data format.
"""

from __future__ import annotations

import mmap
from struct import Struct, unpack_from
from typing import Final

from petcd.storage.errors import BackendDamaged

_PAGE: Final = Struct("<Q2xHHH")  # number, kind, lower, upper
_LARGE: Final = Struct("<Q2xHI")  # number, kind, pages of one value
_ROW: Final = Struct("<IHH")  # size of the value, kind of the row, size of the key
_META: Final = Struct("<IIQQ")  # magic, version, address, size of the map
_TREE: Final = Struct("<IHHQQQQQ")
_ENDS: Final = Struct("<QQ")  # last page, transaction
_NUMBER: Final = Struct("<Q")

_HEAD_BYTES: Final = 16
_ROW_BYTES: Final = 8
_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_NO_PAGE: Final = 0xFFFF_FFFF_FFFF_FFFF
_FREE_PAGES_AT: Final = _HEAD_BYTES + _META.size
_MAIN_AT: Final = _FREE_PAGES_AT + _TREE.size
_ENDS_AT: Final = _MAIN_AT + _TREE.size
_PAGE_BYTES: Final = (512, 1024, 2048, 4096, 8192, 16384, 32768)
_DEPTH_MAX: Final = 32
# Free pages at the end that were never written.
_UNWRITTEN_MAX: Final = 1 << 20
# Kinds of pages, of rows, of trees.
_BRANCH: Final = 1
_LEAF: Final = 2
_OVERFLOW: Final = 4
_META_PAGE: Final = 8
_LARGE_VALUE: Final = 1
_SUBTREE: Final = 2
_INTEGER_KEYS: Final = 8


def check_pages(path: str) -> None:
    """Return if the file is sound; nobody may have it open for writing.

    Raises BackendDamaged, OSError.
    """
    with open(path, "rb") as file:
        try:
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise BackendDamaged(path, "an empty file") from None
        with pages:
            _Walk(path, pages).run()


class _Walk:
    """One pass over all that the newest commit can reach; `seen` has a mark for each page met."""

    __slots__ = ("_length", "_page_bytes", "_pages", "_path", "_seen", "_subtrees")

    def __init__(self, path: str, pages: mmap.mmap) -> None:
        self._path = path
        self._pages = pages
        self._length = len(pages)
        self._page_bytes = 0
        self._seen = bytearray()
        self._subtrees: list[int] = []  # where the records of the buckets' trees are

    def run(self) -> None:
        meta = self._newest_meta()
        last, _ = _ENDS.unpack_from(self._pages, meta + _ENDS_AT)
        if last > self._length // self._page_bytes + _UNWRITTEN_MAX:
            raise self._damaged(meta, f"its last page would be {last}")
        self._seen = bytearray(last + 1)
        self._seen[0] = self._seen[1] = 1
        self._tree(meta + _MAIN_AT)
        for record in self._subtrees:
            self._tree(record)
        free: list[int] = []
        self._tree(meta + _FREE_PAGES_AT, free)
        self._free_pages(free)

    def _damaged(self, offset: int, why: str) -> BackendDamaged:
        page = offset // self._page_bytes if self._page_bytes else 0
        return BackendDamaged(self._path, f"page {page} is damaged: {why}")

    def _newest_meta(self) -> int:
        """The offset of the meta page that LMDB goes by."""
        if self._length < _HEAD_BYTES + _ENDS_AT + _ENDS.size:
            raise self._damaged(0, "the file ends inside its head")
        self._page_bytes = self._meta(0)
        if self._length < 2 * self._page_bytes or self._meta(self._page_bytes) != self._page_bytes:
            raise self._damaged(self._page_bytes, "the two meta pages differ")
        transactions = [
            _ENDS.unpack_from(self._pages, place + _ENDS_AT)[1] for place in (0, self._page_bytes)
        ]
        return 0 if transactions[0] >= transactions[1] else self._page_bytes

    def _meta(self, offset: int) -> int:
        """Check the head of a meta page; returns the size of pages."""
        number, kind, _, _ = _PAGE.unpack_from(self._pages, offset)
        magic, version, _, _ = _META.unpack_from(self._pages, offset + _HEAD_BYTES)
        page_bytes: int = _TREE.unpack_from(self._pages, offset + _FREE_PAGES_AT)[0]
        if (number, kind, magic, version) != (offset and 1, _META_PAGE, _MAGIC, _VERSION):
            raise self._damaged(offset, "not LMDB's meta page")
        if page_bytes not in _PAGE_BYTES:
            raise self._damaged(offset, f"pages of {page_bytes} bytes")
        return page_bytes

    # -- trees --------------------------------------------------------------------------------

    def _tree(self, record: int, values: list[int] | None = None) -> None:
        """Walk the tree whose record is there, and note subtrees for later.

        `values` is given for the free pages: it gets the places of their lists.
        """
        _, flags, depth, *told = _TREE.unpack_from(self._pages, record)
        root = told.pop()
        # Those of the free pages are the environment's, too.
        wanted = 0 if values is None else flags & ~0xFF | _INTEGER_KEYS
        if flags != wanted or depth > _DEPTH_MAX or (root == _NO_PAGE) != (depth == 0):
            raise self._damaged(record, "the record of a tree")
        found = [0, 0, 0, 0]  # branches, leaves, overflow pages, rows
        level = [] if root == _NO_PAGE else [root]
        while depth:
            depth -= 1
            below: list[int] = []
            for number in level:
                if depth:
                    found[0] += 1
                    below += self._branch(number)
                else:
                    found[1] += 1
                    self._leaf(number, found, values)
            level = below
        if found != told:
            raise self._damaged(record, f"a tree has {found} where {told} were counted")

    def _enter(self, number: int, kind: int) -> tuple[int, tuple[int, ...], int]:
        """Check a page's head; returns its offset, the places of its rows, and `upper`."""
        offset = self._claim(number, 1)
        page_bytes = self._page_bytes
        own, has, lower, upper = _PAGE.unpack_from(self._pages, offset)
        if own != number or has != kind:
            raise self._damaged(offset, f"it says to be page {own} of kind {has:#x}")
        if lower & 1 or not _HEAD_BYTES < lower <= upper <= page_bytes:
            raise self._damaged(offset, f"rows from {upper}, their places up to {lower}")
        count = (lower - _HEAD_BYTES) // 2
        places = unpack_from(f"<{count}H", self._pages, offset + _HEAD_BYTES)
        if len(set(places)) != count:
            raise self._damaged(offset, "two rows at one place")
        return offset, places, upper

    def _claim(self, number: int, count: int) -> int:
        """Note that somebody has these pages; returns the offset of the first."""
        seen, page_bytes = self._seen, self._page_bytes
        if number + count > len(seen) or (number + count) * page_bytes > self._length:
            raise self._damaged(number * page_bytes, "it lies behind the end of the file")
        for each in range(number, number + count):
            if seen[each]:
                raise self._damaged(each * page_bytes, "it is used twice")
            seen[each] = 1
        return number * page_bytes

    def _branch(self, number: int) -> list[int]:
        """The pages below."""
        offset, places, upper = self._enter(number, _BRANCH)
        below: list[int] = []
        filled = 0
        last = self._page_bytes - _ROW_BYTES
        for place in places:
            if not upper <= place <= last:
                raise self._damaged(offset, f"a row at {place}")
            low, high, key_bytes = _ROW.unpack_from(self._pages, offset + place)
            below.append(low | high << 32)
            filled += _ROW_BYTES + key_bytes + (key_bytes & 1)
        if filled != self._page_bytes - upper:
            raise self._damaged(offset, f"{filled} bytes of rows from {upper} on")
        return below

    def _leaf(self, number: int, found: list[int], values: list[int] | None) -> None:
        offset, places, upper = self._enter(number, _LEAF)
        filled = 0
        last = self._page_bytes - _ROW_BYTES
        unpack, pages = _ROW.unpack_from, self._pages
        for place in places:
            if not upper <= place <= last:
                raise self._damaged(offset, f"a row at {place}")
            size, kind, key_bytes = unpack(pages, offset + place)
            value = offset + place + _ROW_BYTES + key_bytes
            if kind:
                size = self._special(offset, value, size, kind, found)
            taken = _ROW_BYTES + key_bytes + size
            filled += taken + (taken & 1)
            if values is not None:
                values.append(self._large_value(value) if kind else value)
        if filled != self._page_bytes - upper:
            raise self._damaged(offset, f"{filled} bytes of rows from {upper} on")
        found[3] += len(places)

    def _special(self, offset: int, value: int, size: int, kind: int, found: list[int]) -> int:
        """A row with a large value or a tree; returns how many bytes it has in the page itself."""
        inside = _NUMBER.size if kind == _LARGE_VALUE else _TREE.size
        if value + inside > offset + self._page_bytes:
            raise self._damaged(offset, "a row ends behind the page")
        if kind == _SUBTREE and size == _TREE.size:
            self._subtrees.append(value)
        elif kind == _LARGE_VALUE:
            found[2] += self._overflow(offset, _NUMBER.unpack_from(self._pages, value)[0], size)
        else:
            raise self._damaged(offset, f"a row of kind {kind:#x} with {size} bytes")
        return inside

    def _overflow(self, offset: int, number: int, size: int) -> int:
        """Check the pages of a large value; returns how many there are."""
        page_bytes = self._page_bytes
        if (number + 1) * page_bytes > self._length:
            raise self._damaged(offset, f"a value on page {number}")
        own, kind, count = _LARGE.unpack_from(self._pages, number * page_bytes)
        if own != number or kind != _OVERFLOW or not size <= count * page_bytes - _HEAD_BYTES:
            raise self._damaged(number * page_bytes, f"{size} bytes of a value on {count} pages")
        self._claim(number, count)
        return int(count)

    def _large_value(self, value: int) -> int:
        """The offset of a value that has pages of its own."""
        number: int = _NUMBER.unpack_from(self._pages, value)[0]
        return number * self._page_bytes + _HEAD_BYTES

    # -- free pages ---------------------------------------------------------------------------

    def _free_pages(self, lists: list[int]) -> None:
        """Each list: how many, then their numbers. None of them may be in use, nor free twice."""
        seen = self._seen
        for offset in lists:
            (count,) = _NUMBER.unpack_from(self._pages, offset)
            end = offset + _NUMBER.size * (count + 1)
            if end > self._length:
                raise self._damaged(offset, f"a list of {count} free pages")
            for number in unpack_from(f"<{count}Q", self._pages, offset + _NUMBER.size):
                if number >= len(seen) or seen[number]:
                    raise self._damaged(offset, f"page {number} would be free")
                seen[number] = 1
