"""A registry under a URL of the v2 API: `http://HOST/v2/keys/_etcd/registry/TOKEN`.

Any etcd or petcd can keep it, also behind a service that shows only `http://HOST/TOKEN`. Over
https the system's authorities are trusted.
"""

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from petcd.client.v2.cluster import json_object
from petcd.client.v2.errors import InvalidAnswer
from petcd.client.v2.keys import Node
from petcd.server.discovery_registry import (
    BAD_ENDPOINT,
    INVALID_URL,
    SIZE_NOT_FOUND,
    DiscoveryFailed,
    Entry,
    Unanswered,
)
from petcd.transport.http1_answer import ExchangeFailed
from petcd.transport.http_client import HttpClient, Response

REQUEST_TIMEOUT_S = 5.0
DIAL_TIMEOUT_S = 30.0
WATCH_S = 300.0
"""A watch that stays silent for this long is begun anew, lest a dead connection be waited for."""
REDIRECTS_MAX = 10

KEY_NOT_FOUND = 100
NODE_EXISTS = 105
INDEX_CLEARED = 401
_FORM = (b"content-type", b"application/x-www-form-urlencoded")


class V2Registry:
    """See `discovery_registry.Registry`. Made inside a running loop; `close` ends it."""

    def __init__(self, url: str, http_proxy: str = "") -> None:
        """Raises DiscoveryFailed when the URL is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise DiscoveryFailed(INVALID_URL)
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._path = "/" + parts.path.strip("/")
        self._proxy = _proxy_url(http_proxy, parts.scheme)
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._client = HttpClient(DIAL_TIMEOUT_S, tls)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def size(self) -> str:
        """See Registry."""
        node, _ = await self._get(f"{self._path}/_config/size")
        return node.value

    async def entries(self) -> tuple[list[Entry], int]:
        """See Registry."""
        node, index = await self._get(self._path)
        found = [
            Entry(_name(each), each.value, each.created_index)
            for each in node.nodes or ()
            if _name(each) != "_config"
        ]
        return found, index

    async def register(self, member_id: str, peers: str) -> bool:
        """See Registry."""
        body = urlencode({"value": peers}).encode()
        target = f"{self._path}/{member_id}?prevExist=false"
        answer = await self._ask("PUT", target, REQUEST_TIMEOUT_S, body)
        fields = _fields(answer)
        if fields.get("errorCode") == NODE_EXISTS:
            return False
        _refuse_error(fields)
        return True

    async def changed_since(self, index: int) -> None:
        """See Registry."""
        query = f"wait=true&recursive=true&waitIndex={index + 1}"
        try:
            async with asyncio.timeout(WATCH_S):
                answer = await self._ask("GET", f"{self._path}?{query}", 2 * WATCH_S)
        except TimeoutError:
            return
        if not answer.body:  # the service is stopping
            raise Unanswered("the watch ended")
        fields = _fields(answer)
        if fields.get("errorCode") != INDEX_CLEARED:
            _refuse_error(fields)

    async def _get(self, path: str) -> tuple[Node, int]:
        answer = await self._ask("GET", path, REQUEST_TIMEOUT_S)
        fields = _fields(answer)
        if fields.get("errorCode") == KEY_NOT_FOUND:
            raise DiscoveryFailed(SIZE_NOT_FOUND)
        _refuse_error(fields)
        index = answer.header(b"x-etcd-index") or b""
        try:
            return Node(fields.get("node")), int(index) if index.isdigit() else 0
        except InvalidAnswer:
            raise DiscoveryFailed(BAD_ENDPOINT) from None

    async def _ask(self, method: str, target: str, timeout_s: float, body: bytes = b"") -> Response:
        base, target = self._base, quote(target, safe="/?=&%:_-.~")
        headers = [_FORM] if body else []
        for _ in range(REDIRECTS_MAX):
            shown = base + target if self._proxy else target
            try:
                answer = await self._client.fetch(
                    self._proxy or base, method, shown, headers, body, timeout_s
                )
            except (ExchangeFailed, OSError) as error:
                raise Unanswered(str(error) or type(error).__name__) from None
            if answer.status // 100 == 5:
                raise Unanswered(f"{base} answers {answer.status}")
            location = (answer.header(b"location") or b"").decode("latin-1")
            if answer.status // 100 != 3 or not location:
                return answer
            parts = urlsplit(location)
            base = f"{parts.scheme}://{parts.netloc}" if parts.netloc else base
            target = parts.path + (f"?{parts.query}" if parts.query else "")
        raise DiscoveryFailed(BAD_ENDPOINT)


def _name(node: Node) -> str:
    return node.key.rpartition("/")[2]


def _fields(answer: Response) -> Mapping[str, object]:
    try:
        return json_object(answer.body)
    except InvalidAnswer:
        raise DiscoveryFailed(BAD_ENDPOINT) from None


def _refuse_error(fields: Mapping[str, object]) -> None:
    if "errorCode" in fields:
        text = f"{fields['errorCode']}: {fields.get('message')} ({fields.get('cause', '')})"
        raise DiscoveryFailed(f"discovery: {text}")


def _proxy_url(text: str, scheme: str) -> str:
    if not text:
        return ""
    if scheme == "https":
        raise DiscoveryFailed("--discovery-proxy: a discovery URL of https goes through no proxy")
    return text if text.startswith(("http://", "https://")) else f"http://{text}"
