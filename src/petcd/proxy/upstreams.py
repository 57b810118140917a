"""The members' client URLs: which can be tried, and in which order for whom.

Each client has its own order, the same for all of its requests: whoever keeps a connection speaks
to one member, and reads there what it wrote there, as long as that member is well. When a member
fails only its clients move, and they spread over the others (rendezvous hashing).

A member that failed is out for `failure_wait_s`, whatever the list of members says meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

from petcd.proxy.log import Log


class Upstreams:
    """`clock` gives monotonic seconds."""

    def __init__(self, failure_wait_s: float, clock: Callable[[], float], log: Log) -> None:
        self.urls: list[str] = []
        self._failure_wait_s = failure_wait_s
        self._clock = clock
        self._log = log
        self._out_until: dict[str, float] = {}

    def replace(self, urls: Sequence[str]) -> None:
        """The members that there are now."""
        self.urls = list(dict.fromkeys(urls))
        self._out_until = {url: at for url, at in self._out_until.items() if url in self.urls}

    def available(self) -> list[str]:
        """Those that can be tried."""
        if not self._out_until:
            return list(self.urls)
        now = self._clock()
        return [url for url in self.urls if self._out_until.get(url, now) <= now]

    def order_for(self, client: str) -> list[str]:
        """Those that can be tried, in the order for one client (its address as text)."""
        return sorted(self.available(), key=lambda url: _rank(client, url))

    def failed(self, url: str) -> None:
        """A member did not answer: leave it out for a while."""
        now = self._clock()
        if url in self.urls and self._out_until.get(url, now) <= now:
            self._out_until[url] = now + self._failure_wait_s
            self._log.info("marked endpoint unavailable", endpoint=url)


def _rank(client: str, url: str) -> bytes:
    return blake2b(f"{client} {url}".encode(), digest_size=8).digest()
