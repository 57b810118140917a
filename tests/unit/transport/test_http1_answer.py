"""The client role of HTTP/1.1: answers whole, in pieces, without end, and malformed ones."""

from __future__ import annotations

import random

import pytest

from petcd.transport.http1_answer import MalformedAnswer, ResponseReader

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nT: v\r\n\r\n"
)
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
UNTIL_END = b"HTTP/1.0 200 OK\r\n\r\nhello"


def read(data: bytes, size: int = 1 << 20, bodiless: bool = False) -> tuple[ResponseReader, bytes]:
    reader = ResponseReader(bodiless)
    body = b""
    for start in range(0, len(data), size):
        body += reader.feed(data[start : start + size])
    return reader, body


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        (PLAIN, 200, b"hello"),
        (CHUNKED, 200, b"hello!"),
        (EMPTY, 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, 200, b"hello"),
        (b"HTTP/1.1 412\r\nContent-Length: 0\r\n\r\n", 412, b""),
    ],
)
def test_an_answer_is_read_however_it_is_cut(
    answer: bytes, status: int, expected: bytes, size: int
) -> None:
    reader, body = read(answer, size)
    assert reader.head is not None and reader.head.status == status
    assert (body, reader.done, reader.surplus) == (expected, True, False)
    assert reader.head.keep_alive
    reader.finish()


def test_headers_are_found_by_their_names_in_lower_case() -> None:
    reader, _ = read(PLAIN)
    assert reader.head is not None
    assert reader.head.header(b"x-a") == b"b" and reader.head.header(b"x-b") is None


def test_a_body_without_length_ends_with_its_connection() -> None:
    reader, body = read(UNTIL_END, 3)
    assert body == b"hello" and not reader.done
    assert reader.head is not None and not reader.head.keep_alive
    reader.finish()
    assert reader.done


def test_a_head_alone_is_the_whole_answer_to_head() -> None:
    reader, body = read(PLAIN.removesuffix(b"hello"), bodiless=True)
    assert reader.done and body == b"" and not reader.surplus


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close", False),
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive", True),
    ],
)
def test_a_connection_stays_open_as_the_server_says(line: bytes, kept: bool) -> None:
    reader, _ = read(line + b"\r\nContent-Length: 0\r\n\r\n")
    assert reader.head is not None and reader.head.keep_alive is kept


def test_bytes_behind_an_answer_are_noticed() -> None:
    assert read(PLAIN + b"x")[0].surplus
    assert read(CHUNKED + b"x", 1)[0].surplus


@pytest.mark.parametrize(
    "data",
    [PLAIN[:-1], CHUNKED[:-1], PLAIN[:20], b"", CHUNKED[:60]],
)
def test_an_answer_that_is_cut_short_is_malformed(data: bytes) -> None:
    reader, _ = read(data)
    with pytest.raises(MalformedAnswer):
        reader.finish()


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 099 No\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        CHUNKED.replace(b"5\r\nh", b"z\r\nh"),
        CHUNKED.replace(b"hello\r\n", b"hello\n"),
        CHUNKED.replace(b"5\r\nh", b"6\r\nh"),
        b"x" * (70 << 10),
    ],
)
def test_malformed_answers_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        read(data)
    with pytest.raises(MalformedAnswer):
        read(data, 1 + len(data) // 100)


def test_any_bytes_are_an_answer_or_malformed_and_cuts_change_nothing() -> None:
    rng = random.Random(7)
    for _ in range(600):
        data = bytearray(rng.choice((PLAIN, CHUNKED, EMPTY, UNTIL_END)))
        for _ in range(rng.choice((1, 2, 4))):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(2)] = rng.choice(
                (b"", b"\r", b"\n", b"0", rng.randbytes(1))
            )
            data = data or bytearray(b"x")
        assert outcome(bytes(data), 1000) == outcome(bytes(data), rng.randrange(1, 9)), bytes(data)


def outcome(data: bytes, size: int) -> tuple[bytes, bool] | None:
    try:
        reader, body = read(data, size)
        reader.finish()
    except MalformedAnswer:
        return None
    return body, reader.surplus
