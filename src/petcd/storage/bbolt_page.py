"""The pages of a bbolt file, as bytes: what the writer and the reader agree on.

::

    page 0, 1   meta, twice; the valid one with the higher transaction id counts
    page 2 ..   freelist, branch and leaf pages in any order

    page:     id 8 | flags 2 | count 2 | overflow 4 | elements | keys and values
    branch:   offset 4, key bytes 4, child page 8                      a row an element
    leaf:     flags 4, offset 4, key bytes 4, value bytes 4            a row an element
    bucket:   root page 8, sequence 8          the value of a leaf row that is a bucket; a root of
                                               0 means that a small page follows right here
    meta:     magic 4, version 4, page bytes 4, flags 4, root page 8, sequence 8, freelist page 8,
              pages in all 8, transaction id 8, checksum 8 (FNV-1a of what stands before it)

All numbers are little endian.  An offset counts from the start of its element.  A page that does
not hold its rows goes on over `overflow` further pages.

Source: bbolt's file format, version 2.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from petcd.storage.errors import StorageError

PAGE_BYTES: Final = 4096  # what we write; others may have others
PAGE: Final = Struct("<QHHI")
META: Final = Struct("<IIIIQQQQQ")
CHECKSUM: Final = Struct("<Q")
BUCKET: Final = Struct("<QQ")
ELEMENT_BYTES: Final = 16  # of a branch and of a leaf alike

BRANCH: Final = 0x01
LEAF: Final = 0x02
META_PAGE: Final = 0x04
FREELIST: Final = 0x10
IS_BUCKET: Final = 0x01  # flag of a leaf element

MAGIC: Final = 0xED0CDAED
VERSION: Final = 2
NO_FREELIST: Final = (1 << 64) - 1  # the writer left it out; free is what nothing points to

Row = tuple[bytes, bytes]


class BoltDamaged(StorageError):
    """A file is no bbolt database, or a damaged one: `path`, and why, with the page's number."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class Meta(NamedTuple):
    """One of the two meta pages; `pages` is the number of pages in the file."""

    page_bytes: int
    root: int
    freelist: int
    pages: int
    transaction: int

    def encode(self) -> bytes:
        """The page's content behind its head."""
        fields = (self.page_bytes, 0, self.root, 0, self.freelist, self.pages, self.transaction)
        data = META.pack(MAGIC, VERSION, *fields)
        return data + CHECKSUM.pack(fnv64a(data))

    @classmethod
    def decode(cls, data: bytes) -> Meta:
        """Inverse of `encode`; raises ValueError."""
        if len(data) < META.size + CHECKSUM.size:
            raise ValueError("file too short")
        magic, version, page_bytes, _, root, _, freelist, pages, transaction = META.unpack_from(
            data
        )
        if magic != MAGIC:
            raise ValueError("invalid database")
        if version != VERSION:
            raise ValueError("version mismatch")
        (checksum,) = CHECKSUM.unpack_from(data, META.size)
        if checksum and checksum != fnv64a(data[: META.size]):
            raise ValueError("checksum error")
        return cls(page_bytes, root, freelist, pages, transaction)


def fnv64a(data: bytes) -> int:
    """The 64-bit FNV-1a hash."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value
