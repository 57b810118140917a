"""Which endpoint is asked, and what happens when it does not answer.

Endpoints are tried in turn, beginning with the one that answered last; their order is shuffled at
first, so that many clients spread.  A member that answers 500 or 503 has no leader: the next is
tried.  What must not happen twice (creating, deleting) is one-shot: it is sent to one endpoint
only.  Redirects are followed.

`sync` replaces the endpoints by the client URLs that the members publish.
"""

from __future__ import annotations

import json
import os
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from petcd.client.dialing import DialError, DialTimeout, connect_any
from petcd.client.v2.errors import (
    BadUrl,
    ClusterUnavailable,
    DeadlinePassed,
    EndpointFailure,
    InvalidAnswer,
    NoEndpoints,
    UnexpectedStatus,
)
from petcd.client.v2.exchange import Answer, Request, TimeUp, Wire
from petcd.client.v2.url import Url

if TYPE_CHECKING:
    import ssl

REDIRECTS_MAX = 10
HAS_NO_LEADER = (500, 503)
_REASONS = {501: "Not Implemented", 502: "Bad Gateway", 504: "Gateway Timeout"}


class Settings:
    """How to reach any endpoint.  Times in seconds; `header_timeout_s` 0 is without bound.

    `trace` gets a line for each request, `credentials` are name and password, `tls` makes the
    context when the first https endpoint is dialled.
    """

    __slots__ = ("credentials", "dial_timeout_s", "header_timeout_s", "tls", "trace")

    def __init__(
        self,
        dial_timeout_s: float = 30.0,
        header_timeout_s: float = 0.0,
        credentials: tuple[str, str] | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
        trace: Callable[[Url, Request], None] | None = None,
    ) -> None:
        self.dial_timeout_s = dial_timeout_s
        self.header_timeout_s = header_timeout_s
        self.credentials = credentials
        self.tls = tls
        self.trace = trace


