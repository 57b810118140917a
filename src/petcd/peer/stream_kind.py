"""The two kinds of streams and their names: in paths, in log lines, as codecs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from petcd.peer.streams import AppendReader, AppendWriter, MessageReader, MessageWriter


@dataclass(frozen=True, slots=True)
class StreamKind:
    """One kind: where it is served, what it is called, and its codecs."""

    path: str
    name: str
    writer: Callable[[], AppendWriter | MessageWriter]
    reader: Callable[[int, int], AppendReader | MessageReader]


APPEND = StreamKind("/raft/stream/msgapp", "stream MsgApp v2", AppendWriter, AppendReader)
MESSAGE = StreamKind("/raft/stream/message", "stream Message", MessageWriter, MessageReader)
