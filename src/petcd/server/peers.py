"""Which peers the network knows: it follows the applied membership.

A member that is about to join has no membership yet; it is told by whom it was added, and hears
from them. So nobody is dropped before the log says that he was removed.
"""

from collections.abc import Callable, Iterable

from petcd.cluster import MemberInfo, Membership
from petcd.server.network import Network


class Peers:
    """Keeps the network's list of peers. Law: it holds no removed member and not ourselves."""

    def __init__(
        self, membership: Membership, network: Network, farewell: Callable[[], None]
    ) -> None:
        """`farewell` sends what is still to be sent; called before somebody is dropped."""
        self._membership = membership
        self._network = network
        self._farewell = farewell
        self._known: dict[int, tuple[str, ...]] = {}
        self._seen_changes = -1

    def assume(self, members: Iterable[MemberInfo]) -> None:
        """Members that somebody else named, until the log names them."""
        for member in members:
            self._meet(member)

    def follow(self) -> None:
        """Bring the network up to date with the membership; cheap when that did not change."""
        membership = self._membership
        if membership.changes == self._seen_changes:
            return
        self._seen_changes = membership.changes
        for member in membership.members():
            self._meet(member)
        removed = [known for known in self._known if membership.is_removed(known)]
        if removed:
            self._farewell()
        for member_id in removed:
            del self._known[member_id]
            self._network.remove(member_id)

    def _meet(self, member: MemberInfo) -> None:
        if member.id == self._membership.local_id:
            return
        known = self._known.get(member.id)
        if known is None:
            self._network.add(member.id, member.peer_urls)
        elif known != member.peer_urls:
            self._network.update(member.id, member.peer_urls)
        self._known[member.id] = member.peer_urls
