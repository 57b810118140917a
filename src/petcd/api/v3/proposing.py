"""Putting a client's request into the log."""

from typing import Any

from petcd.api.errors import status_of
from petcd.api.host import Finish, Host
from petcd.member.errors import RequestTooLarge
from petcd.transport.call import UnaryCall
from petcd.wire.hot import internal_request
from petcd.wire.kv import TxnRequest


def propose_body(
    host: Host,
    call: UnaryCall,
    field_number: int,
    body: bytes,
    finish: Finish,
    context: Any,
    decoded: TxnRequest | None = None,
) -> None:
    """Propose an encoded request under its field number of InternalRaftRequest.

    `finish(context, outcome)` is called with the outcome; a request that is too large is refused
    on the call at once. `decoded` is what `body` was decoded to, when that was a transaction.
    """
    request_id = host.next_request_id()
    data = internal_request(request_id, field_number, body)
    if len(data) > host.max_request_bytes:
        call.fail(*status_of(RequestTooLarge(len(data), host.max_request_bytes)))
        return
    if decoded is not None:
        host.member.applier.remember(request_id, body, decoded)
    host.propose(request_id, data, finish, context)
