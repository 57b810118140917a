"""The plain HTTP endpoints of the client port: health, version, metrics.

    /health              {"health":"true","reason":""} or 503 with the reason
    /livez, /readyz      "ok", or 503 with one line a failed check; ?verbose, ?exclude=NAME
    /livez/NAME          one check
    /version             {"etcdserver":"...","etcdcluster":"...","petcd":"..."}
    /metrics             Prometheus text
    /v2/...              etcd's first API, when it is on

Texts and statuses are etcd's as of 3.5.
"""

import json
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from petcd.api.errors import status_of
from petcd.api.host import Host
from petcd.api.v2.endpoints import PREFIX as V2_PREFIX
from petcd.transport.http import Header, HttpRequest, HttpResponder
from petcd.version import ETCD_VERSION, PETCD_VERSION
from petcd.wire.maintenance import AlarmType

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_JSON = (b"content-type", b"application/json")
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_METRICS = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
LIVEZ = ("serializable_read",)
READYZ = ("data_corruption", "serializable_read", "linearizable_read", "non_learner")
# What each path asks for.
CHECKS = {
    "/livez": LIVEZ,
    "/readyz": READYZ,
    **{f"/livez/{name}": (name,) for name in LIVEZ},
    **{f"/readyz/{name}": (name,) for name in READYZ},
}

# Called with None, or with the reason of a failure.
Verdict = Callable[[str | None], None]


# Against DNS rebinding: a page from elsewhere must not reach the store through the browser.
_BAD_HOST = (
    "host {!r} is not allowed: start etcd with --host-whitelist naming it, or leave the flag out\n"
)


class Responder(Protocol):
    """The part of HttpResponder that these endpoints use."""

    def send(self, status: int, headers: Sequence[Header], body: bytes) -> None: ...


class V2Door(Protocol):
    """Who answers what begins with /v2/."""

    def handle(
        self, request: HttpRequest, respond: HttpResponder, more: Sequence[Header]
    ) -> None: ...


