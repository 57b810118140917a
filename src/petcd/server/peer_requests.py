"""What other members ask of this one over the peer port, besides raft's own business.

    POST /members/promote/<decimal id>   make a learner a voter, since we lead
    POST /leases                         renew a lease, since we lead
    POST /leases/internal                what is left of a lease

Statuses, texts and bodies are etcd's. HTTP itself is elsewhere: a request is a target and a body,
an answer a status and a body, so that the simulator carries them its own way.
"""

from collections.abc import Callable

from petcd.server.leases import (
    RENEW_PATH,
    TIME_TO_LIVE_PATH,
    Leases,
    say_renewal,
    say_time_to_live,
)
from petcd.server.reconfiguration import PROMOTE_PATH, Reconfiguration, say_promotion
from petcd.wire.codec import DecodeError
from petcd.wire.internal import LeaseInternalRequest
from petcd.wire.lease import LeaseKeepAliveRequest

Respond = Callable[[int, bytes], None]

PATHS = (PROMOTE_PATH, RENEW_PATH, TIME_TO_LIVE_PATH)
_BAD_REQUEST = (400, b"error unmarshalling request\n")


class PeerRequests:
    """Answers requests of other members."""

    def __init__(self, reconfiguration: Reconfiguration, leases: Leases) -> None:
        self._reconfiguration = reconfiguration
        self._leases = leases

    def handle(self, target: str, body: bytes, respond: Respond) -> None:
        """Answer a POST; now or later."""
        if target == RENEW_PATH:
            self._renew(body, respond)
        elif target == TIME_TO_LIVE_PATH:
            self._time_to_live(body, respond)
        elif target.startswith(PROMOTE_PATH):
            self._promote(target.removeprefix(PROMOTE_PATH), respond)
        else:
            respond(404, b"404 page not found\n")

    def _renew(self, body: bytes, respond: Respond) -> None:
        try:
            lease_id = LeaseKeepAliveRequest.decode(body).ID
        except DecodeError:
            respond(*_BAD_REQUEST)
            return
        self._leases.renew_as_leader(
            lease_id, lambda _, outcome: respond(*say_renewal(lease_id, outcome)), None
        )

    def _time_to_live(self, body: bytes, respond: Respond) -> None:
        try:
            request = LeaseInternalRequest.decode(body).LeaseTimeToLiveRequest
        except DecodeError:
            request = None
        if request is None:
            respond(*_BAD_REQUEST)
            return
        lease_id = request.ID
        self._leases.time_to_live_as_leader(
            lease_id,
            request.keys,
            lambda _, outcome: respond(*say_time_to_live(lease_id, outcome)),
            None,
        )

    def _promote(self, name: str, respond: Respond) -> None:
        if not name.isascii() or not name.isdigit():
            respond(404, f"member {name} not found in cluster\n".encode())
            return
        self._reconfiguration.promote_as_leader(
            int(name), lambda _, outcome: respond(*say_promotion(outcome)), None
        )
