"""Hand-specialised codecs for the messages on the fast path: bytes in, plain values out.

Each function equals what the general codec (``codec``) does for the same message, and is
several times faster because it makes no message object:

=====================  ====================================  ================================
function               message                               on the path of
=====================  ====================================  ================================
parse_put              PutRequest                            every put, twice (check, apply)
parse_range_key        RangeRequest                          a plain get
internal_put, ...      InternalRaftRequest                   every write: entry data
raft_entry, ...        raftpb.Entry, walpb.Record            every write: WAL
encode_kv, ...         mvccpb.KeyValue                       every put: the key bucket
header_bytes, ...      ResponseHeader and the responses      every answer
watch_event, ...       mvccpb.Event, WatchResponse           every event
=====================  ====================================  ================================

How: writers join ready-made pieces.  Readers walk the fields in the order in which every encoder
writes them, comparing tags with constants; as soon as anything differs (other order, repeated
or unknown fields, longer lengths, damage) they hand the whole message to the general codec, which
then gives the answer or the ``DecodeError``.  So a reader is right for any bytes and fast for
usual ones.

Invariants: arguments named ``header``, ``kv``, ``prev_kv``, ``body`` and ``events`` are encoded
messages and are copied in as they are, unread.  Integers must be in their field's range
(ValueError otherwise).  Empty ``data`` of an entry or record stands for Go's nil and is not
written; etcd itself never writes an empty non-nil one.

Does not do: validation, defaults, anything with state.  No tricks in here, so that mypyc can
compile the file.

Source: the Protocol Buffers encoding specification; field numbers as in the message modules.
"""

from __future__ import annotations

from petcd.wire.codec import skip_field
from petcd.wire.internal import InternalRaftRequest, RequestHeader
from petcd.wire.kv import KeyValue, PutRequest
from petcd.wire.raftpb import Entry
from petcd.wire.varint import SIGN_64, DecodeError, read_varint, svarint, uvarint
from petcd.wire.walpb import Record

__all__ = [
    "DecodeError",
    "decode_kv_key_meta",
    "decode_kv_meta",
    "encode_kv",
    "header_bytes",
    "header_prefix",
    "internal_put",
    "internal_request",
    "kv_key",
    "kv_value",
    "kv_without_value",
    "parse_internal",
    "parse_internal_header",
    "parse_put",
    "parse_raft_entry",
    "parse_range_key",
    "parse_wal_record",
    "put_response",
    "raft_entry",
    "range_response",
    "uvarint",
    "wal_record",
    "watch_event",
    "watch_response",
]

TWO_64 = 1 << 64

Put = tuple[bytes, bytes, int, bool, bool, bool]

# ---------------------------------------------------------------- PutRequest, RangeRequest


def parse_put(body: bytes) -> Put:
    """Read a PutRequest: (key, value, lease, prev_kv, ignore_value, ignore_lease).

    Fast when key and value come first, shorter than 128 bytes and 2 MiB, followed by nothing or
    by the lease alone.
    """
    size = len(body)
    if size < 2 or body[0] != 0x0A or body[1] > 127:
        return _parse_put(body)
    pos = body[1] + 2
    key = body[2:pos]
    if size - pos < 2 or body[pos] != 0x12:
        return _parse_put(body)
    length = body[pos + 1]
    pos += 2
    if length > 127:
        if size - pos < 2:
            return _parse_put(body)
        length = length & 127 | body[pos] << 7
        pos += 1
        if length > 16383:
            length = length & 16383 | body[pos] << 14
            pos += 1
            if length > 2097151:
                return _parse_put(body)
    end = pos + length
    if end == size:
        return key, body[pos:end], 0, False, False, False
    if end > size or body[end] != 0x18:
        return _parse_put(body)
    try:
        lease, after = read_varint(body, end + 1)
    except IndexError:
        raise DecodeError("PutRequest: truncated") from None
    if after != size:
        return _parse_put(body)
    if lease >= SIGN_64:
        lease -= TWO_64
    return key, body[pos:end], lease, False, False, False


