"""Random raft messages as members may send them, and the same as the general codec writes them."""

from __future__ import annotations

import random

from petcd.peer.messages import TRAVELLING
from petcd.raft.types import (
    ConfState,
    Entry,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)
from petcd.wire import raftpb

KINDS = sorted(TRAVELLING)
LOCAL_ID, REMOTE_ID = 0x8E9E05C52164694D, 0x1E3C5A7F


def number(rng: random.Random) -> int:
    """An integer of any length up to 64 bits, often at the edge of one."""
    n = rng.getrandbits(rng.choice((1, 3, 7, 8, 14, 15, 21, 28, 32, 35, 63, 64)))
    return rng.choice((n, n, n, 0, 1, (1 << 64) - 1, 1 << 63))


def blob(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 0, 1, 5, 100, 127, 128, 300)))


def random_entry(rng: random.Random) -> Entry:
    return Entry(rng.randrange(3), number(rng), number(rng), blob(rng))


def random_ids(rng: random.Random) -> list[int]:
    return [number(rng) for _ in range(rng.randrange(4))]


def random_snapshot(rng: random.Random) -> Snapshot:
    state = ConfState(
        random_ids(rng), random_ids(rng), random_ids(rng), random_ids(rng), rng.random() < 0.5
    )
    return Snapshot(blob(rng), SnapshotMetadata(state, number(rng) or 1, number(rng)))


def random_message(rng: random.Random) -> Message:
    """Any message, mostly between the two ids above."""
    kind = rng.choice(KINDS)
    stranger = rng.random() < 0.2
    snapshot = None
    if kind == MessageType.SNAP or rng.random() < 0.05:
        snapshot = random_snapshot(rng)
    return Message(
        kind,
        number(rng) if stranger else LOCAL_ID,
        number(rng) if stranger else REMOTE_ID,
        number(rng),
        number(rng),
        number(rng),
        [random_entry(rng) for _ in range(rng.choice((0, 0, 0, 1, 2, 7)))],
        number(rng),
        rng.random() < 0.3,
        number(rng),
        rng.choice((b"", b"", blob(rng))),
        snapshot,
    )


def random_appends(rng: random.Random, count: int) -> list[Message]:
    """MsgApps of one leader: mostly one behind the other, at times elsewhere or in a new term."""
    term, index = 1, 5
    messages = []
    for _ in range(count):
        if rng.random() < 0.1:
            term += 1
        log_term = term if rng.random() < 0.9 else term - 1
        if rng.random() < 0.1:
            index = rng.randrange(1, 1000)
        entries = [
            Entry(rng.randrange(3), term, index + 1 + i, blob(rng))
            for i in range(rng.choice((0, 1, 1, 2, 20)))
        ]
        messages.append(
            Message(
                MessageType.APP, LOCAL_ID, REMOTE_ID, term, log_term, index, entries, index // 2
            )
        )
        index += len(entries)
    return messages


def to_wire(m: Message) -> raftpb.Message:
    """The message in the classes of the general codec."""
    return raftpb.Message(
        type=m.type,
        to=m.to,
        from_=m.from_,
        term=m.term,
        logTerm=m.log_term,
        index=m.index,
        entries=[
            raftpb.Entry(Type=e.type, Term=e.term, Index=e.index, Data=e.data or None)
            for e in m.entries
        ],
        commit=m.commit,
        snapshot=None if m.snapshot is None else snapshot_to_wire(m.snapshot),
        reject=m.reject,
        rejectHint=m.reject_hint,
        context=m.context or None,
    )


def snapshot_to_wire(snapshot: Snapshot) -> raftpb.Snapshot:
    state = snapshot.metadata.conf_state
    return raftpb.Snapshot(
        data=snapshot.data or None,
        metadata=raftpb.SnapshotMetadata(
            conf_state=raftpb.ConfState(
                voters=state.voters,
                learners=state.learners,
                voters_outgoing=state.voters_outgoing,
                learners_next=state.learners_next,
                auto_leave=state.auto_leave,
            ),
            index=snapshot.metadata.index,
            term=snapshot.metadata.term,
        ),
    )
