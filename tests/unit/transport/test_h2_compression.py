"""gRPC messages that a client compressed with gzip."""

from __future__ import annotations

import gzip
import zlib

import pytest

from petcd.transport.options import TransportLimits


def compressed(body: bytes) -> bytes:
    """A gRPC message with its prefix, compressed."""
    data = gzip.compress(body)
    return b"\1" + len(data).to_bytes(4, "big") + data


@pytest.fixture
def gzip_request(grpc_request):
    """Header fields of a call whose messages may be compressed."""
    return [*grpc_request, ("grpc-encoding", "gzip")]


@pytest.fixture
def small(new_service):
    """A service that takes messages of 1,000 bytes."""
    return new_service(TransportLimits(max_message_bytes=1000)).start()


def test_a_compressed_message_is_understood_and_the_answer_is_plain(service, gzip_request):
    answer = service.request(gzip_request, compressed(b"abc" * 1000))
    assert answer.status == ("0", "") and answer.messages == [b"abc" * 1000]
    assert "grpc-encoding" not in answer.headers


def test_a_message_may_stay_plain_where_it_could_be_compressed(service, gzip_request):
    answer = service.request(gzip_request, b"\0\0\0\0\3abc")
    assert answer.status == ("0", "") and answer.messages == [b"abc"]


def test_each_message_of_a_stream_may_be_compressed(service, gzip_request):
    fields = [(n, v.replace("Unary", "Bidi")) for n, v in gzip_request]
    data = compressed(b"one") + b"\0\0\0\0\3two" + compressed(b"three" * 999)
    answer = service.request(fields, data)
    assert answer.messages == [b"one", b"two", b"three" * 999]


def test_a_few_bytes_that_become_many_are_refused(small, gzip_request):
    answer = small.request(gzip_request, compressed(bytes(500_000)))
    text = "grpc: received message after decompression larger than max (1001 vs. 1000)"
    assert answer.status == ("8", text) and not small.calls
    assert small.request(gzip_request, compressed(bytes(1000))).messages == [bytes(1000)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip",
        gzip.compress(b"abc" * 100)[:-9],
        gzip.compress(b"abc") + b"more",
        zlib.compress(b"abc"),
    ],
    # Names of their own: gzip's head has the time in it, and all workers must name tests alike.
    ids=["empty", "no gzip", "cut short", "with more behind", "zlib"],
)
def test_a_damaged_message_is_refused_and_the_connection_lives(service, gzip_request, data):
    answer = service.request(gzip_request, b"\1" + len(data).to_bytes(4, "big") + data)
    code, text = answer.status
    assert code == "13" and text.startswith("grpc: failed to decompress the received message: ")
    assert service.unary("Unary", b"x").messages == [b"x"]


def test_without_the_header_a_compressed_message_is_refused(service, grpc_request):
    answer = service.request(grpc_request, compressed(b"abc"))
    assert answer.status == ("13", "grpc: compressed flag set with identity or empty encoding")
