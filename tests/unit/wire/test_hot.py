"""Hot codecs against the general codec, on usual values and at the edges of their fast paths.

What they do with hostile bytes is tested with the other parsers, in tests/fuzz.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petcd.wire import hot, raftpb
from petcd.wire.header import ResponseHeader
from petcd.wire.internal import InternalRaftRequest, RequestHeader
from petcd.wire.kv import Event, KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse
from petcd.wire.v2request import Request
from petcd.wire.walpb import Record
from petcd.wire.watch import WatchResponse

check = settings(max_examples=60, deadline=None, derandomize=True, database=None)

EDGES_64 = sorted({(1 << bits) - back for bits in range(63) for back in (0, 1)} | {(1 << 63) - 1})
unsigned = st.sampled_from([*EDGES_64, 1 << 63, (1 << 64) - 1])
signed = st.sampled_from([n for e in EDGES_64 for n in (e, -e)] + [-(1 << 63)])
revisions = st.sampled_from(EDGES_64)
sizes = st.sampled_from([0, 1, 2, 24, 126, 127, 128, 129, 256, 16383, 16384])
blobs = sizes.map(lambda n: b"x" * n) | st.binary(max_size=5)
key_values = st.builds(
    lambda **fields: KeyValue(**fields),
    key=blobs,
    create_revision=revisions,
    mod_revision=revisions,
    version=revisions,
    value=blobs,
    lease=signed,
)


def encoded(kv: KeyValue) -> bytes:
    return hot.encode_kv(
        kv.key, kv.create_revision, kv.mod_revision, kv.version, kv.value, kv.lease
    )


# ---------------------------------------------------------------- requests


@check
@given(blobs, blobs, signed, st.booleans(), st.booleans(), st.booleans())
def test_put_requests_are_read(
    key: bytes, value: bytes, lease: int, prev_kv: bool, ignore_value: bool, ignore_lease: bool
) -> None:
    plain = PutRequest(key=key, value=value, lease=lease).encode()
    assert hot.parse_put(plain) == (key, value, lease, False, False, False)
    flags = PutRequest(prev_kv=prev_kv, ignore_value=ignore_value, ignore_lease=ignore_lease)
    expected = (key, value, lease, prev_kv, ignore_value, ignore_lease)
    assert hot.parse_put(plain + flags.encode()) == expected


@pytest.mark.parametrize("size", [2_097_150, 2_097_151, 2_097_152, 2_097_153])
def test_long_values_are_read(size: int) -> None:
    value = bytes(size)
    body = PutRequest(key=b"k", value=value).encode()
    assert hot.parse_put(body) == (b"k", value, 0, False, False, False)
    with pytest.raises(hot.DecodeError):
        hot.parse_put(body[:-1])


@pytest.mark.parametrize("serializable", [False, True])
@pytest.mark.parametrize("size", [1, 24, 127, 128, 16383])
def test_a_plain_get_gives_its_key(size: int, serializable: bool) -> None:
    key = b"k" * size
    request = RangeRequest(key=key, serializable=serializable)
    assert hot.parse_range_key(request.encode()) == key


@pytest.mark.parametrize(
    "request_",
    [
        RangeRequest(),
        RangeRequest(key=b"a", range_end=b"b"),
        RangeRequest(key=b"a", limit=1),
        RangeRequest(key=b"a", revision=5),
        RangeRequest(key=b"a", keys_only=True),
        RangeRequest(key=b"a", count_only=True),
        RangeRequest(key=b"a", serializable=True, count_only=True),
        RangeRequest(key=b"a", min_mod_revision=5),
        RangeRequest(serializable=True),
        RangeRequest(key=b"k" * 16384),
    ],
    ids=lambda r: repr(r)[:60],
)
def test_any_other_range_gives_none(request_: RangeRequest) -> None:
    assert hot.parse_range_key(request_.encode()) is None


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x00",
        b"\x0a\x00\x38\x01",
        b"\x0a\x01k\x38\x80",
        b"\x0a\x01k\x38",
        b"\x0a\x05k",
        # a key of 5 whose length takes three bytes, then an unknown field to the end that the
        # first two bytes of that length would give
        b"\x0a\x85\x80\x00abcde" + b"\x7a\xfc\x7f" + bytes(16380),
    ],
    ids=lambda b: b[:8].hex(),
)
def test_what_only_looks_like_a_plain_get_gives_none(body: bytes) -> None:
    assert hot.parse_range_key(body) is None


@pytest.mark.parametrize(
    "put",
    [
        # the second length byte of the key taken for its first byte, the key's last for a tag
        PutRequest(key=b"x" * 127 + b"\x12", value=b"v" * 17),
        # the third length byte of the value taken for its first byte, its last for a tag
        PutRequest(key=b"k", value=b"v" * 16383 + b"\x18"),
        PutRequest(key=b"k", value=b"v" * 16384 + b"\x18\x01"),
        PutRequest(key=b"k", value=b"v\x18\x01", lease=3),
    ],
    ids=lambda p: f"{len(p.key)}-{len(p.value)}",
)
def test_puts_made_to_fool_the_fast_path_are_read_right(put: PutRequest) -> None:
    expected = (put.key, put.value, put.lease, False, False, False)
    assert hot.parse_put(put.encode()) == expected


# ---------------------------------------------------------------- KeyValue


@check
@given(key_values)
def test_key_values_are_written_and_read(kv: KeyValue) -> None:
    data = kv.encode()
    meta = (kv.create_revision, kv.mod_revision, kv.version, kv.lease)
    assert encoded(kv) == data
    assert hot.decode_kv_meta(data) == meta
    assert hot.decode_kv_key_meta(data) == (kv.key, *meta)
    assert hot.kv_key(data) == kv.key
    assert hot.kv_value(data) == kv.value
    kv.value = b""
    assert hot.kv_without_value(data) == kv.encode()


def test_a_tombstone_is_the_key_alone() -> None:
    assert hot.encode_kv(b"gone", 0, 0, 0, b"", 0) == b"\x0a\x04gone"
    assert hot.decode_kv_key_meta(b"\x0a\x04gone") == (b"gone", 0, 0, 0, 0)
    assert hot.kv_value(b"\x0a\x04gone") == b""


# ---------------------------------------------------------------- responses


@check
@given(unsigned, unsigned, signed, unsigned)
def test_headers_are_written(cluster: int, member: int, revision: int, term: int) -> None:
    header = ResponseHeader(cluster_id=cluster, member_id=member, revision=revision, raft_term=term)
    prefix = hot.header_prefix(cluster, member)
    assert hot.header_bytes(prefix, revision, term) == header.encode()


headers = st.sampled_from(
    [
        ResponseHeader(),
        ResponseHeader(revision=1),
        ResponseHeader(
            cluster_id=(1 << 64) - 1, member_id=1 << 63, revision=(1 << 63) - 1, raft_term=1 << 63
        ),
    ]
)


@check
@given(headers, st.none() | key_values)
def test_put_responses_are_written(header: ResponseHeader, prev_kv: KeyValue | None) -> None:
    expected = PutResponse(header=header, prev_kv=prev_kv).encode()
    prev = None if prev_kv is None else prev_kv.encode()
    assert hot.put_response(header.encode(), prev) == expected


@check
@given(
    headers, st.lists(key_values, max_size=3), st.booleans(), st.sampled_from([0, 1, 2, 1 << 40])
)
def test_range_responses_are_written(
    header: ResponseHeader, kvs: list[KeyValue], more: bool, count: int
) -> None:
    expected = RangeResponse(header=header, kvs=kvs, more=more, count=count).encode()
    assert hot.range_response(header.encode(), [kv.encode() for kv in kvs], more, count) == expected


events = st.builds(
    lambda **fields: Event(**fields),
    type=st.sampled_from([0, 1]),
    kv=key_values,
    prev_kv=st.none() | key_values,
)


@check
@given(
    headers,
    signed,
    st.lists(events, max_size=3),
    st.fixed_dictionaries(
        {},
        optional={
            "created": st.booleans(),
            "canceled": st.booleans(),
            "compact_revision": signed,
            "cancel_reason": st.text(max_size=3),
            "fragment": st.booleans(),
        },
    ),
)
def test_watch_responses_are_written(
    header: ResponseHeader, watch_id: int, events: list[Event], rest: dict[str, Any]
) -> None:
    body = b""
    for event in events:
        assert event.kv is not None
        prev = None if event.prev_kv is None else event.prev_kv.encode()
        body += hot.watch_event(event.type, event.kv.encode(), prev)
    expected = WatchResponse(header=header, watch_id=watch_id, events=events, **rest).encode()
    assert hot.watch_response(header.encode(), watch_id, body, **rest) == expected


def test_empty_previous_values_are_present() -> None:
    assert (
        hot.put_response(b"", b"")
        == PutResponse(header=ResponseHeader(), prev_kv=KeyValue()).encode()
    )
    event = Event(type=1, kv=KeyValue(), prev_kv=KeyValue()).encode()
    assert hot.watch_event(1, b"", b"") == b"\x5a" + bytes([len(event)]) + event


# ---------------------------------------------------------------- the log


@check
@given(unsigned.filter(bool), blobs)
def test_puts_are_wrapped_for_the_log(request_id: int, value: bytes) -> None:
    put = PutRequest(key=b"k", value=value)
    header = RequestHeader(ID=request_id)
    data = InternalRaftRequest(header=header, put=put).encode()
    assert hot.internal_put(request_id, put.encode()) == data
    assert hot.parse_internal(data) == (request_id, 4, put.encode())
    assert hot.parse_internal_header(data) == (request_id, "", 0)


REQUESTS = [f for f in InternalRaftRequest.FIELDS if f.number not in (1, 100)]


@pytest.mark.parametrize("f", REQUESTS, ids=lambda f: f.name)
@check
@given(unsigned, st.text(max_size=3), unsigned)
def test_every_request_is_wrapped_for_the_log(
    f: Any, request_id: int, username: str, auth_revision: int
) -> None:
    body = f.target()
    header = RequestHeader(ID=request_id, username=username, auth_revision=auth_revision)
    data = InternalRaftRequest(header=header, **{f.name: body}).encode()
    wrapped = hot.internal_request(
        request_id, f.number, body.encode(), username=username, auth_revision=auth_revision
    )
    assert wrapped == data
    assert hot.parse_internal(data) == (request_id, f.number, body.encode())
    assert hot.parse_internal_header(data) == (request_id, username, auth_revision)


def test_an_entry_without_a_known_request_has_number_0() -> None:
    assert hot.parse_internal(b"") == (0, 0, b"")
    assert hot.parse_internal(b"\xa2\x06\x02\x08\x07") == (7, 0, b"")
    unknown = hot.internal_request(7, 9901, b"x")
    assert hot.parse_internal(unknown) == (7, 0, b"")


def test_the_old_id_field_comes_before_the_headers() -> None:
    both = InternalRaftRequest(ID=5, header=RequestHeader(ID=6), put=PutRequest(key=b"k"))
    assert hot.parse_internal(both.encode()) == (5, 4, b"\x0a\x01k")


def test_two_requests_in_one_entry_are_refused() -> None:
    two = hot.internal_request(1, 4, b"\x0a\x01k") + hot.internal_request(1, 3, b"")
    with pytest.raises(hot.DecodeError, match="two requests"):
        hot.parse_internal(two)


def test_a_request_and_a_header_that_come_twice_are_merged() -> None:
    halves = b"\x22\x03\x0a\x01k" + b"\x22\x03\x12\x01v"
    headers_ = b"\xa2\x06\x02\x08\x05" + b"\xa2\x06\x03\x12\x01u"
    assert hot.parse_internal(halves + headers_) == (5, 4, b"\x0a\x01k\x12\x01v")
    assert hot.parse_internal_header(halves + headers_) == (5, "u", 0)
    id_twice = b"\x22\x00" + b"\xa2\x06\x04\x08\x05\x08\x06"
    assert hot.parse_internal(id_twice) == (6, 4, b"")


@pytest.mark.parametrize(
    "data",
    [
        b"\x22\x00\xa2\x06\x05\x08\x07",  # the header is cut
        b"\x22\x00\xa2\x06\x02\x08\x87",  # the ID is cut
        b"\x22\x05\x0a\x01k",  # the request is cut
        b"\x0a\x00\xa2\x06\x02\x08\x07",  # field 1 is a number
        b"\x02\x00\xa2\x06\x02\x08\x07",  # there is no field 0
        b"\x20\x01\xa2\x06\x02\x08\x07",  # field 4 is a message
        b"\x7a\x05",  # an unknown field is cut
        b"\x22",
        b"\x22\x80",
    ],
    ids=lambda b: b.hex(),
)
def test_damaged_entries_are_refused(data: bytes) -> None:
    with pytest.raises(hot.DecodeError):
        hot.parse_internal(data)


def test_an_entry_made_to_fool_the_fast_path_is_read_right() -> None:
    # a put of 0 bytes whose length takes three, with an unknown field up to a second header
    # just where the first two bytes of that length would put the end of the put
    head = b"\x22\x80\x80\x00" + b"\x7a\xfc\x7f"
    data = head + bytes(3 + 16384 - len(head)) + b"\xa2\x06\x02\x08\x07"
    assert InternalRaftRequest.decode(data).put == PutRequest()
    assert hot.parse_internal(data) == (7, 4, b"")
    fooling = raftpb.Entry(Type=2053, Term=24, Index=34, Data=b"d" * 33)
    assert hot.parse_raft_entry(fooling.encode()) == (2053, 24, 34, b"d" * 33)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE", "QGET", "SYNC"])
def test_a_bare_v2_request_is_never_taken_for_an_internal_one(method: str) -> None:
    data = Request(ID=7, Method=method, Path="/1/a", Val="v").encode()
    with pytest.raises(hot.DecodeError, match="two requests"):
        hot.parse_internal(data)
    with pytest.raises(hot.DecodeError):
        InternalRaftRequest.decode(data)


@check
@given(st.sampled_from([0, 1, 2]), unsigned, unsigned, blobs)
def test_raft_entries_are_written_and_read(type_: int, term: int, index: int, data: bytes) -> None:
    entry = raftpb.Entry(Type=type_, Term=term, Index=index, Data=data or None).encode()
    assert hot.raft_entry(type_, term, index, data) == entry
    assert hot.parse_raft_entry(entry) == (type_, term, index, data)


@check
@given(st.sampled_from([1, 2, 3, 4, 5]), st.integers(0, (1 << 32) - 1), blobs)
def test_wal_records_are_written_and_read(type_: int, crc: int, data: bytes) -> None:
    record = Record(type=type_, crc=crc, data=data or None).encode()
    assert hot.wal_record(type_, crc, data) == record
    assert hot.parse_wal_record(record) == (type_, crc, data)


def test_empty_data_that_is_not_nil_reads_as_empty() -> None:
    assert hot.parse_raft_entry(raftpb.Entry(Data=b"").encode()) == (0, 0, 0, b"")
    assert hot.parse_wal_record(Record(data=b"").encode()) == (0, 0, b"")