def _parse_put(body: bytes) -> Put:
    put = PutRequest.decode(body)
    return put.key, put.value, put.lease, put.prev_kv, put.ignore_value, put.ignore_lease


def parse_range_key(body: bytes) -> bytes | None:
    """Read the key of a RangeRequest that is a plain get of one key at the current revision.

    None unless the request holds a non-empty key, perhaps ``serializable``, and nothing else, as
    encoders write it: then ``RangeRequest.decode`` must look at it.
    """
    size = len(body)
    if size < 3 or body[0] != 0x0A:
        return None
    length = body[1]
    pos = 2
    if length > 127:
        length = length & 127 | body[2] << 7
        pos = 3
        if length > 16383:
            return None
    end = pos + length
    if length and (end == size or (end == size - 2 and body[end] == 0x38 and body[end + 1] == 1)):
        return body[pos:end]
    return None


# ---------------------------------------------------------------- KeyValue


def encode_kv(
    key: bytes, create_revision: int, mod_revision: int, version: int, value: bytes, lease: int
) -> bytes:
    """Encode a KeyValue; zero and empty fields are left out (a tombstone is the key alone)."""
    if not (key and create_revision > 0 and mod_revision > 0 and version > 0):
        return _encode_kv(key, create_revision, mod_revision, version, value, lease)
    revision = uvarint(mod_revision)
    parts = [
        b"\x0a",
        uvarint(len(key)),
        key,
        b"\x10",
        revision if create_revision == mod_revision else uvarint(create_revision),
        b"\x18",
        revision,
        b"\x20",
        uvarint(version),
    ]
    if value:
        parts += (b"\x2a", uvarint(len(value)), value)
    if lease:
        parts += (b"\x30", svarint(lease))
    return b"".join(parts)


def _encode_kv(
    key: bytes, create_revision: int, mod_revision: int, version: int, value: bytes, lease: int
) -> bytes:
    return KeyValue(
        key=key,
        create_revision=create_revision,
        mod_revision=mod_revision,
        version=version,
        value=value,
        lease=lease,
    ).encode()


# (key start, key end, create_revision, mod_revision, version, value start, value end, lease)
_Walk = tuple[int, int, int, int, int, int, int, int]


def _walk_kv(data: bytes) -> _Walk | None:
    """Walk a KeyValue as ``encode_kv`` writes it: whole, or a tombstone (the key alone).

    None when it is anything else.  An absent value has an empty range.
    """
    size = len(data)
    try:
        if data[0] != 0x0A:
            return None
        start, pos = data[1], 2
        if start > 127:
            start, pos = read_varint(data, 1)
        start, pos = pos, pos + start
        end = pos
        if end >= size:  # before indexing with it: a length may be huge
            return (start, end, 0, 0, 0, end, end, 0) if end == size else None
        if data[pos] != 0x10:
            return None
        create_revision, pos = read_varint(data, pos + 1)
        if data[pos] != 0x18:
            return None
        mod_revision, pos = read_varint(data, pos + 1)
        if data[pos] != 0x20:
            return None
        version, pos = read_varint(data, pos + 1)
        value_start = value_end = pos
        lease = 0
        if pos < size and data[pos] == 0x2A:
            length, value_start = read_varint(data, pos + 1)
            value_end = pos = value_start + length
        if pos < size and data[pos] == 0x30:
            lease, pos = read_varint(data, pos + 1)
            if lease >= SIGN_64:
                lease -= TWO_64
    except IndexError:
        return None
    if pos != size or (create_revision | mod_revision | version) >= SIGN_64:
        return None
    return start, end, create_revision, mod_revision, version, value_start, value_end, lease


def decode_kv_meta(data: bytes) -> tuple[int, int, int, int]:
    """Read a KeyValue's (create_revision, mod_revision, version, lease)."""
    walk = _walk_kv(data)
    if walk is None:
        kv = KeyValue.decode(data)
        return kv.create_revision, kv.mod_revision, kv.version, kv.lease
    return walk[2], walk[3], walk[4], walk[7]


