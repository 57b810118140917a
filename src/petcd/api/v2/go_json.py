"""Nodes, events and texts as Go's JSON encoder writes them, byte for byte.

`<`, `>` and `&` are escaped, control characters other than newline, return and tab as \\u00XX, a
byte that is not UTF-8 as \\ufffd; everything else stands as it is. Members that are empty are left
out; their order is etcd's.
"""

import re
from datetime import UTC, datetime

from petcd.api.v2.pieces import Piece, Timed
from petcd.member.v2.nodes import Event, Node

_NS_PER_S = 1_000_000_000
_plain = re.compile(rb"[ !#-%'-;=?-\[\]-\x7f]*").fullmatch
_ODD = re.compile(r'[\0-\x1f"\\<>&\u2028\u2029\ud800-\udfff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(raw: bytes) -> bytes:
    """A JSON string of UTF-8 bytes."""
    if _plain(raw):
        return b'"%b"' % raw
    text = _ODD.sub(_escape, raw.decode("utf-8", "surrogateescape"))
    return b'"%b"' % text.encode()


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    if 0xD800 <= ord(char) <= 0xDFFF:
        return "\\ufffd"
    return _SHORT.get(char) or f"\\u{ord(char):04x}"


def file_json(path: bytes, value: bytes, modified: int, created: int) -> bytes:
    """A file that stays."""
    return b'{"key":%b,"value":%b,"modifiedIndex":%d,"createdIndex":%d}' % (
        quote(path),
        quote(value),
        modified,
        created,
    )


def node_json(node: Node, now_ns: int) -> bytes:
    """A node without what it holds; `now_ns` is what a time to live is counted from."""
    if node.value is not None and not node.expiration_ns:
        return file_json(node.path, node.value, node.modified, node.created)
    return text_at(leaf_of(node), now_ns)


def text_at(piece: Piece, now_ns: int) -> bytes:
    """A piece as it stands at a time."""
    return piece if isinstance(piece, bytes) else piece.at(now_ns)


def leaf_of(node: Node) -> Piece:
    """A node without what it holds, whenever it is shown."""
    if node.value is not None and not node.expiration_ns:
        return file_json(node.path, node.value, node.modified, node.created)
    return _piece(node, closing_of(node))


def opening_of(node: Node) -> Piece:
    """A directory's members in front of its nodes."""
    return _piece(node, b"")


def closing_of(node: Node) -> bytes:
    """A node's members behind its nodes."""
    tail = _tail(node)
    return b",%b}" % tail if tail else b"}"


def _piece(node: Node, after: bytes) -> Piece:
    parts = []
    if node.path:
        parts.append(b'"key":' + quote(node.path))
    if node.value is not None:
        parts.append(b'"value":' + quote(node.value))
    if node.is_dir:
        parts.append(b'"dir":true')
    before = b"{" + b",".join(parts)
    if not node.expiration_ns:
        return before + after
    expiration = time_text(node.expiration_ns).encode()
    return Timed(b'%b,"expiration":"%b"' % (before, expiration), node.expiration_ns, after)


def _tail(node: Node) -> bytes:
    parts = []
    if node.modified:
        parts.append(b'"modifiedIndex":%d' % node.modified)
    if node.created:
        parts.append(b'"createdIndex":%d' % node.created)
    return b",".join(parts)


def event_json(event: Event, now_ns: int, with_nodes: bool = True) -> bytes:
    """An event, with its newline; without nodes only what was done."""
    action = b'{"action":"%b"' % event.action.encode()
    if not with_nodes:
        return action + b"}\n"
    node = node_json(event.node, now_ns)
    if event.prev is None:
        return b'%b,"node":%b}\n' % (action, node)
    return b'%b,"node":%b,"prevNode":%b}\n' % (action, node, node_json(event.prev, now_ns))


def time_text(time_ns: int) -> str:
    """RFC 3339 in UTC with up to nine digits, trailing zeros cut."""
    seconds, rest = divmod(time_ns, _NS_PER_S)
    whole = datetime.fromtimestamp(min(seconds, 253402300799), UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{whole}{fraction}Z"


def duration_text(duration_ns: int) -> str:
    """A duration of a second or more as Go prints it: 1h2m3.5s."""
    seconds, rest = divmod(max(duration_ns, 0), _NS_PER_S)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{seconds}.{rest:09d}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
