"""The seam between a member and the others: messages out, messages and news of the peers in.

    runtime --send, add, update, remove--> Network        petcd.peer, or the simulator's
    runtime <--received, unreachable, ...--- Network      through PeerEvents

The network may lose, delay and reorder messages. It never blocks: what does not fit into a queue is
dropped, and the peer reported unreachable. All calls are made on the loop's thread.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from petcd.raft.types import Message


class PeerEvents(Protocol):
    """What the network tells the member."""

    def received(self, message: Message) -> None:
        """A message arrived; it is handled in the next turn."""
        ...

    def unreachable(self, member_id: int) -> None:
        """A message to this peer could not be sent."""
        ...

    def snapshot_sent(self, member_id: int, ok: bool) -> None:
        """Sending a snapshot to this peer ended, well or not."""
        ...

    def snapshot_received(self, message: Message, snapshot: Any) -> None:
        """A snapshot message arrived with its body: a file's path, or the simulator's object."""
        ...

    def is_removed(self, member_id: int) -> bool:
        """Whether this member was removed from the cluster: it is told so and not listened to."""
        ...


class Network(Protocol):
    """Connections to the other members."""

    def send(self, messages: Sequence[Message]) -> None:
        """Send raft messages, but no snapshots. Never blocks, promises nothing."""
        ...

    def send_snapshot(self, message: Message, snapshot: Any, size_bytes: int) -> None:
        """Stream a snapshot; `PeerEvents.snapshot_sent` tells how it went."""
        ...

    def add(self, member_id: int, peer_urls: Sequence[str]) -> None:
        """From now on this member is a peer."""
        ...

    def update(self, member_id: int, peer_urls: Sequence[str]) -> None:
        """A peer is reached under other URLs."""
        ...

    def remove(self, member_id: int) -> None:
        """This member is no peer any more. One that is none already is no error."""
        ...

    def active_since_s(self, member_id: int) -> float | None:
        """Since when (loop time) the peer is connected; None when it is not."""
        ...


class PeerCalls(Protocol):
    """Short requests to the peer port of another member."""

    def ask(
        self,
        member_id: int,
        target: str,
        body: bytes,
        timeout_s: float,
        done: Callable[[int, bytes], None],
    ) -> None:
        """POST to the member; done(HTTP status, body of the answer), on the loop.

        Status 0 says that there was no answer: the request may have been carried out or not.
        """
        ...


class NoCalls:
    """For members that ask nobody."""

    def ask(
        self,
        member_id: int,
        target: str,
        body: bytes,
        timeout_s: float,
        done: Callable[[int, bytes], None],
    ) -> None:
        """Nobody answers."""
        done(0, b"")
