"""Which of a peer's URLs to use: the one that worked last; after a failure the next."""

from __future__ import annotations

from collections.abc import Sequence


class UrlPicker:
    """URLs of one peer, shared by everything that speaks to it."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.update(urls)

    def update(self, urls: Sequence[str]) -> None:
        """The peer has other URLs now. One without any, as a member of etcd may let it happen, is
        not reached."""
        self._urls = [url.rstrip("/") for url in urls] or [""]
        self._picked = 0

    def pick(self) -> str:
        """The URL to use now."""
        return self._urls[self._picked]

    def unreachable(self, url: str) -> None:
        """This URL failed; those who report the same failure later change nothing."""
        if url == self._urls[self._picked]:
            self._picked = (self._picked + 1) % len(self._urls)
