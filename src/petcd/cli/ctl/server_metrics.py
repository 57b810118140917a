"""A figure from a member's `/metrics`."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

from petcd.client.endpoint import AddressError, Endpoint, split_host_port

RESIDENT_MEMORY = "process_resident_memory_bytes"
TIMEOUT_S = 10.0


class MetricFault(Exception):
    """The figure cannot be had; the text says why."""


def resident_memory(endpoint: Endpoint) -> float:
    """Bytes of memory that a member's process holds.  Raises MetricFault."""
    try:
        host, port = split_host_port(endpoint.address)
        connection = HTTPConnection(host, int(port), timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode("utf-8", "replace")
        finally:
            connection.close()
    except (OSError, HTTPException, AddressError, ValueError) as error:
        raise MetricFault(f"fetch error: {error}") from None
    return metric(text, RESIDENT_MEMORY)


def metric(text: str, name: str) -> float:
    """The value of a metric without labels in the text format.  Raises MetricFault."""
    for line in text.splitlines():
        found, _, value = line.partition(" ")
        if found == name:
            try:
                return float(value)
            except ValueError as error:
                raise MetricFault(f"parse error: {error}") from None
    raise MetricFault(f"could not find: {name}")