def decode_kv_key_meta(data: bytes) -> tuple[bytes, int, int, int, int]:
    """Read a KeyValue's (key, create_revision, mod_revision, version, lease), not its value."""
    walk = _walk_kv(data)
    if walk is None:
        kv = KeyValue.decode(data)
        return kv.key, kv.create_revision, kv.mod_revision, kv.version, kv.lease
    return data[walk[0] : walk[1]], walk[2], walk[3], walk[4], walk[7]


def decode_kv(data: bytes) -> tuple[bytes, int, int, int, bytes, int]:
    """Read a KeyValue: (key, create_revision, mod_revision, version, value, lease)."""
    walk = _walk_kv(data)
    if walk is None:
        kv = KeyValue.decode(data)
        return kv.key, kv.create_revision, kv.mod_revision, kv.version, kv.value, kv.lease
    return data[walk[0] : walk[1]], walk[2], walk[3], walk[4], data[walk[5] : walk[6]], walk[7]


def kv_key(data: bytes) -> bytes:
    """Read a KeyValue's key."""
    walk = _walk_kv(data)
    return KeyValue.decode(data).key if walk is None else data[walk[0] : walk[1]]


def kv_value(data: bytes) -> bytes:
    """Read a KeyValue's value."""
    walk = _walk_kv(data)
    return KeyValue.decode(data).value if walk is None else data[walk[5] : walk[6]]


def kv_without_value(data: bytes) -> bytes:
    """A KeyValue encoded again without its value (for ``keys_only``)."""
    key, create_revision, mod_revision, version, lease = decode_kv_key_meta(data)
    return encode_kv(key, create_revision, mod_revision, version, b"", lease)


# ---------------------------------------------------------------- ResponseHeader and responses


def header_prefix(cluster_id: int, member_id: int) -> bytes:
    """The part of an encoded ResponseHeader that never changes while a member runs."""
    cluster = b"\x08" + uvarint(cluster_id) if cluster_id else b""
    return cluster + b"\x10" + uvarint(member_id) if member_id else cluster


def header_bytes(prefix: bytes, revision: int, raft_term: int) -> bytes:
    """An encoded ResponseHeader; ``prefix`` is of ``header_prefix``."""
    if revision > 0 and raft_term:
        return b"".join((prefix, b"\x18", uvarint(revision), b"\x20", uvarint(raft_term)))
    if revision:
        prefix += b"\x18" + svarint(revision)
    return prefix + b"\x20" + uvarint(raft_term) if raft_term else prefix


def put_response(header: bytes, prev_kv: bytes | None) -> bytes:
    """An encoded PutResponse."""
    if prev_kv is None:
        return b"\x0a" + uvarint(len(header)) + header
    return b"".join(
        (b"\x0a", uvarint(len(header)), header, b"\x12", uvarint(len(prev_kv)), prev_kv)
    )


def range_response(header: bytes, kvs: list[bytes], more: bool, count: int) -> bytes:
    """An encoded RangeResponse."""
    if count == 1 and not more and len(kvs) == 1:
        kv = kvs[0]
        size = uvarint(len(kv))
        return b"".join((b"\x0a", uvarint(len(header)), header, b"\x12", size, kv, b"\x20\x01"))
    parts = [b"\x0a", uvarint(len(header)), header]
    for kv in kvs:
        parts += (b"\x12", uvarint(len(kv)), kv)
    if more:
        parts.append(b"\x18\x01")
    if count:
        parts += (b"\x20", svarint(count))
    return b"".join(parts)


# ---------------------------------------------------------------- Event, WatchResponse


