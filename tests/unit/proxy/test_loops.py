"""Targets that lead back to the process that would dial them."""

import pytest

from petcd.proxy.loops import own_address


@pytest.mark.parametrize(
    ("target", "listening"),
    [
        (("127.0.0.1", 2379), ("127.0.0.1", 2379)),
        (("localhost", 2379), ("127.0.0.1", 2379)),
        (("127.0.0.1", 2379), ("localhost", 2379)),
        (("127.0.0.1", 2379), ("0.0.0.0", 2379)),
        (("127.0.0.1", 2379), ("", 2379)),
        (("0.0.0.0", 2379), ("127.0.0.1", 2379)),
    ],
)
def test_an_own_address_is_recognised(target, listening):
    assert own_address(target, [("10.0.0.1", 1), listening])


@pytest.mark.parametrize(
    ("target", "listening"),
    [
        (("127.0.0.1", 2379), ("127.0.0.1", 2380)),
        (("127.0.0.2", 2379), ("127.0.0.1", 2379)),
        (("192.0.2.7", 2379), ("0.0.0.0", 2379)),
    ],
)
def test_another_address_is_not(target, listening):
    assert own_address(target, [listening]) is None


def test_a_name_that_nobody_knows_is_an_error_and_not_a_stranger():
    with pytest.raises(OSError):
        own_address(("nowhere.invalid", 1), [("127.0.0.1", 1)])
