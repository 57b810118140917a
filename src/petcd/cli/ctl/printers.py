"""What an output format must be able to print.  The formats are in modules of their own.

A format that does not know a kind of answer inherits the refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from petcd.cli.ctl.console import Console
from petcd.cli.ctl.exits import BAD_FEATURE, CommandError

if TYPE_CHECKING:
    from petcd.client.watching import WatchUpdate
    from petcd.wire.cluster import (
        MemberAddResponse,
        MemberListResponse,
        MemberPromoteResponse,
        MemberRemoveResponse,
        MemberUpdateResponse,
    )
    from petcd.wire.kv import DeleteRangeResponse, PutResponse, RangeResponse, TxnResponse
    from petcd.wire.lease import (
        LeaseGrantResponse,
        LeaseKeepAliveResponse,
        LeaseLeasesResponse,
        LeaseRevokeResponse,
        LeaseTimeToLiveResponse,
    )
    from petcd.wire.maintenance import (
        AlarmResponse,
        HashKVResponse,
        MoveLeaderResponse,
        StatusResponse,
    )

    MemberChange = (
        MemberAddResponse | MemberRemoveResponse | MemberUpdateResponse | MemberPromoteResponse
    )

_FORMATS = {
    "simple": "petcd.cli.ctl.print_simple:SimplePrinter",
    "fields": "petcd.cli.ctl.print_fields:FieldsPrinter",
    "json": "petcd.cli.ctl.print_json:JsonPrinter",
    "protobuf": "petcd.cli.ctl.print_protobuf:ProtobufPrinter",
    "table": "petcd.cli.ctl.print_table:TablePrinter",
}


class Health:
    """What came out of probing an endpoint.  `took` is a printed duration, `error` "" if none."""

    __slots__ = ("endpoint", "error", "healthy", "took")

    def __init__(self, endpoint: str, healthy: bool, took: str, error: str = "") -> None:
        self.endpoint = endpoint
        self.healthy = healthy
        self.took = took
        self.error = error


class SnapshotStatus(NamedTuple):
    """What is in a snapshot file; `size` in bytes."""

    hash: int
    revision: int
    total_keys: int
    size: int


class Printer:
    """Base of the formats: refuses everything.  `hex_bytes`: show keys and values as `\\xNN`."""

    name = ""

    def __init__(self, console: Console, hex_bytes: bool = False) -> None:
        self.console = console
        self.hex_bytes = hex_bytes

    def refuse(self) -> NoReturn:
        """This format cannot show that."""
        raise CommandError(BAD_FEATURE, f"{self.name} not supported as output format")

    def get(self, answer: RangeResponse) -> None:
        self.refuse()

    def put(self, answer: PutResponse) -> None:
        self.refuse()

    def delete(self, answer: DeleteRangeResponse) -> None:
        self.refuse()

    def txn(self, answer: TxnResponse) -> None:
        self.refuse()

    def watch(self, update: WatchUpdate) -> None:
        self.refuse()

    def grant(self, answer: LeaseGrantResponse) -> None:
        self.refuse()

    def revoke(self, lease_id: int, answer: LeaseRevokeResponse) -> None:
        self.refuse()

    def keep_alive(self, answer: LeaseKeepAliveResponse) -> None:
        self.refuse()

    def time_to_live(self, answer: LeaseTimeToLiveResponse, with_keys: bool) -> None:
        self.refuse()

    def leases(self, answer: LeaseLeasesResponse) -> None:
        self.refuse()

    def member_list(self, answer: MemberListResponse) -> None:
        self.refuse()

    def member_changed(self, what: str, member_id: int, answer: MemberChange) -> None:
        """`what` was done: "added to", "removed from", "updated in", "promoted in"."""
        self.refuse()

    def leader_moved(self, leader: int, target: int, answer: MoveLeaderResponse) -> None:
        self.refuse()

    def alarms(self, answer: AlarmResponse) -> None:
        self.refuse()

    def endpoint_health(self, found: Sequence[Health]) -> None:
        self.refuse()

    def endpoint_status(self, found: Sequence[tuple[str, StatusResponse]]) -> None:
        self.refuse()

    def endpoint_hashkv(self, found: Sequence[tuple[str, HashKVResponse]]) -> None:
        self.refuse()

    def snapshot_status(self, status: SnapshotStatus) -> None:
        self.refuse()


def load_printer(name: str, console: Console, hex_bytes: bool) -> Printer:
    """The printer of a format.  Raises CommandError when there is none of that name."""
    where = _FORMATS.get(name)
    if where is None:
        raise CommandError(BAD_FEATURE, "unsupported output format")
    module, _, cls = where.partition(":")
    printer = getattr(import_module(module), cls)(console, hex_bytes)
    assert isinstance(printer, Printer)
    return printer
