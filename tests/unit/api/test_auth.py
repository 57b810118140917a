"""What a store without users says of authentication."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from petcd.api.errors import FAILED_PRECONDITION, UNAVAILABLE
from petcd.api.v3.auth import AuthService
from petcd.member.errors import Stopped
from petcd.wire.auth import AuthenticateRequest, AuthStatusResponse


class Asked:
    """A call that keeps its answer."""

    def __init__(self) -> None:
        self.answer: Any = None

    def reply(self, body: bytes) -> None:
        self.answer = body

    def fail(self, code: int, message: str) -> None:
        self.answer = code, message


def host(refusal: Exception | None = None) -> Any:
    member = SimpleNamespace(
        id=7, term=3, membership=SimpleNamespace(cluster_id=9), store=SimpleNamespace(revision=42)
    )
    return SimpleNamespace(member=member, read=lambda serve, context: serve(context, refusal))


def asked(method: str, body: bytes = b"", refusal: Exception | None = None) -> Any:
    call = Asked()
    getattr(AuthService(host(refusal)), method)(cast(Any, call), body)
    return call.answer


def test_authentication_is_off() -> None:
    answer = AuthStatusResponse.decode(asked("auth_status"))
    assert (answer.enabled, answer.authRevision) == (False, 1)
    assert answer.header is not None
    assert (answer.header.cluster_id, answer.header.member_id) == (9, 7)
    assert (answer.header.revision, answer.header.raft_term) == (42, 3)


def test_who_logs_in_is_told_that_there_is_no_need() -> None:
    body = AuthenticateRequest(name="root", password="secret").encode()
    refusal = FAILED_PRECONDITION, "etcdserver: authentication is not enabled"
    assert asked("authenticate", body) == refusal


@pytest.mark.parametrize("method", ["auth_status", "authenticate"])
def test_neither_is_said_without_the_cluster(method: str) -> None:
    assert asked(method, refusal=Stopped())[0] == UNAVAILABLE


@pytest.mark.parametrize("method", ["auth_status", "authenticate"])
def test_a_malformed_request_is_refused(method: str) -> None:
    code, message = asked(method, b"\x0a\xff")
    assert code == 13
    assert message
