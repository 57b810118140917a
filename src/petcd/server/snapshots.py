"""Snapshots to and from the other members, as `messages.Mailbox` asks for them."""

from typing import Any

from petcd.raft.types import Message, Snapshot
from petcd.server.snapshot_receiver import SnapshotReceiver
from petcd.server.snapshot_sender import SnapshotSender


class MemberSnapshots:
    """Both ways together; see `messages.Snapshots`."""

    def __init__(self, sender: SnapshotSender, receiver: SnapshotReceiver) -> None:
        self._sender = sender
        self._receiver = receiver

    def send(self, message: Message) -> None:
        """See `messages.Snapshots`."""
        self._sender.send(message)

    def sent(self, member_id: int, ok: bool) -> None:
        """See `messages.Snapshots`."""
        self._sender.ended(member_id, ok)

    def received(self, message: Message, snapshot: Any) -> None:
        """See `messages.Snapshots`."""
        self._receiver.received(message, snapshot)

    def is_coming(self, index: int) -> bool:
        """See `messages.Snapshots`."""
        return self._receiver.is_coming(index)

    def install(self, snapshot: Snapshot) -> None:
        """See `messages.Snapshots`."""
        self._receiver.install(snapshot)
