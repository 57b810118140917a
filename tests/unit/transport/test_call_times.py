"""How long calls took, for whoever asks; one figure for each call, however it ends."""

from collections.abc import Callable

import pytest


@pytest.fixture
def timed(serve: Callable) -> Callable:
    """A service whose clock goes on by itself; `took` are the figures of a method."""

    def make(*names: str):
        service = serve()
        service.ticks = 0.0
        service.engine.clock = lambda: service.now + service.ticks
        service.took = {name: [] for name in names}
        for name, found in service.took.items():
            service.method(name).observe_s = found.append
        return service

    return make


def test_a_call_takes_from_its_headers_to_its_answer(timed) -> None:
    service = timed("Unary", "Later")
    service.ticks = 0.25
    for _ in range(3):
        service.unary("Unary", b"small")  # from the second one on by the quick way
    service.unary("Unary", b"x" * 5000)
    assert service.took == {"Unary": [0.25] * 4, "Later": []}


def test_a_refused_call_and_one_that_is_reset_have_their_times(timed) -> None:
    service = timed("Later")
    for _ in range(2):
        sid = service.open("Later")
        service.send(sid, b"\0\0\0\0\x01x", end=True)
    service.ticks = 1.5
    service.calls[0].fail(5, "gone")
    service.ticks = 2.0
    service.client.reset_stream(sid, 8)
    service.exchange()
    assert service.took["Later"] == [1.5, 2.0]


def test_a_stream_takes_until_it_ends(timed) -> None:
    service = timed("Bidi")
    sid = service.open("Bidi")
    service.send(sid, b"\0\0\0\0\x01x")
    assert service.took["Bidi"] == []
    service.ticks = 60.0
    service.send(sid, b"", end=True)
    assert service.took["Bidi"] == [60.0]


def test_calls_are_counted_though_nobody_wants_their_times(serve) -> None:
    service = serve()
    service.unary("Unary", b"x")
    assert service.method("Unary").handled[0] == 1
