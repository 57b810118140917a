"""etcdserverpb.Request: a request of the v2 API as it stands in the replicated log and old WALs.

proto2: every field but the two optional ones is always written.  Go never checks that its
strings are UTF-8, so bytes that are not survive as surrogates (see ``codec.RAW_STRING``).

An entry's data is either an InternalRaftRequest or, for the v2 API up to etcd 3.5, a bare Request
(members publish their names and the cluster version that way too).  Nothing marks which: readers
try the first and take the second when that fails.  It always fails, because no method's name is
a message, and ``hot.parse_internal`` fails because it sees two requests in fields 2 and 3.

Source: etcd's etcdserver.proto; what etcd 3.5 does with an entry.
"""

from __future__ import annotations

from petcd.wire.codec import ALWAYS, BOOL, INT64, OPTIONAL, RAW_STRING, UINT64, Message, field


class Request(Message):
    """A v2 request; the data of an entry, or field 2 of InternalRaftRequest."""

    ID: int = field(1, UINT64, ALWAYS)
    Method: str = field(2, RAW_STRING, ALWAYS)  # GET, PUT, POST, DELETE, QGET, SYNC
    Path: str = field(3, RAW_STRING, ALWAYS)
    Val: str = field(4, RAW_STRING, ALWAYS)
    Dir: bool = field(5, BOOL, ALWAYS)
    PrevValue: str = field(6, RAW_STRING, ALWAYS)
    PrevIndex: int = field(7, UINT64, ALWAYS)
    PrevExist: bool | None = field(8, BOOL, OPTIONAL)
    Expiration: int = field(9, INT64, ALWAYS)  # nanoseconds since 1970; 0: never
    Wait: bool = field(10, BOOL, ALWAYS)
    Since: int = field(11, UINT64, ALWAYS)
    Recursive: bool = field(12, BOOL, ALWAYS)
    Sorted: bool = field(13, BOOL, ALWAYS)
    Quorum: bool = field(14, BOOL, ALWAYS)
    Time: int = field(15, INT64, ALWAYS)  # nanoseconds since 1970
    Stream: bool = field(16, BOOL, ALWAYS)
    Refresh: bool | None = field(17, BOOL, OPTIONAL)
