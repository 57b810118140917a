"""The format with boxes, for what is a table: members and endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from petcd.cli.ctl import rows
from petcd.cli.ctl.printers import Health, Printer, SnapshotStatus
from petcd.cli.text_table import render

if TYPE_CHECKING:
    from petcd.wire.cluster import MemberListResponse
    from petcd.wire.maintenance import HashKVResponse, StatusResponse


class TablePrinter(Printer):
    """See the module."""

    name = "table"

    def _table(self, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        self.console.write(render(columns, lines).encode("utf-8", "surrogateescape"))

    def member_list(self, answer: MemberListResponse) -> None:
        self._table(rows.MEMBER_COLUMNS, rows.member_rows(answer))

    def endpoint_health(self, found: Sequence[Health]) -> None:
        self._table(rows.HEALTH_COLUMNS, rows.health_rows(found))

    def endpoint_status(self, found: Sequence[tuple[str, StatusResponse]]) -> None:
        self._table(rows.STATUS_COLUMNS, rows.status_rows(found))

    def endpoint_hashkv(self, found: Sequence[tuple[str, HashKVResponse]]) -> None:
        self._table(rows.HASH_COLUMNS, rows.hash_rows(found))

    def snapshot_status(self, status: SnapshotStatus) -> None:
        self._table(rows.SNAPSHOT_COLUMNS, [rows.snapshot_row(status)])
