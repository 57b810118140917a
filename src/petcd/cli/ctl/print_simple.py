"""The format for people and for shell scripts: bare keys and values, a line each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from petcd.cli.ctl import rows
from petcd.cli.ctl.printers import Health, Printer, SnapshotStatus
from petcd.wire.kv import EventType, KeyValue
from petcd.wire.maintenance import AlarmType

if TYPE_CHECKING:
    from petcd.cli.ctl.printers import MemberChange
    from petcd.client.watching import WatchUpdate
    from petcd.wire.cluster import MemberListResponse
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

EXPIRED_TTL = -1


def lease_text(lease_id: int) -> str:
    """A lease id: 16 hexadecimal digits."""
    return f"{lease_id:016x}"


class SimplePrinter(Printer):
    """`value_only`: without the key lines."""

    name = "simple"
    value_only = False

    def _pairs(self, pairs: Iterable[KeyValue]) -> None:
        for pair in pairs:
            key, value = pair.key, pair.value
            if self.hex_bytes:
                key, value = _escaped(key), _escaped(value)
            if self.value_only:
                self.console.line(value)
            else:
                self.console.write(b"%b\n%b\n" % (key, value))

    def get(self, answer: RangeResponse) -> None:
        self._pairs(answer.kvs)

    def put(self, answer: PutResponse) -> None:
        self.console.line("OK")
        if answer.prev_kv is not None:
            self._pairs([answer.prev_kv])

    def delete(self, answer: DeleteRangeResponse) -> None:
        self.console.line(answer.deleted)
        self._pairs(answer.prev_kvs)

    def txn(self, answer: TxnResponse) -> None:
        self.console.line("SUCCESS" if answer.succeeded else "FAILURE")
        for item in answer.responses:
            self.console.line()
            if item.response_put is not None:
                self.put(item.response_put)
            elif item.response_range is not None:
                self.get(item.response_range)
            elif item.response_delete_range is not None:
                self.delete(item.response_delete_range)

    def watch(self, update: WatchUpdate) -> None:
        for event in update.events or ():
            self.console.line(event_type(event.type))
            if event.prev_kv is not None:
                self._pairs([event.prev_kv])
            self._pairs([event.kv or KeyValue()])

    def grant(self, answer: LeaseGrantResponse) -> None:
        self.console.line(f"lease {lease_text(answer.ID)} granted with TTL({answer.TTL}s)")

    def revoke(self, lease_id: int, answer: LeaseRevokeResponse) -> None:
        self.console.line(f"lease {lease_text(lease_id)} revoked")

    def keep_alive(self, answer: LeaseKeepAliveResponse) -> None:
        self.console.line(f"lease {lease_text(answer.ID)} keepalived with TTL({answer.TTL})")

    def time_to_live(self, answer: LeaseTimeToLiveResponse, with_keys: bool) -> None:
        lease = f"lease {lease_text(answer.ID)}"
        if answer.grantedTTL == 0 and answer.TTL == EXPIRED_TTL:
            self.console.line(f"{lease} already expired")
            return
        text = f"{lease} granted with TTL({answer.grantedTTL}s), remaining({answer.TTL}s)"
        if with_keys:
            keys = b" ".join(answer.keys)
            self.console.write(b"%b, attached keys([%b])\n" % (text.encode(), keys))
        else:
            self.console.line(text)

    def leases(self, answer: LeaseLeasesResponse) -> None:
        self.console.line(f"found {len(answer.leases)} leases")
        for lease in answer.leases:
            self.console.line(lease_text(lease.ID))

    def member_list(self, answer: MemberListResponse) -> None:
        self._rows(rows.member_rows(answer))

    def member_changed(self, what: str, member_id: int, answer: MemberChange) -> None:
        cluster_id = answer.header.cluster_id if answer.header is not None else 0
        self.console.line(f"Member {member_id:16x} {what} cluster {cluster_id:16x}")

    def leader_moved(self, leader: int, target: int, answer: MoveLeaderResponse) -> None:
        self.console.line(f"Leadership transferred from {leader:x} to {target:x}")

    def alarms(self, answer: AlarmResponse) -> None:
        for alarm in answer.alarms:
            member = f"memberID:{alarm.memberID} " if alarm.memberID else ""
            kind = f"alarm:{alarm_name(alarm.alarm)} " if alarm.alarm else ""
            self.console.line(member + kind)

    def endpoint_health(self, found: Sequence[Health]) -> None:
        for item in found:
            if item.error:
                text = f"{item.endpoint} is unhealthy: failed to commit proposal: {item.error}"
                self.console.error_line(text)
            else:
                text = f"{item.endpoint} is healthy: successfully committed proposal: took"
                self.console.line(f"{text} = {item.took}")

    def endpoint_status(self, found: Sequence[tuple[str, StatusResponse]]) -> None:
        self._rows(rows.status_rows(found))

    def endpoint_hashkv(self, found: Sequence[tuple[str, HashKVResponse]]) -> None:
        self._rows(rows.hash_rows(found))

    def snapshot_status(self, status: SnapshotStatus) -> None:
        self._rows([rows.snapshot_row(status)])

    def _rows(self, lines: Sequence[Sequence[str]]) -> None:
        for line in lines:
            self.console.line(", ".join(line))


def event_type(kind: int) -> str:
    """PUT or DELETE."""
    return EventType.names().get(kind, str(kind))


def alarm_name(kind: int) -> str:
    """NOSPACE, CORRUPT, ..."""
    return AlarmType.names().get(kind, str(kind))


def _escaped(data: bytes) -> bytes:
    return b"".join([b"\\x%02x" % byte for byte in data])
