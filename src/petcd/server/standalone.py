"""--force-new-cluster: from one member's data to a cluster of that member alone.

    log    1 .. applied .. commit | uncommitted          the others may have more, and never will
           1 .. applied .. commit | add or promote us | remove others | our peer URLs

What is not known to be committed is dropped, and changes that leave this member alone are put
behind the rest and counted as committed. The data stays, and so do the ids of cluster and member;
the others' ids are removed for good. Never do this while a member of the old cluster lives.
Source: etcd's restart of a standalone node.
"""

from collections.abc import Iterable, Sequence

from petcd.cluster import MemberInfo, format_id, promotion
from petcd.raft.changes import decode_conf_change, encode_conf_change
from petcd.raft.types import ConfChange, ConfChangeType, ConfState, Entry, HardState


def leave_alone(
    entries: Sequence[Entry],
    hard_state: HardState,
    applied: tuple[int, ConfState],
    local_id: int,
    peer_urls: Sequence[str],
) -> tuple[list[Entry], list[Entry], HardState]:
    """The log that leaves `local_id` as the only member.

    `applied`: index and configuration as of the store; `peer_urls` are given to a member that was
    in no configuration, as one made from a backup. Returns (all entries, those of them that are
    new and are to be written, hard state).
    """
    kept = [entry for entry in entries if entry.index <= hard_state.commit]
    members = _members_at(applied[1], (e for e in kept if e.index > applied[0]))
    changes = list(_changes(members, applied[1].voters, local_id, peer_urls))
    first = hard_state.commit + 1
    added = []
    for index, change in enumerate(changes, first):
        kind, data = encode_conf_change(change)
        added.append(Entry(kind, hard_state.term, index, data))
    commit = first - 1 + len(added)
    return [*kept, *added], added, HardState(hard_state.term, hard_state.vote, commit)


def _members_at(applied: ConfState, entries: Iterable[Entry]) -> list[int]:
    """Everybody in the configuration behind these entries."""
    ids = {*applied.voters, *applied.learners}
    for entry in entries:
        change = decode_conf_change(entry)
        if not isinstance(change, ConfChange):
            continue
        if change.type == ConfChangeType.REMOVE_NODE:
            ids.discard(change.node_id)
        elif change.type != ConfChangeType.UPDATE_NODE:
            ids.add(change.node_id)
    return sorted(ids)


def _changes(
    members: Sequence[int], voters: Sequence[int], local_id: int, peer_urls: Sequence[str]
) -> Iterable[ConfChange]:
    """We come first, since no configuration may be without voters. Our URLs come last, since a
    member that goes may have had them.

    `voters` are those of the store. Who became one behind it is promoted in vain, which is refused
    and changes nothing.
    """
    if local_id not in members:
        placeholder = f"http://{format_id(local_id)}.invalid:2380"
        yield _add(local_id, MemberInfo(local_id, (placeholder,)).to_json())
    elif local_id not in voters:
        yield _add(local_id, promotion(local_id))
    for member_id in members:
        if member_id != local_id:
            yield ConfChange(ConfChangeType.REMOVE_NODE, member_id, b"", _id_of(member_id))
    if local_id not in members:
        body = MemberInfo(local_id, tuple(peer_urls)).to_json()
        yield ConfChange(ConfChangeType.UPDATE_NODE, local_id, body, _id_of(local_id))


def _add(member_id: int, body: bytes) -> ConfChange:
    return ConfChange(ConfChangeType.ADD_NODE, member_id, body, _id_of(member_id))


def _id_of(member_id: int) -> int:
    """A request id that nobody waits for, and not 0, which marks founders."""
    return member_id | 1
