"""What takes too long, for operators: warnings in etcd's words, and counters for the metrics.

    apply request took too long     to apply a batch, or to serve a read: --warning-apply-duration
    request stats                   of a write that took long from the client's call to the answer:
                                    --warning-unary-request-duration
    slow fdatasync                  one sync of the log took a second
    leader failed to send out heartbeat on time; ...
    waiting for ReadIndex response took too long, retrying
    timed out waiting for read index response (...)

What is slow is mostly slow for everybody at once, and a log on the same disk would make it worse:
of each message at most one line a second is written, and it says how many there were besides.

It measures nothing itself: who calls has looked at the clock anyway. Source: etcd 3.5's log lines.
"""

from collections.abc import Callable, Sequence
from typing import Final

from petcd.cluster import format_id
from petcd.raft.types import Entry, EntryType
from petcd.server.log import LogLines
from petcd.server.request_text import entry_text, key_text, request_text
from petcd.transport.call import Call
from petcd.wire.kv import RangeRequest, TxnRequest

LINE_INTERVAL_S: Final = 1.0
SLOW_SYNC_S: Final = 1.0
# Heartbeats may be so many intervals apart, as in etcd.
HEARTBEATS_APART: Final = 2
# How etcd begins what it says of reads.
RANGE: Final = "read-only range "
TXN: Final = "read-only txn "


class Slowness:
    """Writes the warnings and counts. All methods belong to the loop thread."""

    def __init__(
        self,
        log: LogLines,
        now_s: Callable[[], float],
        apply_s: float,
        call_s: float,
        heartbeat_s: float,
    ) -> None:
        """`now_s` is the loop's clock; `apply_s` and `call_s` are what is still fast enough."""
        self.apply_s = apply_s
        self.call_s = call_s
        self.slow_applies = 0
        self.late_heartbeats = 0
        self._log = log
        self._now_s = now_s
        self._heartbeat_s = heartbeat_s
        self._beats: dict[int, tuple[int, float]] = {}  # by peer: term and time of the last one
        self._lines: dict[str, tuple[float, int]] = {}  # by message: when written, how many since

    # -- requests ---------------------------------------------------------------------------

    def applied(self, took_s: float, entries: Sequence[Entry]) -> None:
        """Applying these entries took longer than `apply_s`."""
        normal = [entry for entry in entries if entry.type == EntryType.NORMAL and entry.data]
        largest = max(normal, key=lambda entry: len(entry.data), default=None)
        self._warn_of_request(
            took_s, "", "" if largest is None else entry_text(largest.data), "", len(entries)
        )

    def read(self, took_s: float, request: RangeRequest, response_bytes: int) -> None:
        """A range took longer than `apply_s`."""
        self._warn_of_request(took_s, RANGE, request_text(request), f"size:{response_bytes}", 1)

    def read_index_late(self, took_s: float, contexts: Sequence[object]) -> None:
        """Reads waited longer than `apply_s` until their index was confirmed and applied.

        `contexts` are what their services keep: (call, key or request) mostly.
        """
        for context in contexts:
            asked = context[1] if isinstance(context, tuple) and len(context) > 1 else None
            if isinstance(asked, bytes):
                self._warn_of_request(took_s, RANGE, key_text(asked), "", len(contexts))
            elif isinstance(asked, RangeRequest):
                self._warn_of_request(took_s, RANGE, request_text(asked), "", len(contexts))
            elif isinstance(asked, TxnRequest):
                self._warn_of_request(took_s, TXN, request_text(asked), "", len(contexts))
            else:
                continue
            return

    def _warn_of_request(
        self, took_s: float, prefix: str, request: str, response: str, count: int
    ) -> None:
        self.slow_applies += 1
        self._warn(
            "apply request took too long",
            {
                "took": duration(took_s),
                "expected-duration": duration(self.apply_s),
                "prefix": prefix,
                "request": request,
                "response": response,
                **({"requests": count} if count > 1 else {}),
            },
        )

    def answered(
        self, now_s: float, asked_s: float, context: object, entries: Sequence[Entry]
    ) -> None:
        """The first write in these entries is applied now and was asked for about then.

        `context` is what its service keeps, the call mostly, which knows the time better. Nothing
        happens when that was fast enough.
        """
        call = context[0] if isinstance(context, tuple) else context
        remote = method = ""
        if isinstance(call, Call):
            asked_s, remote, method = call.started, call.peer, call.method.path.decode()
        if now_s - asked_s > self.call_s:
            entry = next((entry for entry in entries if entry.data), entries[0])
            is_request = entry.type == EntryType.NORMAL
            self._warn(
                "request stats",
                {
                    "time spent": duration(now_s - asked_s),
                    "remote": remote,
                    "response type": method,
                    "request size": len(entry.data),
                    "request content": entry_text(entry.data) if is_request else "",
                },
            )

    # -- reads of the whole cluster's state ----------------------------------------------------

    def read_index_retried(self, request_id: int, after_s: float) -> None:
        """Nobody confirmed a read index; it is asked for again."""
        self._warn(
            "waiting for ReadIndex response took too long, retrying",
            {"sent-request-id": request_id, "retry-timeout": duration(after_s)},
        )

    def read_index_failed(self, timeout_s: float) -> None:
        """Nobody confirmed a read index in all the time there was."""
        self._warn(
            "timed out waiting for read index response (local node might have slow network)",
            {"timeout": duration(timeout_s)},
        )

    # -- disk and leader -----------------------------------------------------------------------

    def synced(self, took_s: float) -> None:
        """The log was synced."""
        if took_s > SLOW_SYNC_S:
            self._warn(
                "slow fdatasync",
                {"took": duration(took_s), "expected-duration": duration(SLOW_SYNC_S)},
            )

    def heartbeat_sent(self, to: int, term: int) -> None:
        """A heartbeat goes to this peer; it is late when the one before was sent long ago."""
        now_s = self._now_s()
        before = self._beats.get(to)
        self._beats[to] = (term, now_s)
        if before is None or before[0] != term:
            return
        expected_s = HEARTBEATS_APART * self._heartbeat_s
        exceeded_s = now_s - before[1] - expected_s
        if exceeded_s > 0:
            self.late_heartbeats += 1
            self._warn(
                "leader failed to send out heartbeat on time; took too long, leader is overloaded "
                "likely from slow disk",
                {
                    "to": format_id(to),
                    "heartbeat-interval": duration(self._heartbeat_s),
                    "expected-duration": duration(expected_s),
                    "exceeded-duration": duration(exceeded_s),
                },
            )

    # -- lines ---------------------------------------------------------------------------------

    def _warn(self, message: str, fields: dict[str, object]) -> None:
        now_s = self._now_s()
        written_s, skipped = self._lines.get(message, (now_s - LINE_INTERVAL_S, 0))
        if now_s - written_s < LINE_INTERVAL_S:
            self._lines[message] = (written_s, skipped + 1)
            return
        self._lines[message] = (now_s, 0)
        if skipped:
            fields["skipped-lines"] = skipped
        self._log.warn(message, **fields)


def duration(seconds: float) -> str:
    """As Go prints it, to the microsecond: 1.5s, 123.456ms."""
    micros = round(seconds * 1e6)
    if abs(micros) < 1_000_000:
        return _trimmed(f"{micros / 1e3:.3f}") + "ms"
    minutes, rest = divmod(micros, 60_000_000)
    text = _trimmed(f"{rest / 1e6:.6f}") + "s"
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _trimmed(decimal: str) -> str:
    return decimal.rstrip("0").rstrip(".")
