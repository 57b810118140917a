"""etcdserverpb.KV: Range, Put, DeleteRange, Txn, Compact.

The two hot calls have a straight path: a put body goes into the log as it came (after a parse that
checks it), and a plain read of one key is answered from the index and the backend without building
a request object. Everything else takes the general messages.
"""

from petcd.api.errors import status_of
from petcd.api.host import Host
from petcd.api.v3.header import header_message
from petcd.api.v3.proposing import propose_body
from petcd.member.apply import COMPACTION, DELETE_RANGE, TXN
from petcd.member.errors import NoSpace, RequestTooLarge
from petcd.member.quota import PUT_OVERHEAD_BYTES, txn_cost
from petcd.mvcc.errors import MvccError
from petcd.mvcc.range import RangeResult
from petcd.mvcc.store import DeleteOutcome, PutOutcome
from petcd.mvcc.txn import TxnResult
from petcd.mvcc.validation import check_delete, check_put_fields, check_range, check_txn
from petcd.transport.call import UnaryCall
from petcd.transport.router import UNARY, Method, Router
from petcd.wire.codec import DecodeError
from petcd.wire.hot import (
    header_bytes,
    internal_put,
    parse_put,
    parse_range_key,
    put_response,
    range_response,
)
from petcd.wire.hot_txn import parse_txn
from petcd.wire.kv import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    KeyValue,
    RangeRequest,
    RequestOp,
    TxnRequest,
)

_SERVICE = b"/etcdserverpb.KV/"
# Tag and length before a key that `parse_range_key` takes.
KEY_HEAD_BYTES_MAX = 3
# Runs of pairs that are joined into one message; more are sent as they are.
RUNS_JOINED = 4


def is_read_only(request: TxnRequest) -> bool:
    """Whether a transaction needs no log entry: only ranges, no nested transaction."""
    return all(op.request_range is not None for op in _operations(request))


def is_serializable(request: TxnRequest) -> bool:
    """Whether all ranges of a read-only transaction may be served locally."""
    return all(
        op.request_range is not None and op.request_range.serializable
        for op in _operations(request)
    )


def _operations(request: TxnRequest) -> list[RequestOp]:
    return [*request.success, *request.failure]


