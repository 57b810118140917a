"""States, entries, messages and Readies as text, in the notation of etcd's raft traces.

1->2 MsgApp Term:1 Log:1/10 Commit:10 Entries:[1/11 EntryNormal "put"]
"""

from __future__ import annotations

from petcd.raft.changes import decode_conf_change
from petcd.raft.errors import ConfChangeDamaged
from petcd.raft.kinds import (
    ENTRY_TYPE_NAMES,
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    MESSAGE_TYPE_NAMES,
    NONE,
    STATE_NAMES,
    ConfChangeType,
    EntryType,
)
from petcd.raft.quoting import quote_bytes
from petcd.raft.ready import Ready
from petcd.raft.types import (
    ConfChangeSingle,
    ConfState,
    Entry,
    HardState,
    Message,
    Snapshot,
    SoftState,
)

_CHANGE_LETTERS = {
    ConfChangeType.ADD_NODE: "v",
    ConfChangeType.ADD_LEARNER_NODE: "l",
    ConfChangeType.REMOVE_NODE: "r",
    ConfChangeType.UPDATE_NODE: "u",
}


def describe_hard_state(state: HardState) -> str:
    """`Term:1 Vote:1 Commit:2`; no vote, no word of it."""
    vote = f" Vote:{state.vote}" if state.vote else ""
    return f"Term:{state.term}{vote} Commit:{state.commit}"


def describe_soft_state(state: SoftState) -> str:
    """`Lead:1 State:StateLeader`."""
    return f"Lead:{state.lead} State:{STATE_NAMES[state.state]}"


def describe_conf_state(state: ConfState) -> str:
    """`Voters:[1 2] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false`."""
    return (
        f"Voters:{_ids(state.voters)} VotersOutgoing:{_ids(state.voters_outgoing)} "
        f"Learners:{_ids(state.learners)} LearnersNext:{_ids(state.learners_next)} "
        f"AutoLeave:{'true' if state.auto_leave else 'false'}"
    )


def _ids(ids: list[int]) -> str:
    return f"[{' '.join([str(one) for one in ids])}]"


def describe_snapshot(snapshot: Snapshot) -> str:
    """Position and configuration; the data is left out."""
    meta = snapshot.metadata
    conf = describe_conf_state(meta.conf_state)
    return f"Index:{meta.index} Term:{meta.term} ConfState:{conf}"


def describe_entry(entry: Entry) -> str:
    """`1/11 EntryNormal "put"`: term, index, type, and data or configuration change."""
    if entry.type == EntryType.NORMAL:
        text = quote_bytes(entry.data)
    else:
        text = _describe_conf_change(entry)
    head = f"{entry.term}/{entry.index} {ENTRY_TYPE_NAMES[entry.type]}"
    return f"{head} {text}" if text else head


def _describe_conf_change(entry: Entry) -> str:
    try:
        change = decode_conf_change(entry)
    except ConfChangeDamaged as why:
        return str(why)
    return "" if change is None else describe_changes(change.as_v2().changes)


def describe_changes(changes: list[ConfChangeSingle]) -> str:
    """`v1 l2 r3 u4`: voter, learner, removal, update."""
    return " ".join([f"{_CHANGE_LETTERS[each.type]}{each.node_id}" for each in changes])


def describe_entries(entries: list[Entry]) -> str:
    """One line per entry."""
    return "".join([f"{describe_entry(entry)}\n" for entry in entries])


def describe_target(node: int) -> str:
    """An id in hexadecimal, or the name of what has none."""
    if node == NONE:
        return "None"
    if node == LOCAL_APPEND_THREAD:
        return "AppendThread"
    if node == LOCAL_APPLY_THREAD:
        return "ApplyThread"
    return f"{node:x}"


def describe_message(m: Message, indent: str = "") -> str:
    """One line, or several if the message carries entries, a snapshot or responses."""
    text = (
        f"{indent}{describe_target(m.from_)}->{describe_target(m.to)} "
        f"{MESSAGE_TYPE_NAMES[m.type]} Term:{m.term} Log:{m.log_term}/{m.index}"
    )
    if m.reject:
        text += f" Rejected (Hint: {m.reject_hint})"
    if m.commit:
        text += f" Commit:{m.commit}"
    if m.vote:
        text += f" Vote:{m.vote}"
    if len(m.entries) == 1:
        text += f" Entries:[{describe_entry(m.entries[0])}]"
    elif m.entries:
        lines = "".join([f"\n{indent}  {describe_entry(entry)}" for entry in m.entries])
        text += f" Entries:[{lines}\n{indent}]"
    if m.snapshot is not None and not m.snapshot.is_empty():
        text += f"\n{indent}  Snapshot: {describe_snapshot(m.snapshot)}"
    if m.responses:
        lines = "".join([f"\n{describe_message(each, indent + '  ')}" for each in m.responses])
        text += f" Responses:[{lines}\n{indent}]"
    return text


def describe_ready(ready: Ready) -> str:
    """All parts of a Ready that are set, a line or a block each."""
    parts: list[str] = []
    if ready.soft_state is not None:
        parts.append(f"{describe_soft_state(ready.soft_state)}\n")
    if ready.hard_state is not None:
        parts.append(f"HardState {describe_hard_state(ready.hard_state)}\n")
    if ready.read_states:
        reads = [f"{{{each.index} {_ids(list(each.context))}}}" for each in ready.read_states]
        parts.append(f"ReadStates [{' '.join(reads)}]\n")
    if ready.entries:
        parts.append(f"Entries:\n{describe_entries(ready.entries)}")
    if ready.snapshot is not None:
        parts.append(f"Snapshot {describe_snapshot(ready.snapshot)}\n")
    if ready.committed_entries:
        parts.append(f"CommittedEntries:\n{describe_entries(ready.committed_entries)}")
    if ready.messages:
        lines = "".join([f"{describe_message(each)}\n" for each in ready.messages])
        parts.append(f"Messages:\n{lines}")
    if not parts:
        return "<empty Ready>"
    sync = "true" if ready.must_sync else "false"
    return f"Ready MustSync={sync}:\n{''.join(parts)}"
