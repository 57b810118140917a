"""`GET /members/hashkv` of the peer port: another member compares its history with ours.

    {"revision":7}  ->  {"header":{"revision":9},"hash":2918347,"compact_revision":3}

The request is JSON in a body, as etcd sends it; revision 0 is the current one. Fields that are 0
are left out. Refusals are texts that etcd's members look for.
"""

import json
from collections.abc import Callable, Generator
from typing import Any, Protocol

from petcd.cluster import format_id
from petcd.mvcc.errors import Compacted, FutureRevision
from petcd.mvcc.store import Store
from petcd.peer.http_errors import send_error, send_method_not_allowed
from petcd.transport.http import Header, HttpHandler, HttpRequest, HttpResponder

_COMPACTED = "mvcc: required revision has been compacted"
_FUTURE = "mvcc: required revision is a future revision"
_JSON: Header = (b"content-type", b"application/json")

Done = Callable[[Any, object], None]


class Driver(Protocol):
    """Who runs long work in slices."""

    def drive(self, steps: Generator[object, None, Any], done: Done, context: Any) -> None: ...


def hash_kv_handler(cluster_id: int, store: Store, driver: Driver) -> HttpHandler:
    """Serves `/members/hashkv`."""
    headers: list[Header] = [(b"x-etcd-cluster-id", format_id(cluster_id).encode()), _JSON]

    def handle(request: HttpRequest, respond: HttpResponder) -> None:
        if request.method != "GET":
            send_method_not_allowed(respond, "GET")
            return
        revision = asked_revision(request.body)
        if revision is None:
            send_error(respond, 400, "error unmarshalling request")
            return
        driver.drive(store.hash_kv_steps(revision), answer, respond)

    def answer(respond: HttpResponder, outcome: object) -> None:
        if isinstance(outcome, Compacted | FutureRevision):
            text = _COMPACTED if isinstance(outcome, Compacted) else _FUTURE
            send_error(respond, 400, text)
        elif isinstance(outcome, Exception):
            send_error(respond, 500, str(outcome))
        else:
            assert isinstance(outcome, tuple), outcome
            found, revision = outcome
            fields: dict[str, object] = {"header": {"revision": revision}, "hash": found.hash}
            fields["compact_revision"] = found.compact_revision
            said = {name: value for name, value in fields.items() if value}
            body = json.dumps(said, separators=(",", ":")).encode()
            respond.send(200, headers, body)

    return handle


def asked_revision(body: bytes) -> int | None:
    """The revision in a request; None when it is none."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    revision = fields.get("revision", 0) if isinstance(fields, dict) else None
    return revision if isinstance(revision, int) and abs(revision) < 1 << 63 else None
