"""/v2/members and /v2/machines: who is in the cluster.

Changes are checked as etcd checks them; a change that is in order is answered 500 as long as this
member's cluster has one member only.
"""

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from petcd.api.host import Host
from petcd.api.v2.answers import JSON, TEXT, cluster_header, send_not_allowed
from petcd.api.v2.go_json import quote
from petcd.cluster import MemberInfo, PeerUrlKnown, format_id
from petcd.transport.http import Header, HttpRequest, HttpResponder

PREFIX = "/v2/members"
MACHINES = "/v2/machines"
_METHODS = "GET,POST,DELETE,PUT"
_SCHEMES = ("http", "https", "unix", "unixs")


class BadMember(ValueError):
    """A body that does not describe a member; the text is for the client."""


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
        taken = {url for member in self._membership.members() for url in member.peer_urls}
        if taken.intersection(urls):
            _say(respond, 409, "membership: peerURL exists", headers)
        else:
            _say(respond, 500, "Internal Server Error", headers)

    def _change(
        self, name: str, request: HttpRequest, respond: HttpResponder, headers: list[Header]
    ) -> None:
        member_id = _member_id(name)
        if member_id is None:
            _say(respond, 404, f"No such member: {name}", headers)
            return
        urls = None
        if request.method == "PUT":
            urls = self._peer_urls(request, respond, headers)
            if urls is None:
                return
        shown = format_id(member_id)
        if self._membership.is_removed(member_id) and request.method == "DELETE":
            _say(respond, 410, f"Member permanently removed: {shown}", headers)
        elif self._membership.get(member_id) is None:
            _say(respond, 404, f"No such member: {shown}", headers)
        elif urls is not None and self._are_taken(member_id, urls):
            _say(respond, 409, "membership: peerURL exists", headers)
        else:
            _say(respond, 500, "Internal Server Error", headers)

    def _are_taken(self, member_id: int, urls: list[str]) -> bool:
        try:
            self._membership.check_update(member_id, urls)
        except PeerUrlKnown:
            return True
        return False

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
        except BadMember as error:
            _say(respond, 400, str(error), headers)
            return None


def peer_urls_of(body: bytes) -> list[str]:
    """The peer URLs in a member's JSON, sorted. Raises BadMember."""
    if not body.strip():
        raise BadMember("unexpected end of JSON input")
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        complete = body.rstrip().endswith((b"}", b"]"))
        text = "invalid character in JSON" if complete else "unexpected end of JSON input"
        raise BadMember(text) from None
    urls = fields.get("peerURLs") if isinstance(fields, dict) else None
    if not isinstance(urls, list) or not urls:
        raise BadMember("no valid URLs given")
    for url in urls:
        _check_url(url)
    return sorted(urls)


def _check_url(url: object) -> None:
    if not isinstance(url, str):
        raise BadMember("json: cannot unmarshal a peer URL that is no string")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadMember(f'parse "{url}": invalid URL') from None
    if parts.scheme not in _SCHEMES:
        raise BadMember(f"URL scheme must be http, https, unix, or unixs: {url}")
    if port is None:
        raise BadMember(f'URL address does not have the form "host:port": {url}')
    if parts.path:
        raise BadMember(f"URL must not contain a path: {url}")


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
