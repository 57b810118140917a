"""The raw format: the answer's bytes, without a newline.

Of most lease answers only the header is written, and a revocation cannot be shown: so does the
original, and whoever parses its output depends on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from petcd.cli.ctl.exits import BAD_FEATURE, CommandError
from petcd.cli.ctl.printers import Printer
from petcd.wire.header import ResponseHeader
from petcd.wire.watch import WatchResponse

if TYPE_CHECKING:
    from petcd.cli.ctl.printers import MemberChange
    from petcd.client.watching import WatchUpdate
    from petcd.wire.cluster import MemberListResponse
    from petcd.wire.codec import Message
    from petcd.wire.kv import DeleteRangeResponse, PutResponse, RangeResponse, TxnResponse
    from petcd.wire.lease import (
        LeaseGrantResponse,
        LeaseKeepAliveResponse,
        LeaseLeasesResponse,
        LeaseRevokeResponse,
        LeaseTimeToLiveResponse,
    )
    from petcd.wire.maintenance import AlarmResponse, MoveLeaderResponse


class ProtobufPrinter(Printer):
    """See the module."""

    name = "protobuf"

    def _message(self, message: Message | None) -> None:
        if message is not None:
            self.console.write(message.encode())

    def get(self, answer: RangeResponse) -> None:
        self._message(answer)

    def put(self, answer: PutResponse) -> None:
        self._message(answer)

    def delete(self, answer: DeleteRangeResponse) -> None:
        self._message(answer)

    def txn(self, answer: TxnResponse) -> None:
        self._message(answer)

    def watch(self, update: WatchUpdate) -> None:
        self._message(
            WatchResponse(
                header=update.header,
                events=update.events or [],
                compact_revision=update.compact_revision,
                canceled=update.canceled,
            )
        )

    def grant(self, answer: LeaseGrantResponse) -> None:
        self._message(answer.header)

    def revoke(self, lease_id: int, answer: LeaseRevokeResponse) -> None:
        header = answer.header or ResponseHeader()
        values = [(row.name, getattr(header, row.name)) for row in header.FIELDS]
        shown = "".join([f"{name}:{value} " for name, value in values if value])
        raise CommandError(
            BAD_FEATURE,
            f"marshal unsupported for type clientv3.LeaseRevokeResponse ({{{shown} {{}} [] 0}})",
        )

    def keep_alive(self, answer: LeaseKeepAliveResponse) -> None:
        self._message(answer.header)

    def time_to_live(self, answer: LeaseTimeToLiveResponse, with_keys: bool) -> None:
        self._message(answer.header)

    def leases(self, answer: LeaseLeasesResponse) -> None:
        self._message(answer.header)

    def member_list(self, answer: MemberListResponse) -> None:
        self._message(answer)

    def member_changed(self, what: str, member_id: int, answer: MemberChange) -> None:
        self._message(answer)

    def leader_moved(self, leader: int, target: int, answer: MoveLeaderResponse) -> None:
        self._message(answer)

    def alarms(self, answer: AlarmResponse) -> None:
        self._message(answer)
