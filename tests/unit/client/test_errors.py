"""Errors as users see them."""

import pytest

from petcd.client import errors as e


def test_every_code_has_its_class() -> None:
    for code in range(1, 17):
        error = e.error_of(code, "text")
        assert error.code == code
        assert type(error).__name__ == e.CODE_NAMES[code].replace("Canceled", "Cancelled")


def test_texts_of_etcd_stand_alone_and_others_with_their_code() -> None:
    assert str(e.error_of(5, "etcdserver: key not found")) == "etcdserver: key not found"
    assert str(e.error_of(14, "gone")) == "rpc error: code = Unavailable desc = gone"
    assert str(e.error_of(99, "odd")) == "rpc error: code = Code(99) desc = odd"


def test_a_log_always_has_the_code() -> None:
    error = e.error_of(5, "etcdserver: key not found")
    assert error.describe() == "rpc error: code = NotFound desc = etcdserver: key not found"


@pytest.mark.parametrize(
    ("local", "shown"),
    [(True, "context deadline exceeded"), (False, "rpc error: code = DeadlineExceeded desc = x")],
)
def test_our_own_deadline_is_told_from_the_servers(local: bool, shown: str) -> None:
    assert str(e.DeadlineExceeded("x", local=local)) == shown
