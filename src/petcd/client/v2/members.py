"""The members' API: `/v2/members`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from petcd.client.log import replace_surrogates
from petcd.client.peer_urls import BadPeerUrl, checked_peer_urls
from petcd.client.v2.cluster import Cluster, checked, json_object
from petcd.client.v2.errors import BadUrl, InvalidAnswer, Refused
from petcd.client.v2.exchange import Request
from petcd.client.v2.url import Url, clean_path, escape_path

JSON = "application/json"


class Member:
    """A member.  `id` is hexadecimal; the name is empty until it has started."""

    __slots__ = ("client_urls", "id", "name", "peer_urls")

    def __init__(self, fields: dict[str, object]) -> None:
        self.id = str(fields.get("id", ""))
        self.name = str(fields.get("name", ""))
        self.peer_urls = texts(fields.get("peerURLs"))
        self.client_urls = texts(fields.get("clientURLs"))


def texts(value: object) -> list[str]:
    """A list of strings as JSON holds it; anything else is none."""
    return [str(item) for item in value] if isinstance(value, list) else []


def _request(url: Url, method: str, member: str = "", peer_urls: Sequence[str] = ()) -> Request:
    target = escape_path(clean_path(f"{url.path}/v2/members/{member}").rstrip("/"))
    if not peer_urls:
        return Request(method, target)
    return Request(method, target, json_body({"peerURLs": list(peer_urls)}), JSON)


def json_body(fields: dict[str, object]) -> str:
    """A JSON object without blanks."""
    return replace_surrogates(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))


def member_list(cluster: Cluster, until: float | None) -> list[Member]:
    """All members.  Raises V2Failure."""
    answer = checked(cluster.ask(lambda url: _request(url, "GET"), until), 200)
    found = json_object(answer.body).get("members") or []
    if not isinstance(found, list):
        raise InvalidAnswer
    return [Member(fields) for fields in found if isinstance(fields, dict)]


def member_leader(cluster: Cluster, until: float | None) -> Member:
    """The member that leads.  Raises V2Failure."""
    answer = checked(cluster.ask(lambda url: _request(url, "GET", "leader"), until), 200)
    return Member(json_object(answer.body))


def member_add(cluster: Cluster, peer_url: str, until: float | None) -> Member:
    """Raises V2Failure; Refused with the server's reason."""
    urls = checked_urls([peer_url])
    answer = checked(cluster.ask(lambda url: _request(url, "POST", "", urls), until), 201, 409)
    if answer.status != 201:
        raise Refused(message(answer.body))
    return Member(json_object(answer.body))


def member_update(
    cluster: Cluster, member: str, peer_urls: Sequence[str], until: float | None
) -> None:
    """Raises V2Failure; Refused with the server's reason."""
    urls = checked_urls(peer_urls)
    answer = cluster.ask(lambda url: _request(url, "PUT", member, urls), until)
    if checked(answer, 204, 404, 409).status != 204:
        raise Refused(message(answer.body))


def member_remove(cluster: Cluster, member: str, until: float | None) -> None:
    """Raises V2Failure."""
    checked(cluster.ask(lambda url: _request(url, "DELETE", member), until), 204, 410)


def message(body: bytes) -> str:
    """What the server said.  Raises InvalidAnswer."""
    return str(json_object(body).get("message", ""))


def checked_urls(texts: Sequence[str]) -> list[str]:
    """Peer URLs in order; scheme, host and port must be there and no path.  Raises BadUrl."""
    try:
        return checked_peer_urls(texts)
    except BadPeerUrl as error:
        raise BadUrl(str(error)) from None
