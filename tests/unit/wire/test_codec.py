"""The general codec where random messages do not reach: modes, damage, limits, the class itself."""

from __future__ import annotations

import pytest

from petcd.wire import codec, raftpb
from petcd.wire.codec import MESSAGE_DEPTH_MAX, DecodeError, Message, field
from petcd.wire.internal import InternalRaftRequest, Metadata, RequestHeader
from petcd.wire.kv import (
    Compare,
    KeyValue,
    PutRequest,
    RangeRequest,
    RequestOp,
    SortOrder,
    TxnRequest,
)
from petcd.wire.lease import LeaseTimeToLiveResponse
from petcd.wire.membership import Attributes
from petcd.wire.v2request import Request
from petcd.wire.walpb import Record
from petcd.wire.walpb import Snapshot as WalSnapshot
from petcd.wire.watch import WatchCreateRequest, WatchRequest

# ---------------------------------------------------------------- the class


def test_fields_start_at_their_zero_values() -> None:
    put = PutRequest()
    assert (put.key, put.lease, put.prev_kv) == (b"", 0, False)
    assert TxnRequest().success == []
    assert TxnRequest().success is not TxnRequest().success
    assert Compare().version is None
    assert raftpb.Entry().Data is None


def test_unknown_names_are_refused_at_construction_and_assignment() -> None:
    with pytest.raises(TypeError, match="PutRequest has no field 'kye'"):
        PutRequest(kye=b"x")
    with pytest.raises(AttributeError):
        setattr(PutRequest(), "kye", b"x")  # noqa: B010


def test_messages_compare_by_class_and_fields() -> None:
    assert PutRequest(key=b"a") == PutRequest(key=b"a", lease=0)
    assert PutRequest(key=b"a") != PutRequest(key=b"b")
    assert PutRequest() != RangeRequest()
    with pytest.raises(TypeError):
        hash(PutRequest())


def test_repr_shows_what_is_set() -> None:
    op = RequestOp(request_put=PutRequest(key=b"k"))
    assert repr(op) == "RequestOp(request_put=PutRequest(key=b'k'))"
    assert repr(TxnRequest()) == "TxnRequest()"
    assert repr(Compare(version=0)) == "Compare(version=0)"


def test_which_names_the_member_of_a_oneof() -> None:
    assert RequestOp().which("request") == ""
    assert RequestOp(request_txn=TxnRequest()).which("request") == "request_txn"
    assert Compare(mod_revision=0).which("target_union") == "mod_revision"


def test_enum_classes_hold_plain_numbers_and_know_their_names() -> None:
    assert SortOrder.DESCEND == 2
    assert SortOrder.names() == {0: "NONE", 1: "ASCEND", 2: "DESCEND"}


def test_the_table_of_a_message_can_be_walked() -> None:
    fields = {f.number: f for f in raftpb.Message.FIELDS}
    assert fields[3].proto_name() == "from"
    assert fields[3].name == "from_"
    assert fields[7].repeated()
    assert fields[1].enum is raftpb.MessageType


# ---------------------------------------------------------------- what is written


def test_a_oneof_member_is_written_even_when_zero() -> None:
    assert Compare(version=0).encode() == b"\x20\x00"
    assert Compare(value=b"").encode() == b"\x3a\x00"
    assert Compare.decode(b"\x3a\x00").value == b""


def test_an_empty_sub_message_is_written_and_read_as_present() -> None:
    request = InternalRaftRequest(header=RequestHeader())
    assert request.encode() == b"\xa2\x06\x00"
    assert InternalRaftRequest.decode(b"\xa2\x06\x00") == request
    assert InternalRaftRequest.decode(b"").header is None


def test_proto2_messages_write_zeroes_and_leave_out_nil_as_etcd_does() -> None:
    assert raftpb.Entry().encode().hex() == "080010001800"
    assert raftpb.Entry(Data=b"").encode().hex() == "0800100018002200"
    assert raftpb.HardState().encode().hex() == "080010001800"
    assert raftpb.ConfState(voters=[1, 300]).encode().hex() == "080108ac022800"
    assert raftpb.SnapshotMetadata().encode().hex() == "0a02280010001800"
    assert raftpb.Snapshot().encode().hex() == "12080a02280010001800"
    assert raftpb.ConfChangeV2().encode().hex() == "0800"
    assert Record(type=4).encode().hex() == "08041000"
    assert WalSnapshot().encode().hex() == "08001000"
    assert Metadata(NodeID=1).encode().hex() == "08011000"
    zero_snapshot = "4a0a12080a02280010001800"
    assert raftpb.Message(type=8, to=2).encode().hex() == (
        "08081002180020002800300040" + "00" + zero_snapshot + "50005800"
    )