def watch_event(kind: int, kv: bytes, prev_kv: bytes | None) -> bytes:
    """An encoded Event with the tag and length of WatchResponse's field ``events``.

    ``kind`` is 0 for PUT, 1 for DELETE.  Events are joined to ``watch_response``'s ``events``.
    """
    parts = [b"\x08" + uvarint(kind) if kind else b"", b"\x12", uvarint(len(kv)), kv]
    if prev_kv is not None:
        parts += (b"\x1a", uvarint(len(prev_kv)), prev_kv)
    event = b"".join(parts)
    return b"\x5a" + uvarint(len(event)) + event


def watch_response(
    header: bytes,
    watch_id: int,
    events: bytes,
    created: bool = False,
    canceled: bool = False,
    compact_revision: int = 0,
    cancel_reason: str = "",
    fragment: bool = False,
) -> bytes:
    """An encoded WatchResponse; ``events`` are results of ``watch_event``, joined."""
    parts = [b"\x0a", uvarint(len(header)), header]
    if watch_id:
        parts += (b"\x10", svarint(watch_id))
    if created:
        parts.append(b"\x18\x01")
    if canceled:
        parts.append(b"\x20\x01")
    if compact_revision:
        parts += (b"\x28", svarint(compact_revision))
    if cancel_reason:
        reason = cancel_reason.encode()
        parts += (b"\x32", uvarint(len(reason)), reason)
    if fragment:
        parts.append(b"\x38\x01")
    parts.append(events)
    return b"".join(parts)


# ---------------------------------------------------------------- InternalRaftRequest

_NUMBERS = frozenset(f.number for f in InternalRaftRequest.FIELDS)
_ID_TAG, _HEADER_NUMBER, _LENGTH_TYPE = 0x08, 100, 2
# Tag and length of the field ``header`` holding nothing but an ID of so many bytes, and ID's tag.
_HEADER_START = [b"\xa2\x06" + bytes((1 + id_bytes, 0x08)) for id_bytes in range(11)]


def internal_put(request_id: int, put_body: bytes) -> bytes:
    """An encoded InternalRaftRequest with header.ID (> 0) and ``put``."""
    encoded_id = uvarint(request_id)
    start = _HEADER_START[len(encoded_id)]
    return b"".join((b"\x22", uvarint(len(put_body)), put_body, start, encoded_id))


def internal_request(
    request_id: int, field_number: int, body: bytes, username: str = "", auth_revision: int = 0
) -> bytes:
    """An encoded InternalRaftRequest with a header and the request field of that number.

    ``username`` and ``auth_revision`` are those of the caller while authentication is on.
    """
    header = b"\x08" + uvarint(request_id) if request_id else b""
    if username:
        name = username.encode()
        header += b"\x12" + uvarint(len(name)) + name
    if auth_revision:
        header += b"\x18" + uvarint(auth_revision)
    header_field = b"\xa2\x06" + uvarint(len(header)) + header
    request = uvarint(field_number << 3 | _LENGTH_TYPE) + uvarint(len(body)) + body
    if field_number < _HEADER_NUMBER:
        return request + header_field
    return header_field + request


def parse_internal(data: bytes) -> tuple[int, int, bytes]:
    """Split an InternalRaftRequest: (request ID, number of its request field, that field's bytes).

    The ID is the old field ``ID`` or, when that is 0, header.ID.  The number is 0, the bytes empty,
    when no known request field is set.  The field's bytes are not looked into.  DecodeError when
    the message is malformed or holds two requests: then it is a bare v2 request (``v2request``).
    """
    size = len(data)
    # The usual shape: a request of number 2 to 11, shorter than 16 KiB, then {header: {ID}}.
    if size > 2 and 0x10 < data[0] < 0x60 and data[0] & 7 == _LENGTH_TYPE:
        length = data[1]
        pos = 2
        if length > 127:
            length = length & 127 | data[2] << 7
            pos = 3
        end = pos + length
        if (
            length < 16384
            and size - end > 4
            and data[end : end + 2] == b"\xa2\x06"
            and data[end + 2] == size - end - 3
            and data[end + 3] == _ID_TAG
            and data[-1] < 128
        ):
            request_id, after = read_varint(data, end + 4)
            if after == size:
                return request_id, data[0] >> 3, data[pos:end]
    old_id, header, number, body = _split_internal(data)
    if not old_id and header:
        old_id = RequestHeader.decode(header).ID
    return old_id, number, body


