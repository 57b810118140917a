"""Messages as JSON the way Go's encoder prints them."""

import json

from petcd.cli.json_text import message_json
from petcd.wire.header import ResponseHeader
from petcd.wire.kv import (
    KeyValue,
    PutResponse,
    RangeResponse,
    ResponseOp,
    TxnResponse,
)
from petcd.wire.maintenance import AlarmMember, AlarmResponse, StatusResponse


def test_zero_fields_are_left_out_and_bytes_are_base64() -> None:
    message = RangeResponse(
        header=ResponseHeader(cluster_id=(1 << 64) - 1, revision=2),
        kvs=[KeyValue(key=b"a", value=b"\xff\0", version=1)],
        count=1,
    )
    assert message_json(message) == (
        '{"header":{"cluster_id":18446744073709551615,"revision":2},'
        '"kvs":[{"key":"YQ==","version":1,"value":"/wA="}],"count":1}'
    )


def test_an_empty_message_is_an_empty_object_and_a_missing_one_nothing() -> None:
    assert message_json(PutResponse()) == "{}"
    assert message_json(PutResponse(header=ResponseHeader())) == '{"header":{}}'


def test_a_oneof_stands_under_its_go_name() -> None:
    message = TxnResponse(
        succeeded=True, responses=[ResponseOp(response_put=PutResponse()), ResponseOp()]
    )
    assert json.loads(message_json(message)) == {
        "succeeded": True,
        "responses": [{"Response": {"response_put": {}}}, {}],
    }


def test_strings_enums_and_booleans() -> None:
    status = StatusResponse(version="<3>", errors=["e & f"], isLearner=True)
    assert message_json(status) == (
        '{"version":"\\u003c3\\u003e","errors":["e \\u0026 f"],"isLearner":true}'
    )
    alarms = AlarmResponse(alarms=[AlarmMember(memberID=7, alarm=1)])
    assert message_json(alarms) == '{"alarms":[{"memberID":7,"alarm":1}]}'
