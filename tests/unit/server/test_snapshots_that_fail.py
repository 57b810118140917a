"""A member that a snapshot does not help, as its disk is full, costs its leader little."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from petcd.raft.types import Message
from petcd.server.snapshot_sender import CATCH_UP_S, PAUSES_S, TRIES_OF_A_BODY_MAX
from petcd.storage.errors import CopyFailed, StorageFailed
from tests.support.lagging import lose_one, put_many

# As long as it takes a body to get there, in the cluster of these tests.
TRAVEL_S = 1.0
RECOVERY_MAX_S = PAUSES_S[-1] + TRAVEL_S + 1.0


class Bodies:
    """The store of one member, and how often it was asked for what."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain
        self.made: list[Any] = []
        self.dropped: list[Any] = []
        self.staged = 0
        self.failure: Exception | None = None

    def save(self, view: Any) -> Any:
        self.made.append(None)
        if self.failure is not None:
            raise self.failure
        self.made[-1] = self._plain.save(view)
        return self.made[-1]

    def discard(self, body: Any) -> None:
        self.dropped.append(body)

    def stage(self, body: Any, edit: Callable[[Any], None]) -> Any:
        self.staged += 1
        if self.failure is not None:
            raise self.failure
        return self._plain.stage(body, edit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


class Trio:
    """Three members, one of which needs a snapshot."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        cluster.run_until(cluster.leader)
        cluster.run(1.0)
        self.name = lose_one(cluster)
        leader, receiver = cluster[cluster.leader()], cluster[self.name]
        self.leader = leader.member
        self.sender = leader.engine._sender
        self.at_leader = self.sender._store = Bodies(self.sender._store)
        self.at_receiver = Bodies(receiver.engine._receiver._store)
        receiver.engine._receiver._store = self.at_receiver
        self.sent: list[tuple[float, Any]] = []
        self.refuses = False
        self._deliver = cluster.net._deliver_snapshot
        cluster.net._deliver_snapshot = self._arrive

    def _arrive(self, sender: str, message: Message, body: Any) -> None:
        self.sent.append((self.cluster.loop.now_s, body))
        if self.refuses:
            self.cluster[sender].engine.mailbox.snapshot_sent(message.to, False)
        else:
            self._deliver(sender, message, body)

    def recovers(self) -> None:
        """The member catches up within seconds."""
        member = self.cluster[self.name].member
        self.cluster.run_until(
            lambda: member.applied_index == self.leader.applied_index, RECOVERY_MAX_S
        )


@pytest.fixture
def trio(in_memory_cluster: Callable[..., Any]) -> Trio:
    return Trio(in_memory_cluster("a", "b", "c", snapshot_count=20, snapshot_catchup_entries=5))


def test_who_has_no_room_is_sent_few_snapshots_of_one_body(trio: Trio) -> None:
    trio.refuses = True
    trio.cluster.net.heal()
    trio.cluster.run(20.0)
    moments = [moment for moment, _ in trio.sent]
    gaps = [later - one - TRAVEL_S for one, later in pairwise(moments)]
    assert len(moments) < TRIES_OF_A_BODY_MAX
    for gap, pause_s in zip(gaps, [*PAUSES_S, *PAUSES_S[-1:] * 30], strict=False):
        assert pause_s <= gap < pause_s + 0.5
    assert len(trio.at_leader.made) == 1
    assert not trio.at_leader.dropped
    trio.refuses = False
    trio.recovers()
    assert len(trio.at_leader.made) == 1
    assert trio.at_leader.dropped == [trio.at_leader.made[0].body]


def test_who_cannot_use_what_it_got_is_sent_few_snapshots(trio: Trio) -> None:
    trio.at_receiver.failure = StorageFailed("db.staged", "No space left on device")
    trio.cluster.net.heal()
    trio.cluster.run(60.0)
    assert 5 < trio.at_receiver.staged < 20
    trio.at_receiver.failure = None
    trio.recovers()


def test_a_leader_that_can_make_none_tries_seldom(trio: Trio) -> None:
    trio.at_leader.failure = CopyFailed("snap", "No space left on device")
    trio.cluster.net.heal()
    trio.cluster.run(60.0)
    assert 5 < len(trio.at_leader.made) < 20
    trio.at_leader.failure = None
    trio.recovers()


def test_a_body_is_made_anew_once_the_log_is_cut_behind_it(trio: Trio) -> None:
    trio.refuses = True
    trio.cluster.net.heal()
    trio.cluster.run(10.0)
    assert len(trio.at_leader.made) == 1
    put_many(trio.cluster, 60)
    trio.cluster.run(PAUSES_S[-1] + TRAVEL_S)
    assert len(trio.at_leader.made) == 2
    assert trio.at_leader.dropped == [trio.at_leader.made[0].body]
    trio.refuses = False
    trio.recovers()


def test_a_body_that_never_arrives_is_made_anew_now_and_then(trio: Trio) -> None:
    trio.refuses = True
    trio.cluster.net.heal()
    trio.cluster.run_until(lambda: len(trio.sent) > 2 * TRIES_OF_A_BODY_MAX, 150.0)
    assert len(trio.at_leader.made) == 3


def test_a_body_for_who_went_away_again_is_not_kept(trio: Trio) -> None:
    trio.refuses = True
    trio.cluster.net.heal()
    trio.cluster.run(3.0)
    trio.cluster.net.cut(trio.name)
    trio.cluster.run(CATCH_UP_S + TRAVEL_S + 1.0)
    assert trio.at_leader.dropped == [saved.body for saved in trio.at_leader.made]
    assert not trio.sender.wants(1)


def test_a_snapshot_that_failed_does_not_keep_the_log(trio: Trio) -> None:
    trio.refuses = True
    trio.cluster.net.heal()
    trio.cluster.run_until(lambda: trio.sent)
    first = trio.leader.log.first_index()
    assert not trio.sender.wants(first)
    put_many(trio.cluster, 100)
    assert trio.leader.log.first_index() > first


def test_who_was_helped_waits_for_no_pause_when_it_needs_another_one(trio: Trio) -> None:
    trio.refuses = True
    trio.cluster.net.heal()
    trio.cluster.run(20.0)
    trio.refuses = False
    trio.recovers()
    put_many(trio.cluster, 60)
    trio.cluster.net.cut(trio.name)
    put_many(trio.cluster, 60)
    before = len(trio.sent)
    trio.refuses = True
    trio.cluster.net.heal()
    trio.cluster.run(TRAVEL_S + 1.0 + PAUSES_S[0] + TRAVEL_S)
    assert len(trio.sent) == before + 2
