"""The format for programs: one JSON value a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from petcd.cli.ctl.printers import Health, Printer, SnapshotStatus
from petcd.cli.ctl.rows import truth
from petcd.cli.json_text import bytes_json, message_json
from petcd.client.log import json_string
from petcd.wire.codec import Message

if TYPE_CHECKING:
    from petcd.cli.ctl.printers import MemberChange
    from petcd.client.watching import WatchUpdate
    from petcd.wire.cluster import MemberListResponse
    from petcd.wire.header import ResponseHeader
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


def _array(items: Sequence[str]) -> str:
    return "[" + ",".join(items) + "]"


def _flat(header: ResponseHeader | None, *members: str) -> str:
    """The header's members and others in one object, as the lease answers have them."""
    inside = message_json(header)[1:-1] if header is not None else ""
    return "{" + ",".join([part for part in (inside, *members) if part]) + "}"


class JsonPrinter(Printer):
    """`--hex` concerns only the ids of the member list."""

    name = "json"

    def _message(self, message: Message) -> None:
        self.console.line(message_json(message))

    def get(self, answer: RangeResponse) -> None:
        self._message(answer)

    def put(self, answer: PutResponse) -> None:
        self._message(answer)

    def delete(self, answer: DeleteRangeResponse) -> None:
        self._message(answer)

    def txn(self, answer: TxnResponse) -> None:
        self._message(answer)

    def watch(self, update: WatchUpdate) -> None:
        events = "null"
        if update.events is not None:
            events = _array([message_json(event) for event in update.events])
        self.console.line(
            f'{{"Header":{message_json(update.header)},"Events":{events},'
            f'"CompactRevision":{update.compact_revision},'
            f'"Canceled":{truth(update.canceled)},"Created":false}}'
        )

    def grant(self, answer: LeaseGrantResponse) -> None:
        error = json_string(answer.error)
        self.console.line(
            _flat(answer.header, f'"ID":{answer.ID},"TTL":{answer.TTL},"Error":{error}')
        )

    def revoke(self, lease_id: int, answer: LeaseRevokeResponse) -> None:
        self._message(answer)

    def keep_alive(self, answer: LeaseKeepAliveResponse) -> None:
        self.console.line(_flat(answer.header, f'"ID":{answer.ID},"TTL":{answer.TTL}'))

    def time_to_live(self, answer: LeaseTimeToLiveResponse, with_keys: bool) -> None:
        keys = _array([bytes_json(key) for key in answer.keys]) if answer.keys else "null"
        self.console.line(
            _flat(
                answer.header,
                f'"id":{answer.ID},"ttl":{answer.TTL},"granted-ttl":{answer.grantedTTL}',
                f'"keys":{keys}',
            )
        )

    def leases(self, answer: LeaseLeasesResponse) -> None:
        leases = _array([f'{{"id":{lease.ID}}}' for lease in answer.leases])
        self.console.line(_flat(answer.header, f'"leases":{leases}'))

    def member_list(self, answer: MemberListResponse) -> None:
        if not self.hex_bytes:
            self._message(answer)
            return
        header = answer.header
        ids = (header.cluster_id, header.member_id) if header is not None else (0, 0)
        term = header.raft_term if header is not None else 0
        members = [
            f'{{"ID":"{member.ID:x}","name":{json_string(member.name)},'
            f'"peerURLs":{_array([json_string(url) for url in member.peerURLs])},'
            f'"clientURLS":{_array([json_string(url) for url in member.clientURLs])}}}'
            for member in answer.members
        ]
        start = (
            f'{{"header":{{"cluster_id":"{ids[0]:x}","member_id":"{ids[1]:x}","raft_term":{term}}}'
        )
        self.console.line(start + (f',"members":{_array(members)}' if members else "") + "}")

    def member_changed(self, what: str, member_id: int, answer: MemberChange) -> None:
        self._message(answer)

    def leader_moved(self, leader: int, target: int, answer: MoveLeaderResponse) -> None:
        self._message(answer)

    def alarms(self, answer: AlarmResponse) -> None:
        self._message(answer)

    def endpoint_health(self, found: Sequence[Health]) -> None:
        items = []
        for item in found:
            error = f',"error":{json_string(item.error)}' if item.error else ""
            items.append(
                f'{{"endpoint":{json_string(item.endpoint)},"health":{truth(item.healthy)},'
                f'"took":{json_string(item.took)}{error}}}'
            )
        self.console.line(_array(items))

    def endpoint_status(self, found: Sequence[tuple[str, StatusResponse]]) -> None:
        self._by_endpoint("Status", found)

    def endpoint_hashkv(self, found: Sequence[tuple[str, HashKVResponse]]) -> None:
        self._by_endpoint("HashKV", found)

    def snapshot_status(self, status: SnapshotStatus) -> None:
        self.console.line(
            f'{{"hash":{status.hash},"revision":{status.revision},'
            f'"totalKey":{status.total_keys},"totalSize":{status.size}}}'
        )

    def _by_endpoint(self, name: str, found: Sequence[tuple[str, Message]]) -> None:
        items = [
            f'{{"Endpoint":{json_string(endpoint)},"{name}":{message_json(answer)}}}'
            for endpoint, answer in found
        ]
        self.console.line(_array(items))
