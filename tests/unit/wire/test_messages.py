"""Every message class against the protobuf library, which reads our bytes and we its."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petcd.wire import codec
from petcd.wire.codec import Field, Message

KINDS = {
    FieldDescriptor.TYPE_INT64: codec.INT64,
    FieldDescriptor.TYPE_UINT64: codec.UINT64,
    FieldDescriptor.TYPE_UINT32: codec.UINT32,
    FieldDescriptor.TYPE_BOOL: codec.BOOL,
    FieldDescriptor.TYPE_ENUM: codec.ENUM,
    FieldDescriptor.TYPE_BYTES: codec.BYTES,
    FieldDescriptor.TYPE_STRING: codec.STRING,
    FieldDescriptor.TYPE_MESSAGE: codec.MESSAGE,
}

check = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_each_message_of_the_proto_files_has_a_class_and_the_other_way_round(twin: Any) -> None:
    assert sorted(twin.classes) == twin.names


def test_the_tables_say_what_the_proto_files_say(twin: Any, full_name: str) -> None:
    descriptor = twin.descriptor(full_name)
    cls = twin.classes[full_name]
    declared = {f.number: describe(f, cls) for f in cls.FIELDS}
    expected = {f.number: expect(f, twin) for f in descriptor.fields}
    assert declared == expected


def describe(f: Field, cls: type[Message]) -> tuple[Any, ...]:
    target = f.target
    if isinstance(target, str):
        target = getattr(__import__(cls.__module__, fromlist=[target]), target)
    kind = codec.STRING if f.kind == codec.RAW_STRING else f.kind
    names = f.enum.names() if f.enum else None
    return f.proto_name(), kind, f.mode, f.oneof, target, names


def expect(f: FieldDescriptor, twin: Any) -> tuple[Any, ...]:
    oneof = f.containing_oneof.name if f.containing_oneof else ""
    if f.is_repeated:
        mode = codec.PACKED if f.is_packed else codec.REPEATED
    elif f.is_required:
        mode = codec.ALWAYS
    elif oneof or (f.has_presence and f.message_type is None and f.name != "vote"):
        mode = codec.OPTIONAL
    else:
        mode = codec.IMPLICIT
    target = twin.classes[f.message_type.full_name] if f.message_type else None
    names = {v.number: v.name for v in f.enum_type.values} if f.enum_type else None
    return f.name, KINDS[f.type], mode, oneof, target, names


def test_random_messages_encode_to_the_bytes_of_protobuf(twin: Any, full_name: str) -> None:
    @check
    @given(twin.values(full_name))
    def agree(values: dict[str, Any]) -> None:
        theirs = twin.proto(full_name, values).SerializeToString(deterministic=True)
        assert twin.ours(full_name, values).encode() == theirs

    agree()


def test_random_messages_of_protobuf_decode_to_the_same_values(twin: Any, full_name: str) -> None:
    cls = twin.classes[full_name]

    @check
    @given(twin.values(full_name))
    def agree(values: dict[str, Any]) -> None:
        data = twin.proto(full_name, values).SerializeToString()
        assert cls.decode(data) == twin.ours(full_name, values)
        assert cls.decode(memoryview(data)).encode() == data

    agree()


def test_two_encodings_joined_decode_to_the_merged_message(twin: Any, full_name: str) -> None:
    if any(f.containing_oneof for f in twin.descriptor(full_name).fields):
        pytest.skip("of a oneof that comes twice etcd takes the second, protobuf merges")
    cls = twin.classes[full_name]

    @check
    @given(twin.values(full_name), twin.values(full_name))
    def agree(first: dict[str, Any], second: dict[str, Any]) -> None:
        both = twin.proto(full_name, first).SerializeToString()
        both += twin.proto(full_name, second).SerializeToString()
        merged = twin.proto_class(full_name).FromString(both)
        if has_no_repeated_oneof(merged):
            assert cls.decode(both).encode() == merged.SerializeToString(deterministic=True)

    agree()


def has_no_repeated_oneof(message: Any) -> bool:
    """No message with a oneof sits in a singular field (lists of them are never merged)."""
    for field, value in message.ListFields():
        if field.message_type is None or field.is_repeated:
            continue
        if field.message_type.oneofs or not has_no_repeated_oneof(value):
            return False
    return True


def test_fields_may_come_in_any_order(twin: Any, full_name: str) -> None:
    cls = twin.classes[full_name]

    @check
    @given(twin.values(full_name), st.randoms(use_true_random=False))
    def agree(values: dict[str, Any], chance: Any) -> None:
        fields = list(values.items())
        chance.shuffle(fields)
        data = b"".join(single(twin, full_name, name, value) for name, value in fields)
        assert cls.decode(data) == twin.ours(full_name, values)

    agree()


def single(twin: Any, full_name: str, name: str, value: Any) -> bytes:
    """The bytes of one field alone."""
    data: bytes = twin.proto(full_name, {name: value}).SerializePartialToString()
    return data
