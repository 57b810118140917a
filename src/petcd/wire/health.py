"""gRPC's standard health service (grpc.health.v1): Check and Watch.

Source: gRPC's health.proto.
"""

from __future__ import annotations

from petcd.wire.codec import STRING, EnumType, Message, field


class ServingStatus(EnumType):
    """HealthCheckResponse.ServingStatus."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3


class HealthCheckRequest(Message):
    """``service`` "" is the server as a whole."""

    service: str = field(1, STRING)


class HealthCheckResponse(Message):
    """Its status."""

    status: int = field(1, ServingStatus)