class Dialer:
    """Asks single endpoints; connections are kept for the next request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wires: dict[str, Wire] = {}

    def ask(self, url: Url, request: Request, until: float | None, patient: bool = False) -> Answer:
        """One request to one endpoint, redirects followed.

        `until` ends all of it; `patient`: no limit of its own for the head.
        Raises EndpointFailure, DeadlinePassed.
        """
        for _ in range(REDIRECTS_MAX + 1):
            answer = self._ask_once(url, request, until, patient)
            if answer.status // 100 != 3:
                return answer
            location = answer.headers.get("location", "")
            if not location:
                raise EndpointFailure("location header not set")
            url, request = _redirected(url, request, location)
        raise EndpointFailure("client: too many redirects")

    def _ask_once(self, url: Url, request: Request, until: float | None, patient: bool) -> Answer:
        settings = self._settings
        if settings.trace is not None:
            settings.trace(url, request)
        head_until = until
        if settings.header_timeout_s > 0 and not patient:
            own = time.monotonic() + settings.header_timeout_s
            head_until = own if until is None else min(own, until)
        if settings.credentials is not None:
            pair = ":".join(settings.credentials).encode("utf-8", "surrogateescape")
            request.headers["Authorization"] = "Basic " + b64encode(pair).decode()
        try:
            return self._exchange(url, request, head_until, until)
        except TimeUp:
            if until is not None and time.monotonic() >= until:
                raise DeadlinePassed from None
            raise EndpointFailure(f"client: endpoint {url.shown} exceeded header timeout") from None

    def _exchange(
        self, url: Url, request: Request, head_until: float | None, until: float | None
    ) -> Answer:
        wire = self._wires.pop(url.shown, None)
        if wire is not None:
            try:
                return self._keep(url, wire, wire.ask(request, url.host, head_until, until))
            except EndpointFailure:
                # It may have been closed while nobody looked; then nothing was answered.
                if request.method != "GET" or not wire.untouched:
                    raise
        wire = self._dial(url, head_until)
        return self._keep(url, wire, wire.ask(request, url.host, head_until, until))

    def _keep(self, url: Url, wire: Wire, answer: Answer) -> Answer:
        if wire.usable:
            self._wires[url.shown] = wire
        return answer

    def _dial(self, url: Url, head_until: float | None) -> Wire:
        now = time.monotonic()
        until = now + self._settings.dial_timeout_s
        ours = head_until is not None and head_until <= until
        try:
            endpoint = url.endpoint()
            _, sock = connect_any([endpoint], head_until if ours else until, time.monotonic)
        except DialTimeout as error:
            if ours:
                raise TimeUp from None
            text = str(error) or f"dial tcp {url.host}: i/o timeout"
            raise EndpointFailure(text, connecting=True) from None
        except DialError as error:
            raise EndpointFailure(str(error), connecting=True) from None
        except BadUrl as error:
            raise EndpointFailure(str(error)) from None
        if endpoint.tls:
            assert self._settings.tls is not None
            sock.settimeout(max(until - time.monotonic(), 0.001))
            try:
                sock = self._settings.tls().wrap_socket(
                    sock, server_hostname=endpoint.address.rpartition(":")[0].strip("[]")
                )
            except OSError as error:
                sock.close()
                raise EndpointFailure(f"tls: {error}") from None
        return Wire(sock)

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()


def _redirected(url: Url, request: Request, location: str) -> tuple[Url, Request]:
    if location.startswith("/"):
        where, target = url, location
    else:
        where = Url(location)
        where, target = Url(f"{where.scheme}://{where.host}"), where.path or "/"
    again = Request(request.method, target, request.body)
    again.headers = request.headers
    return where, again


class Cluster:
    """The endpoints of one cluster."""

    def __init__(self, endpoints: Sequence[str], settings: Settings) -> None:
        self.dialer = Dialer(settings)
        self._pinned = 0
        self._urls = _shuffled([Url(text) for text in endpoints])

    @property
    def endpoints(self) -> list[str]:
        """What is asked, in this order."""
        return [url.shown for url in self._urls]

    def ask(
        self,
        request: Callable[[Url], Request],
        until: float | None,
        one_shot: bool = False,
        patient: bool = False,
    ) -> Answer:
        """The answer of the first endpoint that gives one.

        `request` makes what is sent for an endpoint.  Raises V2Failure.
        """
        if not self._urls:
            raise NoEndpoints
        failures = []
        for step in range(len(self._urls)):
            position = (self._pinned + step) % len(self._urls)
            url = self._urls[position]
            try:
                answer = self.dialer.ask(url, request(url), until, patient)
                _check(url, answer)
            except EndpointFailure as failure:
                if one_shot:
                    self._pinned = (position + 1) % len(self._urls)
                    raise
                failures.append(failure)
                continue
            self._pinned = position
            return answer
        raise ClusterUnavailable(failures)

    def sync(self, until: float | None) -> None:
        """Take the published client URLs for endpoints.  Raises V2Failure."""
        from petcd.client.v2.members import member_list

        urls = [Url(text) for member in member_list(self, until) for text in member.client_urls]
        if not urls:
            raise NoEndpoints
        if sorted(url.shown for url in urls) != sorted(self.endpoints):
            self._urls = _shuffled(urls)
            self._pinned = 0

    def close(self) -> None:
        self.dialer.close()


def _check(url: Url, answer: Answer) -> None:
    if answer.status in HAS_NO_LEADER:
        raise EndpointFailure(f"client: etcd member {url.shown} has no leader")
    if answer.status // 100 == 5:
        reason = _REASONS.get(answer.status, "")
        raise EndpointFailure(f"client: etcd member {url.shown} returns server error [{reason}]")


def _shuffled(urls: list[Url]) -> list[Url]:
    left, shuffled = list(urls), []
    while left:
        shuffled.append(left.pop(int.from_bytes(os.urandom(4)) % len(left)))
    return shuffled


def checked(answer: Answer, *wanted: int) -> Answer:
    """Raises UnexpectedStatus."""
    if answer.status not in wanted:
        raise UnexpectedStatus(answer.status)
    return answer


def json_object(body: bytes) -> dict[str, object]:
    """Raises InvalidAnswer."""
    try:
        found = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise InvalidAnswer from None
    if not isinstance(found, dict):
        raise InvalidAnswer
    return found
