"""What the backend knows of the log: bucket `meta`, keys as in etcd's database.

    consistent_index  8 bytes, big endian: index of the last entry whose effects are in the backend
    term              8 bytes, big endian: its term
    confState         JSON of the raft configuration after it
    petcdLogStart     8 + 8 bytes: index and term of the log's newest snapshot record (our own key)

They are written through the same buffer as the data they speak of and so reach the disk in the
same transaction: after a crash the log is applied again from exactly the right entry.
"""

import json
from typing import Protocol

from petcd.raft.types import ConfState

META = b"meta"
CONSISTENT_INDEX = b"consistent_index"
TERM = b"term"
CONF_STATE = b"confState"
LOG_START = b"petcdLogStart"


class MetaReader(Protocol):
    """What this module needs of a backend to read."""

    def get(self, bucket: bytes, key: bytes) -> bytes | None: ...


class MetaBackend(MetaReader, Protocol):
    """What this module needs of the backend."""

    def put(self, bucket: bytes, key: bytes, value: bytes) -> None: ...


def save_applied(backend: MetaBackend, index: int, term: int) -> None:
    """Record that everything up to this entry is in the backend."""
    backend.put(META, CONSISTENT_INDEX, index.to_bytes(8, "big"))
    backend.put(META, TERM, term.to_bytes(8, "big"))


def load_applied(backend: MetaReader) -> tuple[int, int]:
    """(index, term) of the last applied entry; zeros in a new store."""
    index = backend.get(META, CONSISTENT_INDEX) or b""
    term = backend.get(META, TERM) or b""
    return int.from_bytes(index, "big"), int.from_bytes(term, "big")


def save_conf_state(backend: MetaBackend, state: ConfState) -> None:
    """Record the raft configuration, in etcd's JSON."""
    fields: dict[str, object] = {}
    for name in ("voters", "learners", "voters_outgoing", "learners_next"):
        ids = getattr(state, name)
        if ids:
            fields[name] = ids
    fields["auto_leave"] = state.auto_leave
    backend.put(META, CONF_STATE, json.dumps(fields, separators=(",", ":")).encode())


def load_conf_state(backend: MetaReader) -> ConfState:
    """The raft configuration after the last applied entry; empty in a new store."""
    data = backend.get(META, CONF_STATE)
    if data is None:
        return ConfState()
    fields = json.loads(data)
    return ConfState(
        voters=list(fields.get("voters", ())),
        learners=list(fields.get("learners", ())),
        voters_outgoing=list(fields.get("voters_outgoing", ())),
        learners_next=list(fields.get("learners_next", ())),
        auto_leave=bool(fields.get("auto_leave", False)),
    )


def save_log_start(backend: MetaBackend, index: int, term: int) -> None:
    """Note the snapshot record from which the log is to be read at the next start.

    Written after the record itself is synced; without the note the whole log is searched for it.
    """
    backend.put(META, LOG_START, index.to_bytes(8, "big") + term.to_bytes(8, "big"))


def load_log_start(backend: MetaReader) -> tuple[int, int] | None:
    """(index, term) noted by `save_log_start`, or None."""
    data = backend.get(META, LOG_START)
    if data is None:
        return None
    return int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big")
