"""What a member says of itself after start: name, client URLs, and that it is petcd.

A log entry, so every member knows it, and a member that never published counts as not started.
Publishing is repeated until it is in the log. Members of etcd read what they know of it.
"""

from collections.abc import Callable

from petcd.api.host import Finish
from petcd.member import Member
from petcd.member.apply import CLUSTER_MEMBER_ATTR_SET
from petcd.member.errors import Stopped
from petcd.member.publishing import PublishRequest
from petcd.version import PETCD_VERSION
from petcd.wire.hot import internal_request
from petcd.wire.membership import Attributes

Propose = Callable[[int, bytes, Finish, None], None]


class Publication:
    """Publishes once; `done` is called when the entry is applied."""

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
        self._is_done = False

    def start(self) -> None:
        """Propose the attributes."""
        body = PublishRequest(
            member_ID=self._member.id,
            member_attributes=Attributes(name=self._name, client_urls=list(self._client_urls)),
            petcd_version=PETCD_VERSION,
        ).encode()
        self._send(CLUSTER_MEMBER_ATTR_SET, body, self._attributes_applied)

    def _attributes_applied(self, context: None, outcome: object) -> None:
        if self._is_done:
            return
        if isinstance(outcome, Exception):
            self._try_again(outcome)
        else:
            self._finish()

    def look_again(self) -> None:
        """A snapshot was installed: if it has what we publish, nobody will tell us of the entry."""
        local = self._member.membership.local
        wanted = (self._name, self._client_urls)
        if not self._is_done and local is not None and (local.name, local.client_urls) == wanted:
            self._finish()

    def _finish(self) -> None:
        self._is_done = True
        self._done()

    def _try_again(self, refusal: Exception) -> None:
        """A member that stops refuses on the spot, however often it is asked."""
        if not isinstance(refusal, Stopped):
            self.start()

    def _send(self, field_number: int, body: bytes, finish: Finish) -> None:
        request_id = self._next_request_id()
        self._propose(request_id, internal_request(request_id, field_number, body), finish, None)
