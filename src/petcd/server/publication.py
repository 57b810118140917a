"""What a member says of itself after start: name, client URLs, and as leader the cluster version.

Both are log entries, so every member knows them, and a member that never published counts as not
started. Publishing is repeated until it is in the log.
"""

from collections.abc import Callable

from petcd.api.host import Finish
from petcd.member import Member
from petcd.member.apply import CLUSTER_MEMBER_ATTR_SET, CLUSTER_VERSION_SET
from petcd.member.errors import Stopped
from petcd.version import CLUSTER_VERSION
from petcd.wire.hot import internal_request
from petcd.wire.membership import (
    Attributes,
    ClusterMemberAttrSetRequest,
    ClusterVersionSetRequest,
)

Propose = Callable[[int, bytes, Finish, None], None]


class Publication:
    """Publishes once; `done` is called when both entries are applied."""

    def __init__(
        self,
        member: Member,
        propose: Propose,
        next_request_id: Callable[[], int],
        name: str,
        client_urls: tuple[str, ...],
        done: Callable[[], None],
    ) -> None:
        self._member = member
        self._propose = propose
        self._next_request_id = next_request_id
        self._name = name
        self._client_urls = client_urls
        self._done = done

    def start(self) -> None:
        """Propose the attributes."""
        body = ClusterMemberAttrSetRequest(
            member_ID=self._member.id,
            member_attributes=Attributes(name=self._name, client_urls=list(self._client_urls)),
        ).encode()
        self._send(CLUSTER_MEMBER_ATTR_SET, body, self._attributes_applied)

    def _attributes_applied(self, context: None, outcome: object) -> None:
        if isinstance(outcome, Exception):
            self._try_again(outcome)
        elif self._member.membership.version == CLUSTER_VERSION:
            self._done()
        else:
            body = ClusterVersionSetRequest(ver=CLUSTER_VERSION).encode()
            self._send(CLUSTER_VERSION_SET, body, self._version_applied)

    def _version_applied(self, context: None, outcome: object) -> None:
        if isinstance(outcome, Exception):
            self._try_again(outcome)
        else:
            self._done()

    def _try_again(self, refusal: Exception) -> None:
        """A member that stops refuses on the spot, however often it is asked."""
        if not isinstance(refusal, Stopped):
            self.start()

    def _send(self, field_number: int, body: bytes, finish: Finish) -> None:
        request_id = self._next_request_id()
        self._propose(request_id, internal_request(request_id, field_number, body), finish, None)
