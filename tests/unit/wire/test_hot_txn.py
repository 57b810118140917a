"""The reader of transactions that only put equals the general codec."""

from __future__ import annotations

import random

import pytest

from petcd.wire.codec import DecodeError
from petcd.wire.hot_txn import parse_txn
from petcd.wire.kv import Compare, PutRequest, RangeRequest, RequestOp, TxnRequest

PUTS = [
    PutRequest(key=b"k", value=b"v"),
    PutRequest(key=b"k" * 200, value=b"v" * 20_000),
    PutRequest(key=b"leased", value=b"v", lease=-7),
    PutRequest(key=b"kept", ignore_value=True, prev_kv=True),
    PutRequest(),
]
LOAD = TxnRequest(success=[RequestOp(request_put=put) for put in PUTS * 25])
OTHERS = {
    "nothing": TxnRequest(),
    "a condition": TxnRequest(compare=[Compare(key=b"k", version=0)], success=LOAD.success),
    "puts if not": TxnRequest(failure=LOAD.success),
    "a range": TxnRequest(success=[*LOAD.success, RequestOp(request_range=RangeRequest(key=b"k"))]),
    "a txn inside": TxnRequest(success=[RequestOp(request_txn=LOAD)]),
    "an operation of no kind": TxnRequest(success=[RequestOp()]),
}


def test_a_load_is_read() -> None:
    assert parse_txn(LOAD.encode()) == LOAD


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_load_is_read_too(name: str) -> None:
    assert parse_txn(OTHERS[name].encode()) == OTHERS[name]


def test_two_requests_in_one_operation_are_merged() -> None:
    twice = b"".join(RequestOp(request_put=put).encode() for put in PUTS[:3])
    body = b"\x12" + bytes([len(twice) & 127 | 128, len(twice) >> 7 & 127 | 128, len(twice) >> 14])
    assert parse_txn(body + twice) == TxnRequest.decode(body + twice)
    assert len(parse_txn(body + twice).success) == 1


def test_damaged_loads_are_what_the_general_codec_makes_of_them() -> None:
    rng = random.Random("damage")
    whole = TxnRequest(success=LOAD.success[:1] + LOAD.success[2:5]).encode()
    refused = 0
    for _ in range(3000):
        damaged = bytearray(whole[: rng.randrange(1, len(whole) + 1)])
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        body = bytes(damaged)
        try:
            expected = TxnRequest.decode(body)
        except DecodeError:
            refused += 1
            with pytest.raises(DecodeError):
                parse_txn(body)
        else:
            assert parse_txn(body) == expected, body.hex()
    assert 300 < refused < 2900
