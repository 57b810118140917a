"""Reads a bbolt database, written by whoever: nothing in the file is believed.

Every number is checked before it is used, every page may be met once in a walk, rows may not share
bytes, and keys must rise: so any file is either read or refused with BoltDamaged, in time and
memory that its size bounds.  What bbolt does not read itself is not complained about.

Pages are read, not mapped: a file that shrinks meanwhile is an error, not the end of the process.

It does not do: writing, repair, buckets within buckets (etcd has none), waiting for a process that
has the file open.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from petcd.storage.bbolt_page import (
    BRANCH,
    BUCKET,
    CHECKSUM,
    ELEMENT_BYTES,
    FREELIST,
    IS_BUCKET,
    LEAF,
    META,
    NO_FREELIST,
    PAGE,
    BoltDamaged,
    Meta,
    Row,
)

# bbolt takes the system's page size; these are all there are.
_PAGE_SIZES: Final = tuple(1 << shift for shift in range(10, 17))
# A freelist of this many pages or more keeps their number in its first place.
_COUNT_BEYOND: Final = 0xFFFF
_META_BYTES: Final = META.size + CHECKSUM.size


class _Walk:
    """What one walk has met: pages, so that none is met twice, and the last key."""

    __slots__ = ("last", "met")

    def __init__(self, pages: int) -> None:
        self.met = bytearray(pages)
        self.last = b""


class BoltFile:
    """An open database.  `path` as given, `size` in bytes of its pages.

    Raises BoltDamaged, OSError.
    """

    __slots__ = ("_fd", "_meta", "_roots", "path", "size")

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            length = os.fstat(self._fd).st_size
            self._meta = self._read_meta()
            self.size = self._meta.pages * self._meta.page_bytes
            if self.size > length:
                raise BoltDamaged(path, f"cut off: {length} of {self.size} bytes")
            self._roots = dict(self._buckets())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> BoltFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def names(self) -> list[bytes]:
        """The buckets' names, in order."""
        return list(self._roots)

    def scan_chunks(self, bucket: bytes) -> Iterator[list[Row]]:
        """The rows of a bucket in order, a leaf at a time; none when there is no such bucket.

        Raises BoltDamaged, also after rows were given.
        """
        value = self._roots.get(bucket)
        if value is not None:
            yield from self._bucket_rows(value, _Walk(self._meta.pages))

    def get(self, bucket: bytes, key: bytes) -> bytes | None:
        """One value of a small bucket, by walking through it.  Raises BoltDamaged."""
        for rows in self.scan_chunks(bucket):
            for found, value in rows:
                if found == key:
                    return value
        return None

    def check(self) -> None:
        """Look at every page: each belongs to one bucket or is free.  Raises BoltDamaged."""
        walk = _Walk(self._meta.pages)
        walk.met[:2] = b"\1\1"
        free = self._free_pages(walk)
        for _ in self._leaves(self._meta.root, walk):
            pass
        for value in self._roots.values():
            walk.last = b""
            for _ in self._bucket_rows(value, walk):
                pass
        if free is None:
            return
        for number in free:
            if not 2 <= number < self._meta.pages or walk.met[number]:
                raise self._damaged(number, "free and in use, or freed twice")
            walk.met[number] = 1
        lost = walk.met.find(0)
        if lost >= 0:
            raise self._damaged(lost, "unreachable unfreed")

    def close(self) -> None:
        """Give the file back; a second call does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    # -- metas ------------------------------------------------------------------------------------

    def _read_meta(self) -> Meta:
        """The newest valid one; the second stands behind a first page of unknown size."""
        found: list[Meta] = []
        why = ""
        for offset in (0, *_PAGE_SIZES):
            start = offset + PAGE.size
            try:
                meta = Meta.decode(os.pread(self._fd, _META_BYTES, start))
            except ValueError as error:
                why = why or str(error)
                continue
            if meta.page_bytes in _PAGE_SIZES and offset in (0, meta.page_bytes):
                found.append(meta)
            else:
                why = why or f"pages of {meta.page_bytes} bytes"
        if not found:
            raise BoltDamaged(self.path, why)
        return max(found, key=lambda meta: meta.transaction)

    def _free_pages(self, walk: _Walk) -> list[int] | None:
        """The freelist, its own pages noted in `walk`; None when the file has none."""
        number = self._meta.freelist
        if number == NO_FREELIST:
            return None
        flags, count, page = self._page(number, walk)
        if flags != FREELIST:
            raise self._damaged(number, f"flags {flags:#x} on the freelist")
        start = PAGE.size
        if count == _COUNT_BEYOND:
            (count,) = struct.unpack_from("<Q", page, start)
            start += 8
        if start + 8 * count > len(page):
            raise self._damaged(number, f"{count} free pages in {len(page)} bytes")
        return list(struct.unpack_from(f"<{count}Q", page, start))

    # -- trees ------------------------------------------------------------------------------------

    def _buckets(self) -> Iterator[Row]:
        walk = _Walk(self._meta.pages)
        for number, page, elements in self._leaves(self._meta.root, walk):
            for flags, name, value in self._leaf_rows(number, page, elements, walk):
                if not flags & IS_BUCKET:
                    raise self._damaged(number, "a value where buckets are")
                if len(value) < BUCKET.size:
                    raise self._damaged(number, f"a bucket's head of {len(value)} bytes")
                yield name, value

    def _bucket_rows(self, value: bytes, walk: _Walk) -> Iterator[list[Row]]:
        root, _ = BUCKET.unpack_from(value)
        if root:
            for number, page, elements in self._leaves(root, walk):
                yield self._plain_rows(number, page, elements, walk)
            return
        inline = value[BUCKET.size :]
        if len(inline) < PAGE.size:
            raise self._damaged(0, f"a small bucket of {len(inline)} bytes")
        _, flags, count, _ = PAGE.unpack_from(inline)
        if flags != LEAF:
            raise self._damaged(0, f"flags {flags:#x} in a small bucket")
        yield self._plain_rows(0, inline, self._elements(0, inline, count), walk)

    def _leaves(self, root: int, walk: _Walk) -> Iterator[tuple[int, bytes, tuple[int, ...]]]:
        """(number, bytes, elements) of each leaf below a page, in order."""
        ahead = [root]
        while ahead:
            number = ahead.pop()
            flags, count, page = self._page(number, walk)
            elements = self._elements(number, page, count)
            if flags == LEAF:
                yield number, page, elements
            elif flags == BRANCH and count:
                low, high = elements[2::4], elements[3::4]
                ahead += [below | above << 32 for below, above in zip(low, high, strict=True)][::-1]
            else:
                raise self._damaged(number, f"flags {flags:#x}, {count} rows")

    def _page(self, number: int, walk: _Walk) -> tuple[int, int, bytes]:
        """(flags, count, bytes) of a page with its overflow; notes them in `walk`."""
        pages, page_bytes = self._meta.pages, self._meta.page_bytes
        if not 2 <= number < pages:
            raise self._damaged(number, f"out of bounds: {pages}")
        page = self._read(number, page_bytes)
        found, flags, count, overflow = PAGE.unpack_from(page)
        end = number + overflow + 1
        if found != number or end > pages:
            raise self._damaged(number, f"number {found}, {overflow} further pages")
        if walk.met.find(1, number, end) >= 0:
            raise self._damaged(number, "multiple references")
        walk.met[number:end] = b"\1" * (end - number)
        return flags, count, self._read(number, (end - number) * page_bytes) if overflow else page

    def _read(self, number: int, length: int) -> bytes:
        page = os.pread(self._fd, length, number * self._meta.page_bytes)
        if len(page) != length:
            raise self._damaged(number, "cut off")
        return page

    def _elements(self, number: int, page: bytes, count: int) -> tuple[int, ...]:
        if PAGE.size + count * ELEMENT_BYTES > len(page):
            raise self._damaged(number, f"{count} rows in {len(page)} bytes")
        return struct.unpack_from(f"<{4 * count}I", page, PAGE.size)

    def _plain_rows(
        self, number: int, page: bytes, elements: tuple[int, ...], walk: _Walk
    ) -> list[Row]:
        rows = []
        for flags, key, value in self._leaf_rows(number, page, elements, walk):
            if flags & IS_BUCKET:
                raise self._damaged(number, "a bucket within a bucket")
            rows.append((key, value))
        return rows

    def _leaf_rows(
        self, number: int, page: bytes, elements: tuple[int, ...], walk: _Walk
    ) -> Iterator[tuple[int, bytes, bytes]]:
        """(flags, key, value) of each row."""
        at, end, length, last = PAGE.size, PAGE.size, len(page), walk.last
        columns = (elements[0::4], elements[1::4], elements[2::4], elements[3::4])
        for flags, offset, key_bytes, value_bytes in zip(*columns, strict=True):
            start, before = at + offset, end
            middle = start + key_bytes
            end = middle + value_bytes
            if start < before or end > length:
                raise self._damaged(number, f"a row from {start} to {end} of {length} bytes")
            key = page[start:middle]
            if key <= last:
                raise self._damaged(number, f"key {key!r} follows {last!r}")
            last = key
            yield flags, key, page[middle:end]
            at += ELEMENT_BYTES
        walk.last = last

    def _damaged(self, number: int, why: str) -> BoltDamaged:
        return BoltDamaged(self.path, f"page {number}: {why}")