def parse_internal_header(data: bytes) -> tuple[int, str, int]:
    """Read an InternalRaftRequest's header: (ID, username, auth_revision); zeroes without one."""
    header = RequestHeader.decode(_split_internal(data)[1])
    return header.ID, header.username, header.auth_revision


def _split_internal(data: bytes) -> tuple[int, bytes, int, bytes]:
    """(field ``ID``, encoded header, number of the request field, its bytes).

    A field that comes twice is two halves of one message: to merge them is to join their bytes.
    """
    old_id, header, number, body = 0, b"", 0, b""
    pos, size = 0, len(data)
    try:
        while pos < size:
            tag, pos = read_varint(data, pos)
            field_number = tag >> 3
            if tag == _ID_TAG:
                old_id, pos = read_varint(data, pos)
            elif field_number not in _NUMBERS:
                pos = skip_field(data, pos, size, tag)
            elif tag & 7 != _LENGTH_TYPE or field_number == 1:
                raise DecodeError(f"InternalRaftRequest: wrong wire type for field {field_number}")
            else:
                length, pos = read_varint(data, pos)
                end = pos + length
                if end > size:
                    raise DecodeError("InternalRaftRequest: truncated")
                if field_number == _HEADER_NUMBER:
                    header += data[pos:end]
                elif number in (0, field_number):
                    number, body = field_number, body + data[pos:end]
                else:
                    raise DecodeError(f"two requests in one entry: {number} and {field_number}")
                pos = end
    except IndexError:
        raise DecodeError("InternalRaftRequest: truncated") from None
    return old_id, header, number, body


# ---------------------------------------------------------------- raftpb.Entry, walpb.Record


def raft_entry(type: int, term: int, index: int, data: bytes) -> bytes:
    """An encoded raftpb.Entry; empty ``data`` is not written."""
    head = (b"\x08", uvarint(type), b"\x10", uvarint(term), b"\x18", uvarint(index))
    if data:
        return b"".join((*head, b"\x22", uvarint(len(data)), data))
    return b"".join(head)


def parse_raft_entry(data: bytes) -> tuple[int, int, int, bytes]:
    """Read a raftpb.Entry: (type, term, index, data); absent data is b""."""
    size = len(data)
    try:
        if data[0] == 0x08 and data[1] < 128 and data[2] == 0x10:
            term, pos = read_varint(data, 3)
            if data[pos] == 0x18:
                index, pos = read_varint(data, pos + 1)
                if pos == size:
                    return data[1], term, index, b""
                if data[pos] == 0x22:
                    length, pos = read_varint(data, pos + 1)
                    if pos + length == size:
                        return data[1], term, index, data[pos:]
    except IndexError:
        pass
    entry = Entry.decode(data)
    return entry.Type, entry.Term, entry.Index, entry.Data or b""


def wal_record(type: int, crc: int, data: bytes) -> bytes:
    """An encoded walpb.Record; empty ``data`` is not written."""
    head = (b"\x08", uvarint(type), b"\x10", uvarint(crc))
    if data:
        return b"".join((*head, b"\x1a", uvarint(len(data)), data))
    return b"".join(head)


def parse_wal_record(data: bytes) -> tuple[int, int, bytes]:
    """Read a walpb.Record: (type, crc, data); absent data is b""."""
    size = len(data)
    try:
        if data[0] == 0x08 and data[1] < 128 and data[2] == 0x10:
            crc, pos = read_varint(data, 3)
            if crc <= 0xFFFF_FFFF:
                if pos == size:
                    return data[1], crc, b""
                if data[pos] == 0x1A:
                    length, pos = read_varint(data, pos + 1)
                    if pos + length == size:
                        return data[1], crc, data[pos:]
    except IndexError:
        pass
    record = Record.decode(data)
    return record.type, record.crc, record.data or b""
