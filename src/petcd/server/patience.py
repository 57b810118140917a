"""What a client is told when its request was not applied in time, and how well we are connected.

The outcome of such a request is not known. The words say what may have been the reason, as etcd's
do: a leader was lost while it waited, or this member was cut off from those it depends on.
"""

from collections.abc import Iterable

from petcd.member import Member
from petcd.member.errors import TimedOut, TimedOutByConnectionLoss, TimedOutByLeaderFailure
from petcd.server.network import Network


class Connections:
    """Who was connected since when, seen from one member."""

    def __init__(self, member: Member, network: Network, election_timeout_s: float) -> None:
        self._member = member
        self._network = network
        self._election_timeout_s = election_timeout_s

    def is_connected(self, member_id: int, since_s: float) -> bool:
        """Whether the member is ourselves or connected since then, without a break."""
        if member_id == self._member.id:
            return True
        active_s = self._network.active_since_s(member_id)
        return active_s is not None and active_s < since_s

    def count_connected(self, member_ids: Iterable[int], since_s: float) -> int:
        """How many of these members are connected since then, ourselves included."""
        return sum(self.is_connected(member_id, since_s) for member_id in member_ids)

    def longest_connected(self, member_ids: Iterable[int]) -> int | None:
        """The one among these peers that is connected for the longest time; None: none is."""
        active = []
        for member_id in member_ids:
            since_s = self._network.active_since_s(member_id)
            if since_s is not None and member_id != self._member.id:
                active.append((since_s, member_id))
        return min(active)[1] if active else None

    def late(self, asked_s: float) -> TimedOut:
        """The refusal of a request that waits since `asked_s`."""
        member = self._member
        elected_s = member.leader_since_s
        if elected_s - 2 * self._election_timeout_s < asked_s < elected_s:
            return TimedOutByLeaderFailure()
        leader_id = member.leader_id
        if leader_id == member.id:
            ids = [info.id for info in member.membership.members()]
            if self.count_connected(ids, asked_s) < len(ids) // 2 + 1:
                return TimedOutByConnectionLoss()
        elif leader_id and not self.is_connected(leader_id, asked_s):
            return TimedOutByConnectionLoss()
        return TimedOut()
