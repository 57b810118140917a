"""Work that a node hands to its caller, and the messages to its storage threads.

See `petcd.raft` for the order in which the parts of a Ready must be carried out.
"""

from __future__ import annotations

from petcd.raft.core import Raft
from petcd.raft.kinds import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, MessageType
from petcd.raft.types import Entry, HardState, Message, ReadState, Snapshot, SoftState


class Ready:
    """Work to do. Every list belongs to the caller; entries and messages are not to be changed.

    soft_state: leader and role, if they changed. Not to be stored.
    hard_state: term, vote and commit, if they changed. Write before sending.
    read_states: reads that may be served once their index is applied.
    entries: write before sending; they replace whatever the log holds from the first one on.
    snapshot: install before anything else is applied, or None.
    committed_entries: apply in this order.
    messages: send when hard_state, entries and snapshot are durable.
    must_sync: the write must reach the disk now (False: only the commit index moved).
    """

    __slots__ = (
        "committed_entries",
        "entries",
        "hard_state",
        "messages",
        "must_sync",
        "read_states",
        "snapshot",
        "soft_state",
    )

    def __init__(self, entries: list[Entry], committed_entries: list[Entry]) -> None:
        self.soft_state: SoftState | None = None
        self.hard_state: HardState | None = None
        self.read_states: list[ReadState] = []
        self.entries = entries
        self.snapshot: Snapshot | None = None
        self.committed_entries = committed_entries
        self.messages: list[Message] = []
        self.must_sync = False


def storage_append_message(r: Raft, ready: Ready) -> Message | None:
    """The order to write this Ready's hard state, entries and snapshot, or None if there is no
    such work and nobody waits for earlier writes.

    Its responses are the promises that rest upon the write, and last our own acknowledgement:
    last, because acknowledgements are cheaper to handle while the entries are still unstable.
    Hard state travels in `term`, `vote`, `commit`; all 0 if it did not change.
    """
    responses = r.msgs_after_append
    if not (
        ready.entries or ready.hard_state is not None or ready.snapshot is not None or responses
    ):
        return None
    m = Message(MessageType.STORAGE_APPEND, LOCAL_APPEND_THREAD, r.id, entries=ready.entries)
    hard = ready.hard_state
    if hard is not None:
        m.term, m.vote, m.commit = hard.term, hard.vote, hard.commit
    m.snapshot = ready.snapshot
    if r.raft_log.unstable.entries or ready.snapshot is not None:
        responses = [*responses, _storage_append_response(r, ready.snapshot)]
    m.responses = responses
    return m


def _storage_append_response(r: Raft, snapshot: Snapshot | None) -> Message:
    """Tells us later that everything up to the present end of the log is stable.

    It names the log's end even if this write carries no entries: an earlier response may have
    been refused for its term (see `storage_acks.append_done`), and somebody must vouch for those
    entries. Its term is ours, for the same reason.
    """
    m = Message(MessageType.STORAGE_APPEND_RESP, r.id, LOCAL_APPEND_THREAD, r.term)
    if r.raft_log.unstable.entries:
        m.index = r.raft_log.last_index()
        m.log_term = r.raft_log.last_term()
    m.snapshot = snapshot
    return m


def storage_apply_message(r: Raft, entries: list[Entry]) -> Message:
    """The order to apply committed entries; its one response says that it is done."""
    response = Message(MessageType.STORAGE_APPLY_RESP, r.id, LOCAL_APPLY_THREAD, entries=entries)
    return Message(
        MessageType.STORAGE_APPLY,
        LOCAL_APPLY_THREAD,
        r.id,
        entries=entries,
        responses=[response],
    )