def test_the_v2_request_writes_all_but_its_two_pointers() -> None:
    zeroes = (
        "08001200" + "1a002200" + "28003200" + "38004800" + "50005800" + "60006800" + "70007800"
    )
    assert Request().encode().hex() == zeroes + "800100"
    with_pointers = Request(PrevExist=False, Refresh=True)
    assert with_pointers.encode().hex().endswith("800100880101")
    assert b"\x40\x00\x48" in with_pointers.encode()


def test_numbers_that_do_not_fit_their_field_are_refused() -> None:
    for message in (
        PutRequest(lease=1 << 63),
        PutRequest(lease=-(1 << 63) - 1),
        raftpb.Entry(Term=-1),
        raftpb.Entry(Term=1 << 64),
        RangeRequest(sort_order=1 << 31),
        Record(crc=1 << 32),
        WatchCreateRequest(filters=[1 << 31]),
    ):
        with pytest.raises(ValueError, match="does not fit"):
            message.encode()


def test_text_with_surrogates_is_refused_in_proto3_strings() -> None:
    with pytest.raises(ValueError):
        Attributes(name="\udcff").encode()


# ---------------------------------------------------------------- what is read


def test_negative_numbers_take_ten_bytes_and_come_back() -> None:
    data = PutRequest(lease=-1).encode()
    assert data == b"\x18" + b"\xff" * 9 + b"\x01"
    assert PutRequest.decode(data).lease == -1
    assert RangeRequest.decode(RangeRequest(sort_order=-2).encode()).sort_order == -2


def test_numbers_are_cut_to_their_fields_width_as_etcd_cuts_them() -> None:
    assert Record.decode(b"\x10\xff\xff\xff\xff\xff\x01").crc == 0xFFFF_FFFF
    assert RangeRequest.decode(b"\x28\x83\x80\x80\x80\x10").sort_order == 3
    assert PutRequest.decode(b"\x20\x80\x80\x80\x80\x80\x01").prev_kv is True


def test_lists_of_numbers_are_read_packed_and_unpacked() -> None:
    assert WatchCreateRequest.decode(b"\x2a\x02\x00\x01").filters == [0, 1]
    assert WatchCreateRequest.decode(b"\x28\x00\x28\x01").filters == [0, 1]
    assert WatchCreateRequest(filters=[0, 1]).encode() == b"\x2a\x02\x00\x01"
    assert raftpb.ConfState.decode(b"\x0a\x03\x01\xac\x02\x08\x07").voters == [1, 300, 7]


def test_empty_elements_of_lists_stay() -> None:
    response = LeaseTimeToLiveResponse(keys=[b"", b"a", b""])
    assert LeaseTimeToLiveResponse.decode(response.encode()) == response


def test_the_last_of_a_repeated_scalar_wins_and_sub_messages_merge() -> None:
    assert PutRequest.decode(b"\x0a\x01a\x0a\x01b").key == b"b"
    twice = b"\xa2\x06\x02\x08\x05" + b"\xa2\x06\x03\x12\x01u"
    assert InternalRaftRequest.decode(twice).header == RequestHeader(ID=5, username="u")


def test_the_last_member_of_a_oneof_wins_whole() -> None:
    two = b"\x0a\x03\x0a\x01a" + b"\x12\x03\x0a\x01b"
    op = RequestOp.decode(two)
    assert op.request_range is None
    assert op.request_put == PutRequest(key=b"b")
    again = RequestOp.decode(b"\x12\x03\x0a\x01b" + b"\x12\x03\x12\x01v")
    assert again.request_put == PutRequest(value=b"v")
    assert Compare.decode(b"\x20\x05\x3a\x01x").which("target_union") == "value"


