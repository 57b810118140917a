"""The protobuf library as a second opinion on every message.

The messages are declared a second time in ``protos/*.proto``, by names, numbers and types; protoc
turns them into descriptors when the tests start.  ``twin`` hands the tests, for each class of
``petcd.wire``, the protobuf class of the same message, a strategy of random values for it, and
the two builders that make both messages of the same values.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message as ProtoMessage
from grpc_tools import protoc
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

import petcd.wire
from petcd.wire.codec import Message

PROTOS = Path(__file__).with_name("protos")

# module of petcd.wire -> package of its messages; classes that differ stand below
PACKAGES = {
    "health": "grpc.health.v1",
    "lock": "v3lockpb",
    "election": "v3electionpb",
    "membership": "membershippb",
    "raftpb": "raftpb",
    "walpb": "walpb",
    "snappb": "snappb",
}
FULL_NAMES = {
    "kv.KeyValue": "mvccpb.KeyValue",
    "kv.Event": "mvccpb.Event",
    "auth.UserAddOptions": "authpb.UserAddOptions",
    "auth.User": "authpb.User",
    "auth.Permission": "authpb.Permission",
    "auth.Role": "authpb.Role",
    "internal.StoredLease": "leasepb.Lease",
    "internal.LeaseInternalRequest": "leasepb.LeaseInternalRequest",
    "internal.LeaseInternalResponse": "leasepb.LeaseInternalResponse",
    "snappb.Snapshot": "snappb.snapshot",
}
# How deep random messages nest.
DEPTH = 2


def message_classes() -> Iterator[tuple[str, type[Message]]]:
    """(full name in the .proto files, our class) of every message."""
    for info in pkgutil.iter_modules(petcd.wire.__path__):
        module = importlib.import_module(f"petcd.wire.{info.name}")
        for name, cls in vars(module).items():
            declared_here = isinstance(cls, type) and cls.__module__ == module.__name__
            if declared_here and issubclass(cls, Message) and cls is not Message:
                package = PACKAGES.get(info.name, "etcdserverpb")
                yield FULL_NAMES.get(f"{info.name}.{name}", f"{package}.{name}"), cls


CLASSES = dict(message_classes())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes ``full_name`` runs once for every message."""
    if "full_name" in metafunc.fixturenames:
        metafunc.parametrize("full_name", sorted(CLASSES))


class Twin:
    """Both sides of every message."""

    classes = CLASSES

    def __init__(self, pool: descriptor_pool.DescriptorPool, names: list[str]) -> None:
        self.pool = pool
        self.names = names

    def descriptor(self, full_name: str) -> Descriptor:
        return self.pool.FindMessageTypeByName(full_name)

    def proto_class(self, full_name: str) -> type[ProtoMessage]:
        return message_factory.GetMessageClass(self.descriptor(full_name))

    def values(self, full_name: str) -> SearchStrategy[dict[str, Any]]:
        """Random values of a message: field name in the .proto file -> value, message = dict."""
        return message_values(self.descriptor(full_name), DEPTH)

    def proto(self, full_name: str, values: dict[str, Any]) -> ProtoMessage:
        """The protobuf message with these values."""
        message = self.proto_class(full_name)()
        _fill(message, values)
        return message

    def ours(self, full_name: str, values: dict[str, Any]) -> Message:
        """Our message with these values."""
        fields = self.descriptor(full_name).fields_by_name
        cls = self.classes[full_name]
        return cls(**{attribute(n): self._convert(fields[n], v) for n, v in values.items()})

    def _convert(self, field: FieldDescriptor, value: Any) -> Any:
        if field.message_type is None:
            return value
        name = field.message_type.full_name
        if field.is_repeated:
            return [self.ours(name, each) for each in value]
        return self.ours(name, value)


def attribute(proto_name: str) -> str:
    return "from_" if proto_name == "from" else proto_name


def _fill(message: ProtoMessage, values: dict[str, Any]) -> None:
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.is_repeated:
            target = getattr(message, name)
            for each in value:
                if field.message_type is None:
                    target.append(each)
                else:
                    _fill(target.add(), each)
        elif field.message_type is None:
            setattr(message, name, value)
        else:
            sub = getattr(message, name)
            sub.SetInParent()
            _fill(sub, value)


def edges(low: int, high: int) -> SearchStrategy[int]:
    """Integers about each power of two: all lengths of varints, all ends of ranges."""
    near = {sign * (1 << bits) - back for bits in range(65) for sign in (1, -1) for back in (0, 1)}
    return st.sampled_from(sorted((n for n in near if low <= n <= high), key=abs))


SCALARS: dict[int, SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_INT64: edges(-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT64: edges(0, (1 << 64) - 1),
    FieldDescriptor.TYPE_UINT32: edges(0, (1 << 32) - 1),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=4) | st.sampled_from([b"a" * 127, b"b" * 128]),
    FieldDescriptor.TYPE_STRING: st.text(max_size=4),
}


def _scalar(field: FieldDescriptor) -> SearchStrategy[Any]:
    if field.enum_type is None:
        return SCALARS[field.type]
    known = st.sampled_from([v.number for v in field.enum_type.values])
    # a proto2 enum knows its own numbers only; a proto3 enum holds any
    return known if field.enum_type.is_closed else known | edges(-(1 << 31), (1 << 31) - 1)


@st.composite
def message_values(draw: DrawFn, descriptor: Descriptor, depth: int) -> dict[str, Any]:
    chosen: dict[str, str] = {}
    for oneof in descriptor.oneofs:
        names = [f.name for f in oneof.fields if depth or f.message_type is None]
        chosen[oneof.name] = draw(st.sampled_from(["", *names]))
    values: dict[str, Any] = {}
    for field in descriptor.fields:
        oneof = field.containing_oneof
        if oneof is not None and chosen[oneof.name] != field.name:
            continue
        value = _draw_field(draw, field, depth, required=field.is_required or oneof is not None)
        if value is not None:
            values[field.name] = value
    return values


def _draw_field(draw: DrawFn, field: FieldDescriptor, depth: int, required: bool) -> Any:
    if field.message_type is None:
        element = _scalar(field)
    elif depth > 0 or required:
        element = message_values(field.message_type, depth - 1)
    else:
        return [] if field.is_repeated else None
    if field.is_repeated:
        return draw(st.lists(element, max_size=2))
    if field.full_name == "raftpb.Message.vote":
        element = element.filter(bool)  # optional here, written by us unless 0
    if not required and field.has_presence and draw(st.booleans()):
        return None
    return draw(element)


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """All messages of ``protos/`` beside ours."""
    out = tmp_path_factory.mktemp("protos") / "descriptors"
    sources = sorted(str(path) for path in PROTOS.glob("*.proto"))
    arguments = ["protoc", f"-I{PROTOS}", f"--descriptor_set_out={out}", *sources]
    assert protoc.main(arguments) == 0
    files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    names = [f"{file.package}.{m.name}" for file in files.file for m in file.message_type]
    return Twin(pool, sorted(names))
