"""Maintenance.Snapshot: the file that the host makes, in pieces, and its SHA-256 at the end.

A client that reads slowly is waited for: at most QUEUE_BYTES are on their way to it, and the file
stays until it has all of it, cancels or is lost.
"""

from collections.abc import Generator

from petcd.api.errors import INTERNAL, status_of
from petcd.api.host import Export, Host
from petcd.transport.call import Call
from petcd.wire.codec import DecodeError
from petcd.wire.maintenance import SnapshotRequest, SnapshotResponse

# etcd's size of a piece; clients need not care.
PIECE_BYTES = 32 * 1024
# Pieces sent in one go: a third of a millisecond.
PIECES_A_SLICE = 8
QUEUE_BYTES = 1024 * 1024


class SnapshotSender:
    """One call. Begins with the request."""

    def __init__(self, host: Host, call: Call) -> None:
        self._host = host
        self._call = call
        self._export: Export | None = None
        self._left_bytes = 0
        self._sending = False
        self._begun = False
        call.on_message = self._begin
        call.on_half_close = self._ended
        call.on_cancel = self._close
        call.on_drain = self._go

    def _begin(self, body: bytes) -> None:
        try:
            SnapshotRequest.decode(body)
        except DecodeError as error:
            self._call.finish(*status_of(error))
            return
        if not self._begun:
            self._begun = True
            self._host.long_work.export(self._made, None)

    def _ended(self) -> None:
        if not self._begun:
            self._call.finish(INTERNAL, "EOF")

    def _made(self, context: None, outcome: object) -> None:
        if isinstance(outcome, Exception):
            self._call.finish(*status_of(outcome))
            return
        export: Export = outcome  # type: ignore[assignment]
        if self._call.cancelled:
            self._host.long_work.end_export(export)
            return
        self._export = export
        self._left_bytes = export.size_bytes
        self._go()

    def _go(self) -> None:
        """Send on, unless that is under way or everything was sent."""
        if self._export is not None and not self._sending:
            self._sending = True
            self._host.drive(self._slices(self._export), self._paused, None)

    def _slices(self, export: Export) -> Generator[None, None, None]:
        call = self._call
        while self._left_bytes and not call.cancelled and call.queued_bytes < QUEUE_BYTES:
            for _ in range(min(PIECES_A_SLICE, -(-self._left_bytes // PIECE_BYTES))):
                self._send_piece(export)
            yield

    def _send_piece(self, export: Export) -> None:
        piece = export.read(min(PIECE_BYTES, self._left_bytes))
        assert piece, f"{self._left_bytes} bytes are missing"
        self._left_bytes -= len(piece)
        self._send(piece)

    def _send(self, blob: bytes) -> None:
        response = SnapshotResponse(remaining_bytes=self._left_bytes, blob=blob)
        self._call.send(response.encode())

    def _paused(self, context: None, outcome: object) -> None:
        self._sending = False
        export = self._export
        if export is None:
            return
        if isinstance(outcome, Exception):
            self._call.finish(*status_of(outcome))
            self._close()
        elif not self._left_bytes:
            self._send(export.digest)
            self._call.finish()
            self._close()

    def _close(self) -> None:
        export, self._export = self._export, None
        if export is not None:
            self._host.long_work.end_export(export)