@pytest.mark.parametrize(
    "unknown",
    [
        b"\x78\x96\x01",  # varint
        b"\x79" + b"\0" * 8,  # 64 bits
        b"\x7a\x02ab",  # bytes
        b"\x7d" + b"\0" * 4,  # 32 bits
        b"\x7b\x7c",  # empty group
        b"\x7b\x08\x01\x0a\x03abc\x83\x01\x84\x01\x7c",  # group with fields and a group
        b"\xfa\xff\xff\xff\x0f\x00",  # the highest field number
    ],
)
def test_unknown_fields_are_skipped(unknown: bytes) -> None:
    put = PutRequest(key=b"k", value=b"v")
    data = put.encode()
    for message in (unknown + data, data + unknown, data[:3] + unknown + data[3:]):
        assert PutRequest.decode(message) == put


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("0a", "truncated"),
        ("0a05", "truncated"),
        ("0a056162", "truncated"),
        ("8a", "truncated"),
        ("18", "truncated"),
        ("18ff", "truncated"),
        ("0affffffff0f", "truncated"),
        ("0affffffffffffffffff01", "truncated"),
        ("18" + "80" * 10 + "01", "varint longer"),
        ("80" * 10 + "01", "varint longer"),
        ("08", "wrong wire type 0 for field 1"),
        ("0801", "wrong wire type 0 for field 1"),
        ("1a0161", "wrong wire type 2 for field 3"),
        ("0b0c", "wrong wire type 3 for field 1"),
        ("0c", "wrong wire type 4 for field 1"),
        ("0d00000000", "wrong wire type 5 for field 1"),
        ("0001", "illegal field number 0"),
        ("0200", "illegal field number 0"),
        ("808080801001", "illegal field number"),
        ("7e00", "illegal wire type 6"),
        ("7f00", "illegal wire type 7"),
        ("7c", "group that is not open"),
        ("7b", "truncated"),
        ("7b0801", "truncated"),
        ("7b8401", "group that is not open"),
        ("7b047c", "illegal field number 0"),
        ("7900", "truncated"),
        ("7d00", "truncated"),
        ("7a05", "truncated"),
    ],
)
def test_malformed_bytes_raise_decode_error(data: str, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        PutRequest.decode(bytes.fromhex(data))


@pytest.mark.parametrize(
    "data",
    [
        "1204" + "0a0a61",  # inner length beyond the outer end, not beyond the data
        "1202" + "1880" + "01",  # inner varint runs over the outer end
        "1201" + "0a" + "0161",  # inner length byte lies behind the outer end
        "1201" + "8a" + "00",  # inner tag runs over the outer end
        "1202" + "7a05" + "6162636465",  # unknown inner field runs over the outer end
    ],
)
def test_a_sub_message_may_not_reach_behind_its_end(data: str) -> None:
    with pytest.raises(DecodeError):
        RequestOp.decode(bytes.fromhex(data))


def test_a_packed_list_may_not_end_inside_a_number() -> None:
    with pytest.raises(DecodeError, match="packed"):
        WatchCreateRequest.decode(b"\x2a\x01\x80\x08\x01")
    with pytest.raises(DecodeError):
        WatchCreateRequest.decode(b"\x2a\x01\x80")


@pytest.mark.parametrize(
    "bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"]
)
def test_proto3_strings_must_be_utf8(bad: bytes) -> None:
    data = b"\x0a" + bytes([len(bad)]) + bad
    with pytest.raises(DecodeError, match="UTF-8"):
        Attributes.decode(data)
    with pytest.raises(DecodeError, match="UTF-8"):
        InternalRaftRequest.decode(b"\xa2\x06\x04\x12\x02\xff\xff")


def test_strings_of_the_v2_request_keep_bytes_that_are_not_utf8() -> None:
    data = Request(Val="\udcff\udc80é").encode()
    assert b"\x22\x04\xff\x80\xc3\xa9" in data
    assert Request.decode(data).encode() == data


def test_any_buffer_is_read() -> None:
    data = PutRequest(key=b"k", value=b"v").encode()
    for buffer in (bytearray(data), memoryview(data), memoryview(b"x" + data)[1:]):
        put = PutRequest.decode(buffer)
        assert put == PutRequest(key=b"k", value=b"v")
        assert type(put.key) is bytes


# ---------------------------------------------------------------- depth


def nested(messages: int) -> bytes:
    """So many RequestOps and TxnRequests inside each other, ending in an empty one."""
    data = b""
    for level in range(messages - 1):
        # TxnRequest.success and RequestOp.request_txn in turns, a TxnRequest outermost
        tag = b"\x12" if (messages - 1 - level) % 2 else b"\x22"
        data = tag + codec.uvarint(len(data)) + data
    return data


def test_messages_nest_to_the_limit_and_no_deeper() -> None:
    data = nested(MESSAGE_DEPTH_MAX)
    assert TxnRequest.decode(data).encode() == data
    for deeper in (MESSAGE_DEPTH_MAX + 1, 5000):
        with pytest.raises(DecodeError, match="nested deeper than 100"):
            TxnRequest.decode(nested(deeper))


def test_groups_nest_to_the_limit_and_no_deeper() -> None:
    limit = MESSAGE_DEPTH_MAX
    assert KeyValue.decode(b"\x7b" * limit + b"\x7c" * limit) == KeyValue()
    for deeper in (limit + 1, 100_000):
        with pytest.raises(DecodeError, match="groups nested deeper"):
            KeyValue.decode(b"\x7b" * deeper + b"\x7c" * deeper)


# ---------------------------------------------------------------- declaring


class Tree(Message):
    """A message that contains itself, by name."""

    name: str = field(2, codec.STRING)
    left: Tree | None = field(1, "Tree")
    leaves: list[int] = field(70, codec.INT32, codec.PACKED)


def test_fields_are_written_by_number_whatever_their_order() -> None:
    tree = Tree(name="a", left=Tree(leaves=[-1]))
    assert tree.encode() == b"\x0a\x0d\xb2\x04\x0a" + b"\xff" * 9 + b"\x01" + b"\x12\x01a"
    assert Tree.decode(tree.encode()) == tree


def test_an_empty_watch_request_member_is_told_from_none() -> None:
    assert WatchRequest.decode(b"\x1a\x00").which("request_union") == "progress_request"
    assert WatchRequest.decode(b"").which("request_union") == ""
