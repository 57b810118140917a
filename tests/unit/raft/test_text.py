"""Values as text and bytes: descriptions, quoting, and the codec of configuration changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from petcd.raft import (
    ConfChange,
    ConfChangeDamaged,
    ConfChangeSingle,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    ReadState,
    Ready,
    Snapshot,
    SnapshotMetadata,
    SoftState,
    decode_conf_change,
    describe_entry,
    describe_message,
    describe_ready,
    encode_conf_change,
)
from petcd.raft.changes import decode_v1, decode_v2
from petcd.raft.quoting import quote_bytes

U64 = st.integers(0, (1 << 64) - 1)
V1 = st.builds(ConfChange, st.integers(0, 3), U64, st.binary(max_size=9), U64)
SINGLE = st.builds(ConfChangeSingle, st.integers(0, 3), U64)
V2 = st.builds(ConfChangeV2, st.integers(0, 2), st.lists(SINGLE, max_size=4), st.binary(max_size=9))


# ---- configuration changes ----


@given(st.one_of(V1, V2))
def test_a_change_survives_its_encoding(change: ConfChange | ConfChangeV2) -> None:
    kind, data = encode_conf_change(change)
    assert decode_conf_change(Entry(kind, data=data)) == change


@given(st.binary(max_size=30))
def test_any_bytes_decode_or_are_called_damaged(data: bytes) -> None:
    for decode in (decode_v1, decode_v2):
        try:
            decode(data)
        except ConfChangeDamaged:
            pass


def test_the_encoding_is_that_of_etcd() -> None:
    """Written by etcd 3.5 for ConfChange{ID: 5, Type: AddLearnerNode, NodeID: 300, Context: "c"}
    and for a ConfChangeV2 that adds node 2; the empty change has no bytes."""
    v1 = ConfChange(3, 300, b"c", 5)
    assert encode_conf_change(v1) == (1, bytes.fromhex("0805 1003 18ac02 220163"))
    v2 = ConfChangeV2(0, [ConfChangeSingle(0, 2)])
    assert encode_conf_change(v2) == (2, bytes.fromhex("0800 1204 0800 1002"))
    assert encode_conf_change(None) == (2, b"")
    assert decode_v2(b"") == ConfChangeV2()
    assert decode_v1(b"") == ConfChange()


def test_unknown_fields_are_skipped() -> None:
    extra = bytes.fromhex("2807 3201ff 3d00000000 410000000000000000")
    kind, data = encode_conf_change(ConfChange(1, 2))
    assert decode_conf_change(Entry(kind, data=extra + data)) == ConfChange(1, 2)


@pytest.mark.parametrize(
    "damaged",
    ["08", "08ff", "0a00", "1801 2005", "2205 61", "03", "0000", "1004", "08" + "ff" * 10, "3d00"],
)
def test_a_damaged_change_is_refused(damaged: str) -> None:
    with pytest.raises(ConfChangeDamaged):
        decode_v1(bytes.fromhex(damaged))


@pytest.mark.parametrize("damaged", ["0803", "1001", "1202 0804", "1a05"])
def test_a_damaged_change_of_the_second_kind_is_refused(damaged: str) -> None:
    with pytest.raises(ConfChangeDamaged):
        decode_v2(bytes.fromhex(damaged))


def test_an_ordinary_entry_is_no_change() -> None:
    assert decode_conf_change(Entry(data=b"\xff")) is None


def test_changes_know_how_they_are_carried_out() -> None:
    one = [ConfChangeSingle(0, 1)]
    assert ConfChangeV2().leaves_joint()
    assert not ConfChangeV2(1).leaves_joint()
    assert not ConfChangeV2(0, one).uses_joint()
    assert ConfChangeV2(0, one * 2).uses_joint()
    assert ConfChangeV2(0, one * 2).leaves_automatically()
    assert ConfChangeV2(1, one).uses_joint()
    assert not ConfChangeV2(2, one).leaves_automatically()
    assert ConfChange(0, 1, b"c").as_v2() == ConfChangeV2(0, one, b"c")
    assert ConfChangeV2(0, one).as_v2() == ConfChangeV2(0, one)


# ---- text ----


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", '""'),
        (b"plain", '"plain"'),
        (b'say "x" \\', '"say \\"x\\" \\\\"'),
        (b"\a\b\f\n\r\t\v\0\x7f", '"\\a\\b\\f\\n\\r\\t\\v\\x00\\x7f"'),
        ("grün 世界".encode(), '"grün 世界"'),
        (b"\xff\xc3", '"\\xff\\xc3"'),
        ("\u00ad\u2028\U000e0001".encode(), '"\\u00ad\\u2028\\U000e0001"'),
    ],
)
def test_bytes_are_quoted_as_go_does(data: bytes, text: str) -> None:
    assert quote_bytes(data) == text


def test_entries_show_their_data_or_their_change() -> None:
    _, data = encode_conf_change(
        ConfChangeV2(0, [ConfChangeSingle(kind, kind + 1) for kind in range(4)])
    )
    assert describe_entry(Entry(0, 1, 2, b"x")) == '1/2 EntryNormal "x"'
    assert describe_entry(Entry(2, 1, 2, data)) == "1/2 EntryConfChangeV2 v1 r2 u3 l4"
    assert describe_entry(Entry(2, 1, 2)) == "1/2 EntryConfChangeV2"
    damaged = describe_entry(Entry(EntryType.CONF_CHANGE, 1, 2, b"\x08"))
    assert damaged == "1/2 EntryConfChange unexpected EOF"


def test_messages_show_what_is_set() -> None:
    plain = Message(MessageType.PROP, to=0xA, entries=[Entry(data=b"x")])
    assert describe_message(plain) == (
        'None->a MsgProp Term:0 Log:0/0 Entries:[0/0 EntryNormal "x"]'
    )
    refusal = Message(
        MessageType.APP_RESP, 1, 2, 3, 4, 5, reject=True, reject_hint=6, commit=7, vote=8
    )
    assert describe_message(refusal) == (
        "2->1 MsgAppResp Term:3 Log:4/5 Rejected (Hint: 6) Commit:7 Vote:8"
    )
    assert repr(refusal) == (
        "<2->1 MsgAppResp term=3 log_term=4 index=5 commit=7 reject=True reject_hint=6 vote=8>"
    )


def test_a_ready_shows_all_its_parts() -> None:
    ready = Ready([Entry(0, 1, 2)], [Entry(0, 1, 1)])
    assert describe_ready(Ready([], [])) == "<empty Ready>"
    ready.soft_state = SoftState(2, 0)
    ready.hard_state = HardState(1, 0, 1)
    ready.read_states = [ReadState(1, b"ab")]
    meta = SnapshotMetadata(ConfState([1], [2], [3], [3], True), 9, 1)
    ready.snapshot = Snapshot(b"s", meta)
    ready.messages = [Message(MessageType.SNAP, 1, 2, 1, snapshot=ready.snapshot)]
    ready.must_sync = True
    conf = "Voters:[1] VotersOutgoing:[3] Learners:[2] LearnersNext:[3] AutoLeave:true"
    assert describe_ready(ready) == (
        "Ready MustSync=true:\nLead:2 State:StateFollower\nHardState Term:1 Commit:1\n"
        'ReadStates [{1 [97 98]}]\nEntries:\n1/2 EntryNormal ""\n'
        f"Snapshot Index:9 Term:1 ConfState:{conf}\n"
        'CommittedEntries:\n1/1 EntryNormal ""\n'
        f"Messages:\n2->1 MsgSnap Term:1 Log:0/0\n  Snapshot: Index:9 Term:1 ConfState:{conf}\n"
    )


# ---- values ----

VALUES = [
    (Entry(0, 1, 2, b"x"), Entry(0, 1, 2, b"x"), Entry(0, 1, 2, b"y")),
    (HardState(1, 2, 3), HardState(1, 2, 3), HardState(1, 2, 4)),
    (SoftState(1, 2), SoftState(1, 2), SoftState(1, 3)),
    (ConfState([1]), ConfState([1]), ConfState([2])),
    (SnapshotMetadata(None, 1, 2), SnapshotMetadata(None, 1, 2), SnapshotMetadata(None, 1, 3)),
    (Snapshot(b"a"), Snapshot(b"a"), Snapshot(b"b")),
    (ReadState(1, b"a"), ReadState(1, b"a"), ReadState(1, b"b")),
    (Message(3, 1, 2), Message(3, 1, 2), Message(3, 1, 3)),
    (ConfChangeSingle(0, 1), ConfChangeSingle(0, 1), ConfChangeSingle(0, 2)),
    (ConfChangeV2(0), ConfChangeV2(0), ConfChangeV2(1)),
    (ConfChange(0, 1), ConfChange(0, 1), ConfChange(0, 1, b"", 1)),
]


@pytest.mark.parametrize(("one", "same", "other"), VALUES, ids=lambda v: type(v).__name__)
def test_values_are_equal_by_their_fields(one: object, same: object, other: object) -> None:
    assert one == same
    assert one != other
    assert one != "something else"
    assert repr(one) == repr(same)
    assert repr(one)


def test_a_message_shows_the_rest_of_its_fields_too() -> None:
    inner = Message(MessageType.VOTE_RESP, 1, 1)
    message = Message(
        MessageType.STORAGE_APPEND,
        entries=[Entry()],
        context=b"c",
        snapshot=Snapshot(),
        responses=[inner],
    )
    for word in ("entries=", "context=", "snapshot=", "responses="):
        assert word in repr(message)


def test_equivalent_configurations_may_differ_in_order() -> None:
    assert ConfState([1, 2], [3, 4]).is_equivalent(ConfState([2, 1], [4, 3]))
    assert not ConfState([1, 2]).is_equivalent(ConfState([1, 2], auto_leave=True))
