"""The format that shows everything, a line a field: `"Name" : value`, strings quoted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from petcd.cli.ctl.print_simple import alarm_name, event_type
from petcd.cli.ctl.printers import Health, Printer, SnapshotStatus
from petcd.cli.ctl.rows import truth
from petcd.cli.quoting import quote
from petcd.wire.header import ResponseHeader
from petcd.wire.kv import KeyValue

if TYPE_CHECKING:
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
    from petcd.wire.maintenance import AlarmResponse, HashKVResponse, StatusResponse


class FieldsPrinter(Printer):
    """See the module."""

    name = "fields"

    def _field(self, name: str, value: str | int) -> None:
        if isinstance(value, bool):
            value = truth(value)
        self.console.line(f'"{name}" : {value}')

    def _header(self, header: ResponseHeader | None) -> None:
        shown = header or ResponseHeader()
        self._field("ClusterID", shown.cluster_id)
        self._field("MemberID", shown.member_id)
        self._field("Revision", shown.revision)
        self._field("RaftTerm", shown.raft_term)

    def _pair(self, pair: KeyValue, before: str = "") -> None:
        self._field(f"{before}Key", quote(pair.key))
        self._field(f"{before}CreateRevision", pair.create_revision)
        self._field(f"{before}ModRevision", pair.mod_revision)
        self._field(f"{before}Version", pair.version)
        self._field(f"{before}Value", quote(pair.value))
        self._field(f"{before}Lease", pair.lease)

    def get(self, answer: RangeResponse) -> None:
        self._header(answer.header)
        for pair in answer.kvs:
            self._pair(pair)
        self._field("More", answer.more)
        self._field("Count", answer.count)

    def put(self, answer: PutResponse) -> None:
        self._header(answer.header)
        if answer.prev_kv is not None:
            self._pair(answer.prev_kv, "Prev")

    def delete(self, answer: DeleteRangeResponse) -> None:
        self._header(answer.header)
        self._field("Deleted", answer.deleted)
        for pair in answer.prev_kvs:
            self._pair(pair, "Prev")

    def txn(self, answer: TxnResponse) -> None:
        self._header(answer.header)
        self._field("Succeeded", answer.succeeded)
        for item in answer.responses:
            if item.response_put is not None:
                self.put(item.response_put)
            elif item.response_range is not None:
                self.get(item.response_range)
            elif item.response_delete_range is not None:
                self.delete(item.response_delete_range)

    def watch(self, update: WatchUpdate) -> None:
        self._header(update.header)
        for event in update.events or ():
            self._field("Type", event_type(event.type))
            if event.prev_kv is not None:
                self._pair(event.prev_kv, "Prev")
            self._pair(event.kv or KeyValue())

    def grant(self, answer: LeaseGrantResponse) -> None:
        self._header(answer.header)
        self._field("ID", answer.ID)
        self._field("TTL", answer.TTL)

    def revoke(self, lease_id: int, answer: LeaseRevokeResponse) -> None:
        self._header(answer.header)

    def keep_alive(self, answer: LeaseKeepAliveResponse) -> None:
        self._header(answer.header)
        self._field("ID", answer.ID)
        self._field("TTL", answer.TTL)

    def time_to_live(self, answer: LeaseTimeToLiveResponse, with_keys: bool) -> None:
        self._header(answer.header)
        self._field("ID", answer.ID)
        self._field("TTL", answer.TTL)
        self._field("GrantedTTL", answer.grantedTTL)
        for key in answer.keys:
            self._field("Key", quote(key))

    def leases(self, answer: LeaseLeasesResponse) -> None:
        self._header(answer.header)
        for lease in answer.leases:
            self._field("ID", lease.ID)

    def member_list(self, answer: MemberListResponse) -> None:
        self._header(answer.header)
        for member in answer.members:
            self._field("ID", member.ID)
            self._field("Name", quote(member.name))
            for url in member.peerURLs:
                self._field("PeerURL", quote(url))
            for url in member.clientURLs:
                self._field("ClientURL", quote(url))
            self._field("IsLearner", member.isLearner)
            self.console.line()

    def alarms(self, answer: AlarmResponse) -> None:
        self._header(answer.header)
        for alarm in answer.alarms:
            self._field("MemberID", alarm.memberID)
            self._field("AlarmType", alarm_name(alarm.alarm))
            self.console.line()

    def endpoint_health(self, found: Sequence[Health]) -> None:
        for item in found:
            self._field("Endpoint", quote(item.endpoint))
            self._field("Health", item.healthy)
            self._field("Took", item.took)
            self._field("Error", item.error)
            self.console.line()

    def endpoint_status(self, found: Sequence[tuple[str, StatusResponse]]) -> None:
        for endpoint, status in found:
            self._header(status.header)
            self._field("Version", quote(status.version))
            self._field("DBSize", status.dbSize)
            self._field("Leader", status.leader)
            self._field("IsLearner", status.isLearner)
            self._field("RaftIndex", status.raftIndex)
            self._field("RaftTerm", status.raftTerm)
            self._field("RaftAppliedIndex", status.raftAppliedIndex)
            self._field("Errors", f"[{' '.join(status.errors)}]")
            self._field("Endpoint", quote(endpoint))
            self.console.line()

    def endpoint_hashkv(self, found: Sequence[tuple[str, HashKVResponse]]) -> None:
        for endpoint, answer in found:
            self._header(answer.header)
            self._field("Endpoint", quote(endpoint))
            self._field("Hash", answer.hash)
            self.console.line()

    def snapshot_status(self, status: SnapshotStatus) -> None:
        self._field("Hash", status.hash)
        self._field("Revision", status.revision)
        self._field("Keys", status.total_keys)
        self._field("Size", status.size)
