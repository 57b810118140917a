"""The administrator of a simulated cluster: members come and go, the lead moves, files are copied.

Everything is asked for through the Cluster and Maintenance services, at any member, while faults go
on; what is refused, or never answered, is left at that. What came of it shows in the membership:

    listed and without a place    it was added: it is given a disk, and started
    removed, and has a place      it is stopped for good

So every member that was added runs sooner or later, and the quorum can always be had. A place
whose disk was lost, or found damaged at a start, is not started again; its member is removed until
somebody has done so.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from petcd.cluster import MemberInfo, Membership
from petcd.wire.cluster import (
    MemberAddRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
)
from petcd.wire.maintenance import DefragmentRequest, MoveLeaderRequest
from sim.cluster import Slot, leader_of, running

if TYPE_CHECKING:
    from sim.world import World

_CLUSTER = b"/etcdserverpb.Cluster/"
_MAINTENANCE = b"/etcdserverpb.Maintenance/"
LOOK_S = 0.5
# A request of the administrator is given up after this time.
PATIENCE_S = 10.0
MEMBERS_MIN = 3
MEMBERS_MAX = 5


class Admin:
    """Asks for changes and carries out what became of them."""

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._number = len(world.slots)
        self._gone: set[int] = set()  # ids of removed members, which never come back
        self._look()

    # -- what may be asked for ----------------------------------------------------------------

    def add_learner(self) -> bool:
        """A new member that listens first; it is promoted once it is in sync."""
        if self._changing() or len(self._world.slots) >= MEMBERS_MAX:
            return False
        self._add(is_learner=True)
        return True

    def add_voter(self) -> bool:
        """A new member that counts at once."""
        if self._changing() or len(self._world.slots) >= MEMBERS_MAX:
            return False
        self._add(is_learner=False)
        return True

    def update(self) -> bool:
        """Further peer URLs for anybody, for a learner rather than for a voter."""
        membership = self.membership()
        if membership is None:
            return False
        members = membership.members()
        learners = [member for member in members if member.is_learner]
        member = self._random.choice(learners or members)
        first = member.peer_urls[0]
        urls = [first, f"{first.removesuffix('0')}{self._random.randint(1, 9)}"]
        body = MemberUpdateRequest(ID=member.id, peerURLs=urls).encode()
        self._ask_anybody(b"MemberUpdate", body)
        return True

    def remove(self) -> bool:
        """Any member, the leader too."""
        slots = self._world.slots
        if self._changing() or len(slots) <= MEMBERS_MIN:
            return False
        self._ask_to_remove(self._random.choice(slots))
        return True

    def can_spare_a_disk(self) -> bool:
        """Whether the others are a majority, whatever becomes of the disk of one member."""
        slots = self._world.slots
        return len(slots) >= MEMBERS_MIN and not self._changing() and self._all_know_all()

    def lose_a_disk(self) -> bool:
        """A disk is gone for good; its member is removed, and another one will be added."""
        slots = self._world.slots
        if not self.can_spare_a_disk():
            return False
        slot = self._random.choice(slots)
        slot.is_lost = True
        slot.end(power_lost=True)
        return True

    def move_the_lead(self) -> bool:
        """MoveLeader, to anybody."""
        leader = leader_of(self._world.slots)
        if leader is None:
            return False
        to = self._random.choice(self._world.slots)
        self._ask(leader, _MAINTENANCE + b"MoveLeader", MoveLeaderRequest(targetID=to.id).encode())
        return True

    def defragment(self) -> bool:
        """The backend's file is copied while the member serves."""
        slots = running(self._world.slots)
        if not slots:
            return False
        slot = self._random.choice(slots)
        self._ask(slot, _MAINTENANCE + b"Defragment", DefragmentRequest().encode())
        return True

    # -- asking -------------------------------------------------------------------------------

    def _changing(self) -> bool:
        """Whether a change is under way: a learner, or a member whose disk is lost or damaged."""
        membership = self.membership()
        return (
            membership is None
            or any(slot.is_lost or slot.disk.is_harmed for slot in self._world.slots)
            or any(member.is_learner for member in membership.members())
        )

    def _all_know_all(self) -> bool:
        """Whether all run and list the same: then the others are a majority for each of them."""
        slots = self._world.slots
        ids = {slot.id for slot in slots}
        return all(
            slot.engine is not None
            and {member.id for member in slot.engine.member.membership.members()} == ids
            for slot in slots
        )

    def _add(self, is_learner: bool) -> None:
        self._number += 1
        urls = [f"http://m{self._number}:2380"]
        body = MemberAddRequest(peerURLs=urls, isLearner=is_learner).encode()
        self._ask_anybody(b"MemberAdd", body)

    def _ask_to_remove(self, slot: Slot) -> None:
        self._ask_anybody(b"MemberRemove", MemberRemoveRequest(ID=slot.id).encode())

    def _ask_anybody(self, name: bytes, body: bytes) -> None:
        slots = running(self._world.slots)
        if slots:
            self._ask(self._random.choice(slots), _CLUSTER + name, body)

    def _ask(self, slot: Slot, path: bytes, body: bytes) -> None:
        world = self._world
        connection = world.connect_to(slot, self._random)
        if connection is None:
            return
        connection.call(path, body, lambda answer: None, lambda code, text: world.refused(text))
        world.clients_process.call_later(PATIENCE_S, connection.close)

    # -- what came of it ----------------------------------------------------------------------

    def membership(self) -> Membership | None:
        """As the member knows it that has applied most."""
        members = [s.engine.member for s in self._world.slots if s.engine is not None]
        known = [member for member in members if member.membership.members()]
        newest = max(known, key=lambda member: member.applied_index, default=None)
        return None if newest is None else newest.membership

    def _look(self) -> None:
        membership = self.membership()
        if membership is not None:
            self._carry_out(membership)
        self._world.clients_process.call_later(LOOK_S, self._look)

    def _carry_out(self, membership: Membership) -> None:
        world = self._world
        for slot in list(world.slots):
            if membership.is_removed(slot.id):
                self._gone.add(slot.id)
                world.retire(slot)
            elif slot.is_lost and self._random.random() < 0.2:
                self._ask_to_remove(slot)
        places = {slot.id for slot in world.slots}
        members = membership.members()
        for member in members:
            if member.id in self._gone:
                continue  # who tells this has not heard of the removal
            if member.id not in places:
                self._place(member, tuple(members))
            elif member.is_learner and self._random.random() < 0.2:
                self._ask_anybody(b"MemberPromote", MemberPromoteRequest(ID=member.id).encode())
        if len(members) < min(world.features.members, MEMBERS_MIN) and self._random.random() < 0.2:
            self._add(is_learner=self._random.random() < 0.5)

    def _place(self, member: MemberInfo, hosts: tuple[MemberInfo, ...]) -> None:
        """A new member starts."""
        world = self._world
        name = member.peer_urls[0].removeprefix("http://").removesuffix(":2380")
        info = MemberInfo(member.id, member.peer_urls, name)
        slot = world.make_slot(int(name[1:]), info, world.cluster_id, ())
        slot.hosts = hosts
        world.add(slot)
        slot.start()

    @property
    def is_idle(self) -> bool:
        """Whether everybody who is listed is a running voter, and nobody else is there."""
        membership = self.membership()
        if membership is None:
            return False
        members = membership.members()
        return {m.id for m in members if not m.is_learner} == {s.id for s in self._world.slots}