class KvService:
    """Handlers of the KV service."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._store = host.member.store

    def register(self, router: Router) -> None:
        """Add the methods to the router."""
        for name, handler in (
            (b"Range", self.range),
            (b"Put", self.put),
            (b"DeleteRange", self.delete_range),
            (b"Txn", self.txn),
            (b"Compact", self.compact),
        ):
            router.add(Method(_SERVICE + name, UNARY, handler))

    def _header(self, revision: int) -> bytes:
        host = self._host
        return header_bytes(host.header_prefix, revision, host.member.node.raft.term)

    # -- range --------------------------------------------------------------------------------

    def range(self, call: UnaryCall, body: bytes) -> None:
        """Range: one key straight away when nothing must be waited for."""
        try:
            key = parse_range_key(body)
            if key is None:
                self._range_general(call, body)
                return
        except (DecodeError, MvccError) as error:
            call.fail(*status_of(error))
            return
        is_serializable = len(body) - len(key) > KEY_HEAD_BYTES_MAX  # nothing else can follow
        if is_serializable or self._host.member.read_is_confirmed():
            self._serve_key((call, key), None)
        else:
            self._host.read(self._serve_key, (call, key))

    def _serve_key(self, context: tuple[UnaryCall, bytes], refusal: object) -> None:
        call, key = context
        if isinstance(refusal, Exception):
            call.fail(*status_of(refusal))
            return
        store = self._store
        kv = store.get(key)
        header = self._header(store.revision)
        if kv is None:
            call.reply(range_response(header, [], False, 0))
        else:
            call.reply(range_response(header, [kv], False, 1))

    def _range_general(self, call: UnaryCall, body: bytes) -> None:
        request = RangeRequest.decode(body)
        check_range(request)
        if request.serializable:
            self._serve_range((call, request), None)
        else:
            self._host.read(self._serve_range, (call, request))

    def _serve_range(self, context: tuple[UnaryCall, RangeRequest], refusal: object) -> None:
        call, request = context
        if isinstance(refusal, Exception):
            call.fail(*status_of(refusal))
            return
        asked = (call, request, self._host.monotonic_s())
        self._host.drive(self._store.range_steps(request, framed=True), self._answer_range, asked)

    def _answer_range(self, asked: tuple[UnaryCall, RangeRequest, float], outcome: object) -> None:
        call, request, started_s = asked
        if not isinstance(outcome, RangeResult):
            _fail(call, outcome)
            return
        header = self._header(outcome.revision)
        # Fields may come in any order: here the header and the count before the pairs.
        head = range_response(header, [], outcome.more, outcome.count)
        runs = outcome.kvs
        self._host.range_ended(started_s, request, len(head) + sum(map(len, runs)))
        if len(runs) > RUNS_JOINED:
            call.reply_parts([head, *runs])
        else:
            call.reply(b"".join((head, *runs)))

    # -- put ----------------------------------------------------------------------------------

    def put(self, call: UnaryCall, body: bytes) -> None:
        """Put: the body itself becomes the log entry."""
        try:
            key, value, lease, _, ignore_value, ignore_lease = parse_put(body)
            if not key or ignore_value or ignore_lease:
                check_put_fields(key, value, lease, ignore_value, ignore_lease)
        except (DecodeError, MvccError) as error:
            call.fail(*status_of(error))
            return
        host = self._host
        if PUT_OVERHEAD_BYTES + len(key) + len(value) >= host.room_bytes:
            self._refuse_for_space(call)
            return
        request_id = host.next_request_id()
        data = internal_put(request_id, body)
        if len(data) > host.max_request_bytes:
            call.fail(*status_of(RequestTooLarge(len(data), host.max_request_bytes)))
            return
        host.propose(request_id, data, self._answer_put, call)

    def _answer_put(self, call: UnaryCall, outcome: object) -> None:
        if type(outcome) is int:
            call.reply(put_response(self._header(outcome), None))
        elif isinstance(outcome, PutOutcome):
            call.reply(put_response(self._header(outcome.revision), outcome.prev))
        else:
            self._answer_refusal(call, outcome)

    def _refuse_for_space(self, call: UnaryCall) -> None:
        self._host.raise_nospace()
        call.fail(*status_of(NoSpace()))

    def _answer_refusal(self, call: UnaryCall, outcome: object) -> None:
        if isinstance(outcome, NoSpace):
            self._host.raise_nospace()
        _fail(call, outcome)

    # -- delete -------------------------------------------------------------------------------

    def delete_range(self, call: UnaryCall, body: bytes) -> None:
        """DeleteRange."""
        try:
            check_delete(DeleteRangeRequest.decode(body))
        except (DecodeError, MvccError) as error:
            call.fail(*status_of(error))
            return
        propose_body(self._host, call, DELETE_RANGE, body, self._answer_delete, call)

    def _answer_delete(self, call: UnaryCall, outcome: object) -> None:
        if isinstance(outcome, DeleteOutcome):
            response = DeleteRangeResponse(
                header=header_message(self._host, outcome.revision),
                deleted=outcome.deleted,
                prev_kvs=[KeyValue.decode(kv) for kv in outcome.prevs],
            )
            call.reply(response.encode())
        else:
            _fail(call, outcome)

    # -- txn ----------------------------------------------------------------------------------

    def txn(self, call: UnaryCall, body: bytes) -> None:
        """Txn: a read-only one is served like a read, any other goes through the log."""
        host = self._host
        try:
            request = parse_txn(body)
            check_txn(request, host.max_txn_ops)
        except (DecodeError, MvccError) as error:
            call.fail(*status_of(error))
            return
        if is_read_only(request):
            if is_serializable(request):
                self._serve_txn((call, request), None)
            else:
                host.read(self._serve_txn, (call, request))
            return
        cost = txn_cost(request)
        if cost and cost >= host.room_bytes:
            self._refuse_for_space(call)
        else:
            propose_body(host, call, TXN, body, self._answer_txn, call, request)

    def _serve_txn(self, context: tuple[UnaryCall, TxnRequest], refusal: object) -> None:
        call, request = context
        if isinstance(refusal, Exception):
            call.fail(*status_of(refusal))
            return
        try:
            self._answer_txn(call, self._store.txn(request))
        except MvccError as error:
            call.fail(*status_of(error))

    def _answer_txn(self, call: UnaryCall, outcome: object) -> None:
        if isinstance(outcome, TxnResult):
            call.reply(outcome.encode(self._header(outcome.revision)))
        else:
            self._answer_refusal(call, outcome)

    # -- compact ------------------------------------------------------------------------------

    def compact(self, call: UnaryCall, body: bytes) -> None:
        """Compact; with `physical` the answer waits until the rows are gone and it is on disk."""
        try:
            request = CompactionRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        propose_body(self._host, call, COMPACTION, body, self._answer_compact, (call, request))

    def _answer_compact(
        self, context: tuple[UnaryCall, CompactionRequest], outcome: object
    ) -> None:
        call, request = context
        if isinstance(outcome, Exception):
            call.fail(*status_of(outcome))
            return

        def answer() -> None:
            header = header_message(self._host, self._store.revision)
            call.reply(CompactionResponse(header=header).encode())

        if request.physical:
            self._host.long_work.when_compacted(request.revision, answer)
        else:
            answer()


def _fail(call: UnaryCall, outcome: object) -> None:
    assert isinstance(outcome, Exception), outcome
    call.fail(*status_of(outcome))
