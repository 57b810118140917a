"""What takes too long, for operators: warnings in etcd's words, and counters for the metrics.

    apply request took too long     to apply a batch, or to serve a read: --warning-apply-duration
    request stats                   of a write that took long from the client's call to the answer:
                                    --warning-unary-request-duration
    slow fdatasync                  one sync of the log took a second
    leader failed to send out heartbeat on time; ...
    waiting for ReadIndex response took too long, retrying
    timed out waiting for read index response (...)

What is slow is mostly slow for everybody at once, and a log on the same disk would make it worse:
of each message at most one line a second is written, and the next one says how many were not. What
they tell of is described only then.

It measures nothing itself: who calls has looked at the clock anyway. Source: etcd 3.5's log lines.
"""

from collections.abc import Callable, Sequence
from typing import Final

from petcd.api.errors import status_of
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

Fields = dict[str, object]


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

    # -- applying and serving ----------------------------------------------------------------

    def applied(self, took_s: float, entries: Sequence[Entry]) -> None:
        """Applying these entries took longer than `apply_s`; the largest one is told of."""
        self._too_long(
            took_s, "", lambda: entry_request(max(entries, key=lambda e: len(e.data))), len(entries)
        )

    def read(self, took_s: float, request: RangeRequest, response_bytes: int) -> None:
        """A range took longer than `apply_s`."""
        self._too_long(took_s, RANGE, lambda: request_text(request), 1, f"size:{response_bytes}")

    def read_index_late(
        self, took_s: float, contexts: Sequence[object], refusal: Exception | None
    ) -> None:
        """Reads waited longer than `apply_s` until their index was confirmed and applied, or until
        they were refused; the first one is told of.

        `contexts` are what their services keep: (call, key or request) mostly. Others are reads of
        the member's own.
        """
        asked = [what for what in map(_asked, contexts) if what is not None]
        if not asked:
            return
        first = asked[0]
        prefix = TXN if isinstance(first, TxnRequest) else RANGE
        error = "" if refusal is None else status_of(refusal)[1]
        self._too_long(took_s, prefix, lambda: _read_text(first), len(asked), "", error)

    def _too_long(
        self,
        took_s: float,
        prefix: str,
        request: Callable[[], str],
        count: int,
        response: str = "",
        error: str = "",
    ) -> None:
        self.slow_applies += 1

        def fields() -> Fields:
            found: Fields = {
                "took": duration(took_s),
                "expected-duration": duration(self.apply_s),
                "prefix": prefix,
                "request": request(),
                "response": response,
            }
            if error:
                found["error"] = error
            if count > 1:
                found["requests"] = count
            return found

        self._warn("apply request took too long", fields)

    # -- from the call to the answer ---------------------------------------------------------

    def answered(self, now_s: float, context: object, entries: Sequence[Entry]) -> None:
        """The first write in these entries is applied now; it seemed to have taken long.

        `context` is what its service keeps, the call mostly, which knows the time better. Nothing
        happens when that was fast enough, or no call at all.
        """
        entry = next((entry for entry in entries if entry.data), entries[0])
        self._tell_of_call(now_s, context, entry)

    def gave_up(self, now_s: float, context: object) -> None:
        """A write is refused: it was not applied in time."""
        self._tell_of_call(now_s, context, None)

    def _tell_of_call(self, now_s: float, context: object, entry: Entry | None) -> None:
        call = context[0] if isinstance(context, tuple) and context else context
        if not isinstance(call, Call) or now_s - call.started <= self.call_s:
            return
        took_s, remote, method = now_s - call.started, call.peer, call.method.path.decode()

        def fields() -> Fields:
            return {
                "time spent": duration(took_s),
                "remote": remote,
                "response type": method,
                "request size": -1 if entry is None else len(entry.data),
                "request content": "" if entry is None else entry_request(entry),
            }

        self._warn("request stats", fields)

    # -- reads of the whole cluster's state ----------------------------------------------------

    def read_index_retried(self, request_id: int, after_s: float) -> None:
        """Nobody confirmed a read index; it is asked for again."""
        self._warn(
            "waiting for ReadIndex response took too long, retrying",
            lambda: {"sent-request-id": request_id, "retry-timeout": duration(after_s)},
        )

    def read_index_failed(self, timeout_s: float) -> None:
        """Nobody confirmed a read index in all the time there was."""
        self._warn(
            "timed out waiting for read index response (local node might have slow network)",
            lambda: {"timeout": duration(timeout_s)},
        )

    # -- disk and leader -----------------------------------------------------------------------

    def synced(self, took_s: float) -> None:
        """The log was synced."""
        if took_s > SLOW_SYNC_S:
            self._warn(
                "slow fdatasync",
                lambda: {"took": duration(took_s), "expected-duration": duration(SLOW_SYNC_S)},
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
                lambda: {
                    "to": format_id(to),
                    "heartbeat-interval": duration(self._heartbeat_s),
                    "expected-duration": duration(expected_s),
                    "exceeded-duration": duration(exceeded_s),
                },
            )

    # -- lines ---------------------------------------------------------------------------------

    def _warn(self, message: str, fields: Callable[[], Fields]) -> None:
        now_s = self._now_s()
        written_s, skipped = self._lines.get(message, (now_s - LINE_INTERVAL_S, 0))
        if now_s - written_s < LINE_INTERVAL_S:
            self._lines[message] = (written_s, skipped + 1)
            return
        self._lines[message] = (now_s, 0)
        more = {"skipped-lines": skipped} if skipped else {}
        self._log.warn(message, **fields(), **more)


def _asked(context: object) -> bytes | RangeRequest | TxnRequest | None:
    """What was asked for, if that was a client's range or transaction."""
    asked = context[1] if isinstance(context, tuple) and len(context) > 1 else None
    return asked if isinstance(asked, bytes | RangeRequest | TxnRequest) else None


def _read_text(asked: bytes | RangeRequest | TxnRequest) -> str:
    return key_text(asked) if isinstance(asked, bytes) else request_text(asked)


def entry_request(entry: Entry) -> str:
    """The request in an entry; empty for a change of the members."""
    return entry_text(entry.data) if entry.type == EntryType.NORMAL else ""


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
