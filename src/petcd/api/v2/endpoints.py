"""The door to /v2/: which handler a request belongs to.

    /v2/keys, /v2/keys/...        keys
    /v2/members, /v2/members/...  members
    /v2/machines                  members
    /v2/stats/NAME                stats

Paths are decoded as Go does; one with empty or dotted parts is answered with a redirect to the
clean one, which is what Go's router does before etcd sees it.
"""

from collections.abc import Callable, Sequence
from urllib.parse import quote

from petcd.api.host import Host
from petcd.api.v2 import keys, members, stats
from petcd.api.v2.answers import send_not_found
from petcd.api.v2.form import BadEscape, unescape_path
from petcd.api.v2.keys import KeysHandler
from petcd.api.v2.listings import Listings
from petcd.api.v2.members import MembersHandler
from petcd.api.v2.stats import AppendStats, StatsHandler
from petcd.member.v2 import paths
from petcd.member.v2.watch import V2Watchers
from petcd.transport.http import Header, HttpRequest, HttpResponder

PREFIX = "/v2/"
_HTML: Header = (b"content-type", b"text/html; charset=utf-8")
_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
# What Go leaves as it is in the path of a URL.
_PATH_SAFE = "/$&+,:;=@-_.~"


class V2Endpoints:
    """Answers everything under /v2/."""

    def __init__(
        self,
        host: Host,
        watchers: V2Watchers,
        listings: Listings,
        clock_ns: Callable[[], int],
        appends: AppendStats | None = None,
    ) -> None:
        """`watchers` and `listings` are told of all changes; `clock_ns` is the time since 1970;
        `appends` counts them, None when there are no peers."""
        self._keys = KeysHandler(host, watchers, listings, clock_ns)
        self._members = MembersHandler(host)
        self._stats = StatsHandler(host, clock_ns, appends)

    def handle(self, request: HttpRequest, respond: HttpResponder, more: Sequence[Header]) -> None:
        """Answer a request whose target begins with PREFIX; `more`: headers to add."""
        if self._keys.handle_plain(request, respond, more):
            return
        encoded, _, query = request.target.partition("?")
        try:
            path = unescape_path(encoded.encode())
        except BadEscape:
            respond.send(400, [_TEXT], b"400 Bad Request")
            return
        cleaned = paths.clean(path)
        if path.endswith(b"/") and cleaned != paths.ROOT:
            cleaned += b"/"
        if cleaned != path:
            _redirect(request, respond, cleaned, query, more)
            return
        self._route(path, query.encode(), request, respond, more)

    def _route(
        self,
        path: bytes,
        query: bytes,
        request: HttpRequest,
        respond: HttpResponder,
        more: Sequence[Header],
    ) -> None:
        text = paths.text_of(path)
        if text == keys.PREFIX or text.startswith(keys.PREFIX + "/"):
            rest = path[len(keys.PREFIX) :]
            self._keys.handle(rest, query, request, respond, more)
        elif text == members.PREFIX or text.startswith(members.PREFIX + "/"):
            self._members.handle(text[len(members.PREFIX) :], request, respond, more)
        elif text == members.MACHINES:
            self._members.machines(request, respond, more)
        elif text.startswith(stats.PREFIX):
            self._stats.handle(text[len(stats.PREFIX) :], request, respond, more)
        else:
            send_not_found(respond, more)


def _redirect(
    request: HttpRequest,
    respond: HttpResponder,
    path: bytes,
    query: str,
    more: Sequence[Header],
) -> None:
    where = quote(path, safe=_PATH_SAFE) + ("?" + query if query else "")
    location = (b"location", where.encode())
    if request.method in ("GET", "HEAD"):
        shown = where.replace("&", "&amp;").replace("'", "&#39;").replace('"', "&#34;")
        shown = shown.replace("<", "&lt;").replace(">", "&gt;")
        body = f'<a href="{shown}">Moved Permanently</a>.\n\n'.encode()
        respond.send(301, [_HTML, location, *more], body)
    else:
        respond.send(301, [location, *more], b"")
