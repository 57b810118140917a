"""Refusals as Go's http.Error writes them; peers compare their texts."""

from __future__ import annotations

from collections.abc import Sequence

from petcd.transport.http import Header, HttpResponder

ERROR_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"x-content-type-options", b"nosniff"),
)


def send_error(
    respond: HttpResponder, status: int, text: str, headers: Sequence[Header] = ()
) -> None:
    """Answer with a status and a line of text."""
    respond.send(status, [*headers, *ERROR_HEADERS], text.encode() + b"\n")


def send_method_not_allowed(respond: HttpResponder, allowed: str) -> None:
    """The path is right, the method is not."""
    send_error(respond, 405, "Method Not Allowed", [(b"allow", allowed.encode())])


def send_not_found(respond: HttpResponder) -> None:
    """Nothing is served under the path."""
    send_error(respond, 404, "404 page not found")
