"""Who the members are: asked of any of them, remembered in a file.

A member's peer port tells all members' URLs under `/members`. The peer URLs that were last known
stand in `<data-dir>/proxy/cluster`, so that a proxy finds the cluster again when the members it was
started with are gone:

    {"PeerURLs":["http://10.0.0.8:2380","http://10.0.0.14:2380"]}

Source: etcd's proxy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

from petcd.transport.http1_answer import ExchangeFailed
from petcd.transport.http_client import HttpClient

ANSWER_TIMEOUT_S = 10.0
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


class Members(NamedTuple):
    """URLs of all members, sorted."""

    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]


class MembersUnknown(Exception):
    """No member told who the members are; the text has each one's reason."""


async def ask_members(client: HttpClient, peer_urls: Sequence[str]) -> Members:
    """The members according to the first that answers. Raises MembersUnknown."""
    faults = []
    for url in peer_urls:
        try:
            answer = await client.fetch(url, "GET", "/members", timeout_s=ANSWER_TIMEOUT_S)
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            return parse_members(answer.body)
        except (ExchangeFailed, OSError, ValueError) as error:
            faults.append(f"{url}: {' '.join(str(error).split()) or type(error).__name__}")
    raise MembersUnknown("; ".join(faults) or "no peer URL is known")


def parse_members(body: bytes) -> Members:
    """The answer of `/members`. Raises ValueError."""
    document = _read_json(body)
    if not isinstance(document, list) or not all(isinstance(each, dict) for each in document):
        raise ValueError("the answer is no list of members")
    return Members(_urls(document, "peerURLs"), _urls(document, "clientURLs"))


def _read_json(body: bytes) -> object:
    try:
        found: object = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return found


def _urls(members: Sequence[dict[str, object]], key: str) -> tuple[str, ...]:
    found: list[str] = []
    for member in members:
        urls = member.get(key) or []  # a member that never started has no client URLs
        if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
            raise ValueError(f"{key} is no list of URLs")
        found += urls
    return tuple(sorted(found))


class ClusterFile:
    """Where the peer URLs are remembered; the folder is made on the first save."""

    def __init__(self, data_dir: str) -> None:
        self.path = os.path.join(data_dir, "proxy", "cluster")

    def load(self) -> tuple[str, ...] | None:
        """The peer URLs, None when there is no file. Raises OSError, and ValueError for a file
        that is none of ours."""
        try:
            with open(self.path, "rb") as file:
                document = _read_json(file.read())
        except FileNotFoundError:
            return None
        if not isinstance(document, dict) or "PeerURLs" not in document:
            raise ValueError(f"{self.path}: expected PeerURLs")
        return _urls([document], "PeerURLs")

    def make_directory(self) -> None:
        """Make the folder, by which the data directory becomes a proxy's. Raises OSError."""
        os.makedirs(os.path.dirname(self.path), DIRECTORY_MODE, exist_ok=True)

    def save(self, peer_urls: Sequence[str]) -> None:
        """Replace the file, so that at any time the old or the new one is whole. Raises OSError."""
        text = json.dumps({"PeerURLs": list(peer_urls)}, separators=(",", ":"))
        beside = self.path + ".bak"
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
        with open(fd, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(fd)
        os.rename(beside, self.path)
