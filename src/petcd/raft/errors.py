"""Errors of the raft room: few and named.

Two kinds only. `RaftError` is an operating outcome that a caller must expect (a dropped proposal, a
log position that is compacted). `InvariantBroken` is our own mistake or a damaged log: nobody
catches it, the process dies rather than writes wrong data.
"""

from __future__ import annotations

from typing import NoReturn


class RaftError(Exception):
    """Base of every expected outcome below; `str()` gives the text etcd's library uses."""


class ProposalDropped(RaftError):
    """The proposal was not taken: no leader, forwarding off, a transfer runs, log too long."""

    def __init__(self) -> None:
        super().__init__("raft proposal dropped")


class StepLocalMessage(RaftError):
    """A message type that only this process may create arrived as if from the network."""

    def __init__(self) -> None:
        super().__init__("raft: cannot step raft local message")


class StepPeerNotFound(RaftError):
    """A response arrived from a node that is not in the configuration."""

    def __init__(self, peer: int) -> None:
        self.peer = peer
        super().__init__("raft: cannot step as peer not found")


class Compacted(RaftError):
    """The log position lies before the first entry that the log still holds."""

    def __init__(self) -> None:
        super().__init__("requested index is unavailable due to compaction")


class Unavailable(RaftError):
    """The log position lies behind the last entry."""

    def __init__(self) -> None:
        super().__init__("requested entry at index is unavailable")


class SnapshotOutOfDate(RaftError):
    """A snapshot at or before the one already held was offered."""

    def __init__(self) -> None:
        super().__init__("requested index is older than the existing snapshot")


class SnapshotTemporarilyUnavailable(RaftError):
    """Storage needs time to prepare a snapshot; raft asks again later."""

    def __init__(self) -> None:
        super().__init__("snapshot is temporarily unavailable")


class ConfChangeRefused(RaftError):
    """A configuration change that would break an invariant of configurations."""


class ConfChangeDamaged(RaftError):
    """The bytes of a configuration change entry do not parse."""


class InvariantBroken(AssertionError):
    """Our own mistake or a corrupted log. Never caught: the process ends."""


def broken(text: str) -> NoReturn:
    """Stop here: `text` names the violated invariant and its values."""
    raise InvariantBroken(text)
