"""grpc.health.v1.Health: what load balancers and grpc clients ask."""

from petcd.api.errors import NOT_FOUND, status_of
from petcd.api.host import Host
from petcd.transport.call import Call
from petcd.transport.router import SERVER_STREAM, UNARY, Method, Router
from petcd.wire.codec import DecodeError
from petcd.wire.health import HealthCheckRequest, HealthCheckResponse, ServingStatus

_SERVICE = b"/grpc.health.v1.Health/"


class HealthService:
    """Handlers of the health service. Only the server as a whole (name "") has a status."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def register(self, router: Router) -> None:
        """Add the methods to the router."""
        router.add(Method(_SERVICE + b"Check", UNARY, self.check))
        router.add(Method(_SERVICE + b"Watch", SERVER_STREAM, self.watch))

    def check(self, call: Call, body: bytes) -> None:
        """Check: SERVING for "", NOT_FOUND for any other service."""
        try:
            request = HealthCheckRequest.decode(body)
        except DecodeError as error:
            call.fail(*status_of(error))
            return
        if request.service:
            call.fail(NOT_FOUND, "unknown service")
        else:
            call.reply(HealthCheckResponse(status=ServingStatus.SERVING).encode())

    def watch(self, call: Call) -> None:
        """Watch: the status now; it does not change while the listener is open."""

        def on_message(body: bytes) -> None:
            try:
                request = HealthCheckRequest.decode(body)
            except DecodeError as error:
                call.finish(*status_of(error))
                return
            known = not request.service
            status = ServingStatus.SERVING if known else ServingStatus.SERVICE_UNKNOWN
            call.send(HealthCheckResponse(status=status).encode())

        call.on_message = on_message
