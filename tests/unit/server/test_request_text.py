"""Requests as etcd's log lines show them."""

from petcd.server.request_text import TEXT_MAX, entry_text, key_text, request_text
from petcd.wire.auth import AuthUserAddRequest
from petcd.wire.hot import internal_put, internal_request
from petcd.wire.internal import InternalRaftRequest, RequestHeader
from petcd.wire.kv import (
    Compare,
    CompareTarget,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    SortOrder,
    TxnRequest,
)


def test_a_put_shows_the_size_of_its_value_and_not_the_value() -> None:
    body = PutRequest(key=b'a\0"\xff', value=b"secret", lease=7).encode()
    text = entry_text(internal_put(12, body))
    assert text == 'header:<ID:12 > put:<key:"a\\000\\"\\377" value_size:6 lease:7 >'


def test_a_transaction_shows_no_values_either() -> None:
    request = TxnRequest(
        compare=[Compare(target=CompareTarget.VALUE, key=b"k", value=b"hidden")],
        success=[RequestOp(request_put=PutRequest(key=b"k", value=b"hidden"))],
        failure=[RequestOp(request_range=RangeRequest(key=b"k"))],
    )
    assert entry_text(internal_request(1, 6, request.encode())) == (
        'header:<ID:1 > txn:<compare:<target:VALUE key:"k" value_size:6 > '
        'success:<request_put:<key:"k" value_size:6 > > '
        'failure:<request_range:<key:"k" > > >'
    )


def test_a_range_shows_what_differs_from_the_defaults() -> None:
    request = RangeRequest(key=b"a", range_end=b"b", limit=10, sort_order=SortOrder.DESCEND)
    request.serializable = True
    assert request_text(request) == (
        'key:"a" range_end:"b" limit:10 sort_order:DESCEND serializable:true '
    )
    assert key_text(b"a") == request_text(RangeRequest(key=b"a")) == 'key:"a" '


def test_a_password_is_not_shown() -> None:
    header = RequestHeader(ID=1, username="root")
    user = AuthUserAddRequest(name="eve", password="p")
    text = entry_text(InternalRaftRequest(header=header, auth_user_add=user).encode())
    assert text == 'header:<ID:1 username:"root" > auth_user_add:<name:"eve" >'


def test_what_is_no_request_of_ours_has_no_text() -> None:
    assert entry_text(b"\xff\xff\xff") == ""


def test_a_long_request_is_cut() -> None:
    request = DeleteRangeRequest(key=b"x" * 5_000)
    text = entry_text(internal_request(1, 5, request.encode()))
    assert len(text) == TEXT_MAX + 3 and text.endswith("xxx...")
