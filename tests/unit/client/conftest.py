"""Servers of gRPC handlers, and channels whose log can be read."""

from collections.abc import Callable, Iterator

import pytest
from fake_servers import FakeServer, serving

from petcd.client.channel import Channel, Credentials
from petcd.client.endpoint import Endpoint, parse_endpoint

serve = pytest.fixture(serving, name="serve")


class LoggedChannel(Channel):
    """A channel whose log is a list of (level, message, fields)."""

    def __init__(self, endpoints: list[Endpoint], credentials: Credentials | None = None) -> None:
        self.lines: list[tuple[str, str, dict[str, str | int]]] = []
        super().__init__(
            endpoints,
            credentials,
            log=lambda level, caller, message, fields: self.lines.append((level, message, fields)),
        )

    def errors(self) -> list[str]:
        return [str(fields["error"]) for _, _, fields in self.lines]


@pytest.fixture
def open_channel() -> Iterator[Callable[..., LoggedChannel]]:
    """`open_channel(server, server, ...)`; closed with the test."""
    channels: list[LoggedChannel] = []

    def make(*ways: FakeServer | Endpoint, credentials: Credentials | None = None):
        endpoints = [way.endpoint if isinstance(way, FakeServer) else way for way in ways]
        channels.append(LoggedChannel(endpoints, credentials))
        return channels[-1]

    yield make
    for channel in channels:
        channel.close()


@pytest.fixture
def dead_endpoint() -> Endpoint:
    """An address where nobody listens."""
    return parse_endpoint("127.0.0.1:1")