class HttpEndpoints:
    """Answers HTTP requests that are not gRPC."""

    def __init__(
        self,
        host: Host,
        metrics: Callable[[], bytes],
        origins: tuple[str, ...] = ("*",),
        hosts: tuple[str, ...] = ("*",),
        v2: V2Door | None = None,
    ) -> None:
        """`origins`: who may call from a browser; `hosts`: Host headers accepted; `v2`: None
        when that API is off."""
        self._host = host
        self._metrics = metrics
        self._origins = Origins(origins)
        self._hosts = frozenset(hosts or ("*",))
        self._any_host = "*" in self._hosts
        self._v2 = v2
        self.healthy_total = 0
        self.unhealthy_total = 0
        # How often each check ended so: (livez or readyz, name of the check, success or error).
        self.checks: dict[tuple[str, str, str], int] = {}
        self.checks_ok: dict[tuple[str, str], bool] = {}

    def handle(self, request: HttpRequest, respond: HttpResponder) -> None:
        """Answer one request; unknown paths get Go's 404."""
        if not (self._any_host or self._host_is_known(request)):
            send_text(respond, 421, _BAD_HOST.format(_host_of(request)))
            return
        more = self._origins.headers(request)
        if request.method == "OPTIONS":
            respond.send(200, more, b"")
        elif self._v2 is not None and request.target.startswith(V2_PREFIX):
            self._v2.handle(request, respond, more)
        else:
            self._route(request, WithHeaders(respond, more) if more else respond)

    def handle_beside(self, request: HttpRequest, respond: Responder) -> None:
        """The same for ports that are not for clients, with the members beside."""
        if urlsplit(request.target).path == "/members":
            members = [member.to_json() for member in self._host.member.membership.members()]
            respond.send(200, [_JSON], b"[" + b",".join(members) + b"]\n")
        else:
            self._route(request, respond)

    def _host_is_known(self, request: HttpRequest) -> bool:
        return _host_of(request) in self._hosts

    def _route(self, request: HttpRequest, respond: Responder) -> None:
        parts = urlsplit(request.target)
        path, query = parts.path, parse_qs(parts.query, keep_blank_values=True)
        if path == "/health":
            self._only_get(request, respond, lambda: self._health(query, respond))
        elif path == "/version":
            self._only_get(request, respond, lambda: self._version(respond))
        elif path == "/metrics":
            respond.send(200, [_METRICS], self._metrics())
        elif path in CHECKS:
            self._only_get(request, respond, lambda: self._checks(path, query, respond))
        else:
            send_text(respond, 404, "404 page not found\n")

    def _only_get(
        self, request: HttpRequest, respond: Responder, answer: Callable[[], None]
    ) -> None:
        if request.method == "GET":
            answer()
        else:
            send_text(respond, 405, "Method Not Allowed\n", (b"allow", b"GET"))

    # -- version ------------------------------------------------------------------------------

    def _version(self, respond: Responder) -> None:
        cluster = self._host.member.membership.version or "not_decided"
        body = {"etcdserver": ETCD_VERSION, "etcdcluster": cluster, "petcd": PETCD_VERSION}
        respond.send(200, [_JSON], json.dumps(body, separators=(",", ":")).encode())

    # -- /health ------------------------------------------------------------------------------

    def _health(self, query: dict[str, list[str]], respond: Responder) -> None:
        serializable = query.get("serializable") == ["true"]
        excluded = set(query.get("exclude", ()))
        member = self._host.member
        for alarm in member.alarms.get():
            name = {AlarmType.NOSPACE: "NOSPACE", AlarmType.CORRUPT: "CORRUPT"}.get(
                alarm.alarm, "UNKNOWN"
            )
            if name not in excluded:
                self._answer_health(respond, f"ALARM {name}")
                return
        if not serializable and not member.leader_id:
            self._answer_health(respond, "RAFT NO LEADER")
        elif serializable:
            self._answer_health(respond, None)
        else:
            self._host.read(self._health_read, respond)

    def _health_read(self, respond: Responder, refusal: object) -> None:
        failed = isinstance(refusal, Exception)
        self._answer_health(respond, f"RANGE ERROR:{_text_of(refusal)}" if failed else None)

    def _answer_health(self, respond: Responder, reason: str | None) -> None:
        healthy = reason is None
        body = json.dumps(
            {"health": "true" if healthy else "false", "reason": reason or ""},
            separators=(",", ":"),
        )
        if healthy:
            self.healthy_total += 1
            respond.send(200, [_TEXT], body.encode())
        else:
            self.unhealthy_total += 1
            send_text(respond, 503, body + "\n")

    # -- /livez and /readyz -------------------------------------------------------------------

    def _checks(self, path: str, query: dict[str, list[str]], respond: Responder) -> None:
        _, kind, *one = path.split("/")
        excluded = set() if one else set(query.get("exclude", ()))
        wanted = [name for name in CHECKS[path] if name not in excluded]
        lines: list[str] = []
        failed = False

        def next_check() -> None:
            if wanted:
                name = wanted.pop(0)
                self._run_check(name, lambda reason: note(name, reason))
            elif failed:
                send_text(respond, 503, "".join(lines) + "\n")
            else:
                body = ("".join(lines) if "verbose" in query else "") + "ok\n"
                respond.send(200, [_TEXT, _NOSNIFF], body.encode())

        def note(name: str, reason: str | None) -> None:
            nonlocal failed
            failed = failed or reason is not None
            self._count_check(kind, name, reason is None)
            lines.append(f"[+]{name} ok\n" if reason is None else f"[-]{name} failed: {reason}\n")
            next_check()

        next_check()

    def _count_check(self, kind: str, name: str, ok: bool) -> None:
        key = (kind, name, "success" if ok else "error")
        self.checks[key] = self.checks.get(key, 0) + 1
        self.checks_ok[kind, name] = ok

    def _run_check(self, name: str, verdict: Verdict) -> None:
        member = self._host.member
        if name == "data_corruption":
            verdict("alarm activated: CORRUPT" if member.alarms.corrupt else None)
        elif name == "non_learner":
            local = member.membership.local
            learner = local is not None and local.is_learner
            verdict("not supported for learner" if learner else None)
        elif name == "linearizable_read":
            self._host.read(
                lambda _, refusal: verdict(_text_of(refusal) if refusal is not None else None), None
            )
        else:
            verdict(None)


class WithHeaders:
    """A responder that adds headers to every answer."""

    def __init__(self, respond: Responder, headers: Sequence[Header]) -> None:
        self._respond = respond
        self._headers = headers

    def send(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """See HttpResponder."""
        self._respond.send(status, [*headers, *self._headers], body)


class Origins:
    """The web pages that may call, by where they come from; `*` are all."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origins or ("*",))
        self._for_any = cors_headers("*") if "*" in self._origins else None

    def headers(self, request: HttpRequest) -> list[Header]:
        """The headers for the request's origin, if that is allowed."""
        if self._for_any is not None:
            return self._for_any
        origin = (request.header(b"origin") or b"").decode("latin-1")
        return cors_headers(origin) if origin in self._origins else []


def cors_headers(origin: str) -> list[Header]:
    """What a browser wants to see before it shows an answer to a page from elsewhere."""
    return [
        (b"access-control-allow-methods", b"POST, GET, OPTIONS, PUT, DELETE"),
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-headers", b"accept, content-type, authorization"),
    ]


def _host_of(request: HttpRequest) -> str:
    """The Host header without its port."""
    host = (request.header(b"host") or b"").decode("latin-1")
    return urlsplit(f"//{host}").hostname or ""


def send_text(respond: Responder, status: int, text: str, *more: tuple[bytes, bytes]) -> None:
    """Answer with plain text, as Go's http.Error does."""
    respond.send(status, [_TEXT, _NOSNIFF, *more], text.encode())


def _text_of(refusal: object) -> str:
    return status_of(refusal)[1] if isinstance(refusal, Exception) else ""
