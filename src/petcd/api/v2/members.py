"""/v2/members and /v2/machines: who is in the cluster, and changes of that.

The same proposals as those of v3; the statuses and texts are v2's.
"""

import json
from collections.abc import Sequence

from petcd.api.host import Host
from petcd.api.peer_urls import BadPeerUrls, read_peer_urls
from petcd.api.v2.answers import JSON, TEXT, cluster_header, send_not_allowed
from petcd.api.v2.go_json import quote
from petcd.cluster import MemberInfo, MemberKnown, MemberUnknown, PeerUrlKnown, format_id
from petcd.transport.http import Header, HttpRequest, HttpResponder

PREFIX = "/v2/members"
MACHINES = "/v2/machines"
_METHODS = "GET,POST,DELETE,PUT"
# What Go says of JSON of another shape.
_UNFIT_DOCUMENT = (
    "json: cannot unmarshal {} into Go value of type "
    'struct {{ PeerURLs []string "json:\\"peerURLs\\"" }}'
)
_UNFIT = "json: cannot unmarshal {} into Go struct field .peerURLs of type {}"


class MembersHandler:
    """Answers /v2/members and /v2/machines."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._membership = host.member.membership
        self._fixed = [cluster_header(host)]

    def machines(
        self, request: HttpRequest, respond: HttpResponder, more: Sequence[Header]
    ) -> None:
        """All client URLs, comma and blank between them."""
        if request.method not in ("GET", "HEAD"):
            send_not_allowed(respond, "GET,HEAD", more)
            return
        members = self._membership.members()
        urls = sorted(url for member in members for url in member.client_urls)
        respond.send(200, [TEXT, *more], ", ".join(urls).encode())

    def handle(
        self, rest: str, request: HttpRequest, respond: HttpResponder, more: Sequence[Header]
    ) -> None:
        """Answer a request; `rest` is what follows /v2/members."""
        name = rest.strip("/")
        headers = [*self._fixed, *more]
        method = request.method
        if method == "GET":
            self._get(name, respond, headers)
        elif method == "POST":
            self._add(request, respond, headers)
        elif method in ("DELETE", "PUT"):
            if name:
                self._change(name, request, respond, headers)
            else:
                send_not_allowed(respond, "", headers)
        else:
            send_not_allowed(respond, _METHODS, more)

    def _get(self, name: str, respond: HttpResponder, headers: list[Header]) -> None:
        if not name:
            members = [member_json(member) for member in self._membership.members()]
            body = b'{"members":[%b]}\n' % b",".join(members)
            respond.send(200, [JSON, *headers], body)
        elif name == "leader":
            leader = self._membership.get(self._host.member.leader_id)
            if leader is None:
                _say(respond, 503, "During election", headers)
            else:
                respond.send(200, [JSON, *headers], member_json(leader) + b"\n")
        else:
            _say(respond, 404, "Not found", headers)

    def _add(self, request: HttpRequest, respond: HttpResponder, headers: list[Header]) -> None:
        urls = self._peer_urls(request, respond, headers)
        if urls is None:
            return

        def added(context: None, outcome: object) -> None:
            if isinstance(outcome, (MemberKnown, PeerUrlKnown)):
                kind = "peerURL" if isinstance(outcome, PeerUrlKnown) else "ID"
                _say(respond, 409, f"membership: {kind} exists", headers)
            elif isinstance(outcome, tuple):
                respond.send(201, [JSON, *headers], member_json(outcome[0]) + b"\n")
            else:
                _say(respond, 500, "Internal Server Error", headers)

        self._host.reconfiguration.add(urls, False, added, None)

    def _change(
        self, name: str, request: HttpRequest, respond: HttpResponder, headers: list[Header]
    ) -> None:
        member_id = _member_id(name)
        if member_id is None:
            _say(respond, 404, f"No such member: {name}", headers)
            return

        def changed(context: None, outcome: object) -> None:
            shown = format_id(member_id)
            if isinstance(outcome, PeerUrlKnown):
                _say(respond, 409, "membership: peerURL exists", headers)
            elif isinstance(outcome, MemberUnknown):
                _say(respond, 404, f"No such member: {shown}", headers)
            elif isinstance(outcome, list):
                respond.send(204, headers, b"")
            else:
                _say(respond, 500, "Internal Server Error", headers)

        changes = self._host.reconfiguration
        if request.method == "PUT":
            urls = self._peer_urls(request, respond, headers)
            if urls is not None:
                changes.update(member_id, urls, changed, None)
        elif self._membership.is_removed(member_id):
            gone = f"Member permanently removed: {format_id(member_id)}"
            _say(respond, 410, gone, headers)
        else:
            changes.remove(member_id, changed, None)

    def _peer_urls(
        self, request: HttpRequest, respond: HttpResponder, headers: list[Header]
    ) -> list[str] | None:
        """The peer URLs of the body; None when that was answered with an error."""
        kind = (request.header(b"content-type") or b"").decode("latin-1")
        if kind.partition(";")[0].strip().lower() != "application/json":
            text = f"Bad Content-Type {kind}, accept application/json"
            _say(respond, 415, text, headers)
            return None
        try:
            return peer_urls_of(request.body)
        except BadPeerUrls as error:
            _say(respond, 400, str(error), headers)
            return None


def peer_urls_of(body: bytes) -> list[str]:
    """The peer URLs in a member's JSON, sorted; the field's name in any case, as in Go.

    Raises BadPeerUrls.
    """
    try:
        fields = json.loads(body)
    except json.JSONDecodeError as error:
        raise BadPeerUrls(_why_no_json(error)) from None
    except (ValueError, RecursionError):
        raise BadPeerUrls("invalid character in JSON") from None
    if fields is None:
        fields = {}
    if not isinstance(fields, dict):
        raise BadPeerUrls(_UNFIT_DOCUMENT.format(_go_kind(fields)))
    named = [urls for name, urls in fields.items() if name.lower() == "peerurls"]
    urls = named[-1] if named and named[-1] is not None else []
    if not isinstance(urls, list):
        raise BadPeerUrls(_UNFIT.format(_go_kind(urls), "[]string"))
    for url in urls:
        if not isinstance(url, str | None):
            raise BadPeerUrls(_UNFIT.format(_go_kind(url), "string"))
    return read_peer_urls(["" if url is None else url for url in urls])


def _go_kind(value: object) -> str:
    """What Go calls a value of JSON."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _why_no_json(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].lstrip()
    if not rest or error.msg.startswith("Unterminated"):
        return "unexpected end of JSON input"
    where = {
        "Expecting value": "looking for beginning of value",
        "Extra data": "after top-level value",
    }
    return f"invalid character '{rest[0]}' {where.get(error.msg, 'in JSON')}"


def member_json(member: MemberInfo) -> bytes:
    """A member as v2 shows it."""
    return b'{"id":%b,"name":%b,"peerURLs":%b,"clientURLs":%b}' % (
        quote(format_id(member.id).encode()),
        quote(member.name.encode()),
        _texts(member.peer_urls),
        _texts(member.client_urls),
    )


def _texts(texts: Sequence[str]) -> bytes:
    return b"[%b]" % b",".join([quote(text.encode()) for text in texts])


def _member_id(name: str) -> int | None:
    """The id written in hexadecimal; None when it is none."""
    if not name or len(name) > 16 or not set(name) <= set("0123456789abcdefABCDEF"):
        return None
    return int(name, 16)


def _say(respond: HttpResponder, status: int, text: str, headers: list[Header]) -> None:
    body = b'{"message":%b}' % quote(text.encode())
    respond.send(status, [JSON, *headers], body)
