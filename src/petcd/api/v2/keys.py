"""/v2/keys: reads from the view, writes through the log, watches.

    GET, HEAD             local state; with quorum=true once a linearizable read may be served
    GET wait=true         headers at once, then one event, or with stream=true one after another
    PUT, POST, DELETE     one entry of the log

Two requests come most and have a straight path: a plain GET of a file, and a PUT of nothing but a
value. Everything else is read parameter by parameter (`keys_request`).
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from petcd.api.host import Host
from petcd.api.v2.answers import Answers, send_not_allowed
from petcd.api.v2.errors import RAFT_INTERNAL, KeysError, keys_error
from petcd.api.v2.form import URLENCODED, BadEscape, unescape
from petcd.api.v2.go_json import event_json, file_json
from petcd.api.v2.keys_request import KeysRequest
from petcd.api.v2.listing import Listing
from petcd.api.v2.listings import Listings
from petcd.api.v2.watching import Watching
from petcd.member.apply import V2
from petcd.member.errors import NoSpace, V2NotWritable
from petcd.member.quota import PUT_OVERHEAD_BYTES
from petcd.member.v2 import nodes, paths
from petcd.member.v2.errors import V2Refused
from petcd.member.v2.nodes import Event
from petcd.member.v2.watch import V2Watchers
from petcd.transport.http import Header, HttpRequest, HttpResponder
from petcd.wire.hot import decode_kv, internal_request
from petcd.wire.v2hot import plain_set

PREFIX = "/v2/keys"
_METHODS = ("HEAD", "GET", "PUT", "POST", "DELETE")
# A target whose path needs neither decoding nor cleaning, and that has no query.
_plain_target = re.compile(r"/v2/keys((?:/[^/.%?#][^/%?#]*)+)").fullmatch
# Shorter paths cannot have too many parts.
PLAIN_PATH_BYTES_MAX = 2 * paths.PARTS_MAX
_DONE = (nodes.SET, nodes.CREATE, nodes.UPDATE, nodes.COMPARE_AND_SWAP)

Context = tuple[HttpResponder, Sequence[Header], bool]


class KeysHandler:
    """Answers /v2/keys. `clock_ns` is nanoseconds since 1970."""

    def __init__(
        self,
        host: Host,
        watchers: V2Watchers,
        listings: Listings,
        clock_ns: Callable[[], int],
    ) -> None:
        self._host = host
        self._listings = listings
        self._view = host.member.applier.v2
        self._store = host.member.store
        self._stats = self._view.stats
        self._answers = Answers(host)
        self._watching = Watching(watchers, self._store, self._answers, clock_ns)
        self._clock_ns = clock_ns

    # -- the straight paths -------------------------------------------------------------------

    def handle_plain(
        self, request: HttpRequest, respond: HttpResponder, more: Sequence[Header]
    ) -> bool:
        """Answer if the request is one of the two that come most; else False."""
        match = _plain_target(request.target)
        if match is None or len(match[1]) > PLAIN_PATH_BYTES_MAX:
            return False
        path = match[1].encode()
        if request.method == "GET":
            return self._get_plain(path, request, respond, more)
        if request.method == "PUT":
            return self._put_plain(path, request, respond, more)
        return False

    def _get_plain(
        self, path: bytes, request: HttpRequest, respond: HttpResponder, more: Sequence[Header]
    ) -> bool:
        kv = self._store.get(path)
        if kv is None:
            return False
        key, _, modified, version, value, lease = decode_kv(kv)
        if lease:
            return False
        created = modified if version == 1 else self._view.node_of(kv).created
        self._stats.gets_success += 1
        body = b'{"action":"get","node":%b}\n' % file_json(key, value, modified, created)
        self._answers.send(respond, 200, self._store.revision, more, body)
        return True

    def _put_plain(
        self, path: bytes, request: HttpRequest, respond: HttpResponder, more: Sequence[Header]
    ) -> bool:
        body = request.body
        if body[:6] != b"value=" or b"&" in body or request.header(b"content-type") != URLENCODED:
            return False
        try:
            value = unescape(body[6:])
        except BadEscape:
            return False
        host = self._host
        request_id = host.next_request_id()
        self._propose(request_id, plain_set(request_id, path, value), (respond, more, False))
        return True

    # -- everything ---------------------------------------------------------------------------

    def handle(
        self,
        path: bytes,
        query: bytes,
        request: HttpRequest,
        respond: HttpResponder,
        more: Sequence[Header],
    ) -> None:
        """Answer a request; `path` is decoded, as it stands behind the prefix."""
        method = request.method
        if method not in _METHODS:
            send_not_allowed(respond, ",".join(_METHODS), more)
            return
        try:
            asked = KeysRequest(request, paths.clean(path), query)
        except KeysError as error:
            self._answers.fail(respond, error, more)
            return
        if method not in ("GET", "HEAD"):
            request_id = self._host.next_request_id()
            entry = asked.entry(method, request_id, self._clock_ns())
            self._propose(request_id, entry.encode(), (respond, more, asked.no_value))
        elif asked.quorum and method == "GET":
            self._host.read(self._read, (asked, respond, more))
        elif asked.wait:
            self._watching.watch(asked, respond, more)
        else:
            self._read((asked, respond, more), None)

    # -- writing ------------------------------------------------------------------------------

    def _propose(self, request_id: int, body: bytes, context: Context) -> None:
        host = self._host
        if not host.member.membership.is_all_petcd:
            host.read(self._look_again, (request_id, body, context))
            return
        self._propose_now(request_id, body, context)

    def _look_again(self, write: tuple[int, bytes, Context], refusal: object) -> None:
        """Everything that was committed is applied here now: who is petcd has had its say."""
        request_id, body, context = write
        if not isinstance(refusal, Exception) and self._host.member.membership.is_all_petcd:
            self._propose_now(request_id, body, context)
        else:
            why = refusal if isinstance(refusal, Exception) else V2NotWritable()
            self._fail(context[0], why, context[1])

    def _propose_now(self, request_id: int, body: bytes, context: Context) -> None:
        host = self._host
        if PUT_OVERHEAD_BYTES + len(body) >= host.room_bytes and b"\x12\x06DELETE" not in body[:24]:
            host.raise_nospace()
            self._fail(context[0], NoSpace(), context[1])
            return
        data = internal_request(request_id, V2, body)
        host.propose(request_id, data, self._answer_write, context)

    def _answer_write(self, context: Context, outcome: object) -> None:
        respond, more, no_value = context
        if type(outcome) is not Event:
            self._answer_refusal(respond, outcome, more)
            return
        status = 201 if outcome.is_created else 200
        with_nodes = not (no_value and outcome.action in _DONE)
        body = event_json(outcome, self._clock_ns(), with_nodes)
        self._answers.send(respond, status, outcome.index, more, body)

    def _answer_refusal(
        self, respond: HttpResponder, outcome: object, more: Sequence[Header]
    ) -> None:
        if isinstance(outcome, NoSpace):
            self._host.raise_nospace()
        if isinstance(outcome, Exception):
            self._fail(respond, outcome, more)
        else:
            error = KeysError(RAFT_INTERNAL, f"unexpected outcome {type(outcome).__name__}")
            self._answers.fail(respond, error, more)

    def _fail(self, respond: HttpResponder, refusal: Exception, more: Sequence[Header]) -> None:
        self._answers.fail(respond, keys_error(refusal), more)

    # -- reading ------------------------------------------------------------------------------

    def _read(self, context: Any, refusal: object) -> None:
        if isinstance(refusal, Exception):
            self._fail(context[1], refusal, context[2])
        else:
            self._show(context, None)

    def _show(self, context: Any, listing: Listing | None) -> None:
        """Answer with what is at the path now; for a directory `listing` has to be there."""
        asked, respond, more = context
        try:
            node = self._view.node(asked.path)
        except V2Refused as missing:
            self._stats.get_failed()
            self._fail(respond, missing, more)
            return
        if node.is_dir and listing is None:
            self._listings.ask(asked.path, asked.recursive, self._clock_ns(), self._show, context)
            return
        self._stats.gets_success += 1
        revision = self._store.revision
        if listing is not None and node.is_dir:
            parts = [b'{"action":"get","node":', *listing.parts(node), b"}\n"]
            self._answers.send_parts(respond, 200, revision, more, parts)
            return
        body = event_json(Event(nodes.GET, node, None, revision), self._clock_ns())
        self._answers.send(respond, 200, revision, more, body)
