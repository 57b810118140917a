"""The memory of request heads: whatever came before, a block means what plain decoding says."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petcd.transport.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, Http2Error
from petcd.transport.head_memory import HeadMemory
from petcd.transport.hpack import HpackDecoder, encode_block, encode_literal
from petcd.transport.limits import HEAD_CACHE_ENTRIES_MAX
from petcd.transport.router import UNARY, Method, Router

PATHS = [b"/a.A/One", b"/a.A/Two", b"/a.A/Three"]


def _memory() -> HeadMemory:
    router = Router()
    for path in PATHS:
        router.add(Method(path, UNARY, lambda call, body: None))
    return HeadMemory(HpackDecoder(), router, http=True)


def _fields(path: bytes, timeout: bytes | None, token: bytes | None) -> list[tuple[bytes, bytes]]:
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b"content-type", b"application/grpc"),
    ]
    if timeout is not None:
        fields.append((b"grpc-timeout", timeout))
    if token is not None:
        fields.append((b"token", token))
    return fields


_REQUESTS = st.tuples(
    st.sampled_from(PATHS),
    st.sampled_from([None, b"1S", b"2S", b"30m"]),
    st.sampled_from([None, None, b"alice.1", b"bob.2"]),
    st.sampled_from(["index", "index", "index", "literal", "other"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_REQUESTS, min_size=5, max_size=80), st.integers(60, 4096))
def test_every_block_means_what_plain_decoding_says(
    requests: list[tuple[bytes, bytes | None, bytes | None, str]], table_size: int
) -> None:
    encoder = hpack.Encoder()
    encoder.header_table_size = table_size
    memory = _memory()
    for path, timeout, token, how in requests:
        if how == "other":  # a block that begins no request, as trailers
            memory.pass_over(encoder.encode([(b"x-trailer", path)]))
            continue
        fields = _fields(path, timeout, token)
        block = encode_block(fields) if how == "literal" else encoder.encode(fields)
        head = memory.read(block)
        assert head.method is not None and head.method.path == path
        assert head.metadata().get(b"token") == token
        assert memory.timeout_s == {None: None, b"1S": 1.0, b"2S": 2.0, b"30m": 0.03}[timeout]


def _enters(path: bytes) -> bytes:
    """A block that enters content-type and the path into the table."""
    first = encode_literal(b"content-type", b"application/grpc", 0x40)
    return b"\x83\x86" + encode_literal(b":path", path, 0x40) + first


INDEXED = b"\x83\x86\xbf\xbe"
"""A request by reference: the path at index 63, content-type at 62."""


def _path(memory: HeadMemory, block: bytes) -> bytes | None:
    head = memory.read(block)
    return None if head.method is None else head.method.path


def test_the_same_bytes_mean_another_request_after_the_table_changed() -> None:
    memory = _memory()
    for path in PATHS * 2:
        assert _path(memory, _enters(path)) == path
        assert _path(memory, INDEXED) == _path(memory, INDEXED) == path


def test_a_block_that_begins_no_request_changes_what_bytes_mean() -> None:
    memory = _memory()
    memory.read(_enters(PATHS[0]))
    assert _path(memory, INDEXED) == PATHS[0]
    memory.pass_over(_enters(PATHS[1]))
    assert _path(memory, INDEXED) == PATHS[1]


def test_a_block_known_but_for_its_timeout_changes_what_bytes_mean() -> None:
    memory = _memory()
    timeout = encode_literal(b"grpc-timeout", b"1S", 0x40)
    memory.read(_enters(PATHS[0]) + timeout)
    timed = b"\x83\x86\xc0\xbf\x7e\x022S"
    assert _path(memory, timed) == PATHS[0]  # now learned
    assert _path(memory, b"\x83\x86\xc1\xc0") == PATHS[0]  # now remembered
    assert _path(memory, b"\x83\x86\xc1\xc0\x7e\x022S") == PATHS[0]  # a hit
    with pytest.raises(Http2Error):
        memory.read(b"\x83\x86\xc3\xc1")
    assert _path(memory, b"\x83\x86\xc1\xc0") is None


def test_a_repeated_block_is_understood_once() -> None:
    memory = _memory()
    block = encode_block(_fields(PATHS[0], b"5S", None))
    first = memory.read(block)
    assert memory.heads[block] is memory.read(block)
    assert memory.timeout_s == 5.0 and first.method is memory.heads[block].method


def test_the_memory_is_bounded() -> None:
    memory = _memory()
    for number in range(3 * HEAD_CACHE_ENTRIES_MAX):
        memory.read(encode_block(_fields(PATHS[0], None, b"%d" % number)))
        assert len(memory.heads) <= HEAD_CACHE_ENTRIES_MAX
        assert len(memory._shapes) <= HEAD_CACHE_ENTRIES_MAX
    memory.read(encode_block(_fields(PATHS[0], None, b"x" * 5000)))
    assert max(map(len, memory.heads)) < 5000


def test_a_bad_timeout_is_refused_and_a_good_one_after_it_is_not() -> None:
    memory = _memory()
    bad = memory.read(encode_block(_fields(PATHS[0], b"soon", None)))
    assert bad.refusal is not None and bad.refusal.http_status == 400
    good = memory.read(encode_block(_fields(PATHS[0], b"1S", None)))
    assert good.refusal is None and good.method is not None


@pytest.mark.parametrize(
    ("block", "code"), [(b"\xbe", COMPRESSION_ERROR), (b"\x82" * 200, ENHANCE_YOUR_CALM)]
)
def test_a_bad_block_ends_the_connection(block: bytes, code: int) -> None:
    for read in (_memory().read, _memory().pass_over):
        with pytest.raises(Http2Error) as caught:
            read(block)
        assert caught.value.code == code
