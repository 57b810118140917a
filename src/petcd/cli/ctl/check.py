"""`etcdctl check` perf and datascale."""

from __future__ import annotations

import os
import signal

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import BAD_FEATURE, ERROR, INVALID_INPUT, CommandError, Ended
from petcd.cli.ctl.load import Load, LoadDriver, Outcome
from petcd.cli.ctl.progress import Progress, terminal_columns
from petcd.cli.ctl.session import Session, decode
from petcd.cli.flags import BOOL, STRING, Flag
from petcd.cli.quoting import quote
from petcd.client import methods
from petcd.client.dialing import DialError
from petcd.client.endpoint import parse_endpoint
from petcd.client.errors import ClientError
from petcd.client.ranges import prefix_end
from petcd.wire.kv import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    RangeRequest,
    RangeResponse,
)
from petcd.wire.maintenance import DefragmentRequest

PERF_S = 60
PERF_KEY_BYTES, PERF_VALUE_BYTES = 256, 1024
PERF_LOADS = {"s": (150, 50), "m": (1000, 200), "l": (8000, 500), "xl": (15000, 1000)}
"""Model -> (writes a second, clients)."""
RATE_SHARE_MIN = 0.9
SLOWEST_S_MAX = 0.5
STDDEV_S_MAX = 0.1

SCALE_KEY_BYTES, SCALE_VALUE_BYTES = 512, 512
SCALE_LOADS = {
    "s": (10_000, 50),
    "m": (100_000, 200),
    "l": (1_000_000, 500),
    "xl": (3_000_000, 1000),
}
"""Model -> (pairs, clients)."""

_MODELS = {
    "s": "s",
    "small": "s",
    "m": "m",
    "medium": "m",
    "l": "l",
    "large": "l",
    "xl": "xl",
    "xLarge": "xl",
}
CLEANUP_S = 30.0
MEBIBYTE = 1 << 20
RANDOM_BYTES = 8


def _flags(prefix: str) -> tuple[Flag, ...]:
    return (
        Flag("load", STRING, "s", "s (small), m (medium), l (large) or xl (xLarge)"),
        Flag("prefix", STRING, prefix, "where the keys are written; must be empty"),
        Flag("auto-compact", BOOL, False, "compact afterwards"),
        Flag("auto-defrag", BOOL, False, "defragment afterwards"),
    )


class Check:
    """What both checks do before and after their load."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.prefix = os.fsencode(session.flags.string("prefix"))

    def model(self) -> str:
        """The chosen load.  Raises CommandError."""
        name = self.session.flags.string("load")
        if name not in _MODELS:
            raise CommandError(BAD_FEATURE, f"unknown load option {name}")
        return _MODELS[name]

    def refuse_existing_keys(self, advice: str) -> None:
        """Raises CommandError when there are keys under the prefix."""
        request = RangeRequest(key=self.prefix, range_end=prefix_end(self.prefix), limit=1)
        body = self.session.channel.unary(methods.RANGE, request.encode(), repeatable=True)
        if decode(RangeResponse, body).kvs:
            shown = self.session.flags.string("prefix")
            raise CommandError(
                INVALID_INPUT,
                f"prefix {quote(shown)} has keys. Delete with {advice.replace('%', shown)} first",
            )

    def drive(self, load: Load, key_bytes: int, value_bytes: int, in_seconds: bool) -> Outcome:
        """Write random keys, with a progress line of seconds or of writes."""
        session = self.session
        progress = Progress(
            session.console, PERF_S if in_seconds else load.calls, terminal_columns(1)
        )
        credentials = session.channel.credentials
        token = credentials.token if credentials is not None else b""
        driver = LoadDriver(
            [parse_endpoint(text) for text in session.endpoint_texts],
            load,
            methods.PUT,
            RandomPut(self.prefix, key_bytes, value_bytes),
            ((b"token", token),) if token else (),
            lambda elapsed_s, done: progress.show(
                int(elapsed_s) if in_seconds else done, elapsed_s
            ),
        )
        signal.signal(signal.SIGINT, lambda number, frame: setattr(driver, "stopping", True))
        try:
            driver.connect()
            outcome = driver.run()
        except DialError as error:
            raise CommandError(ERROR, str(error)) from None
        finally:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            driver.close()
        progress.finish()
        return outcome

    def clean_up(self) -> int:
        """Delete what was written; the revision after it.  Raises ClientError."""
        request = DeleteRangeRequest(key=self.prefix, range_end=prefix_end(self.prefix))
        body = self.session.channel.unary(methods.DELETE_RANGE, request.encode(), CLEANUP_S)
        header = decode(DeleteRangeResponse, body).header
        return header.revision if header is not None else 0

    def compact(self, revision: int) -> None:
        """Compact when `--auto-compact` says so."""
        if not self.session.flags.boolean("auto-compact"):
            return
        console = self.session.console
        console.line(f"Compacting with revision {revision}")
        request = CompactionRequest(revision=revision, physical=True)
        body = self.session.channel.unary(methods.COMPACT, request.encode(), CLEANUP_S)
        decode(CompactionResponse, body)
        console.line(f"Compacted with revision {revision}")

    def defragment(self) -> None:
        """Defragment each endpoint when `--auto-defrag` says so."""
        if not self.session.flags.boolean("auto-defrag"):
            return
        for endpoint in self.session.endpoint_texts:
            self.session.console.line(f"Defragmenting {quote(endpoint)}")
            channel = self.session.open_channel([endpoint])
            channel.unary(methods.DEFRAGMENT, DefragmentRequest().encode(), CLEANUP_S)
            channel.close()
            self.session.console.line(f"Defragmented {quote(endpoint)}")

    def show_errors(self, outcome: Outcome) -> bool:
        """Print what failed; whether anything did."""
        if outcome.errors:
            self.session.console.line("FAIL: too many errors")
        for text, count in outcome.errors.items():
            self.session.console.line(f"FAIL: ERROR({text}) -> {count}")
        return bool(outcome.errors)


class RandomPut:
    """Makes encoded puts of random keys under a prefix, all of one size."""

    def __init__(self, prefix: bytes, key_bytes: int, value_bytes: int) -> None:
        marker = b"\xff" * RANDOM_BYTES
        key = prefix + marker + bytes(key_bytes - RANDOM_BYTES)
        whole = PutRequest(key=key, value=bytes(value_bytes)).encode()
        self.head, _, self.tail = whole.rpartition(marker)

    def __call__(self) -> bytes:
        return b"".join((self.head, os.urandom(RANDOM_BYTES), self.tail))


# -- perf ------------------------------------------------------------------------------------------


def run_perf(session: Session) -> None:
    check = Check(session)
    rate, clients = PERF_LOADS[check.model()]
    session.prepare()
    check.refuse_existing_keys("'etcdctl del --prefix %'")
    outcome = check.drive(
        Load(clients, rate, PERF_S), PERF_KEY_BYTES, PERF_VALUE_BYTES, in_seconds=True
    )
    try:
        revision = check.clean_up()
    except ClientError as error:
        session.console.line(f"FAIL: Cleanup failed during key deletion: ERROR({error})")
    else:
        check.compact(revision)
    check.defragment()
    failed = check.show_errors(outcome)
    lines, good = verdict(outcome, rate)
    for line in lines:
        session.console.line(line)
    if failed or not good:
        session.console.line("FAIL")
        raise Ended(ERROR)
    session.console.line("PASS")


def verdict(outcome: Outcome, rate: int) -> tuple[list[str], bool]:
    """The lines that judge throughput, slowest write and deviation; whether all are good."""
    shown = int(outcome.rate) + 1
    judged = (
        (
            outcome.rate / rate > RATE_SHARE_MIN,
            f"PASS: Throughput is {shown} writes/s",
            f"FAIL: Throughput too low: {shown} writes/s",
        ),
        (
            outcome.slowest_s <= SLOWEST_S_MAX,
            f"PASS: Slowest request took {outcome.slowest_s:f}s",
            f"Slowest request took too long: {outcome.slowest_s:f}s",
        ),
        (
            outcome.stddev_s <= STDDEV_S_MAX,
            f"PASS: Stddev is {outcome.stddev_s:f}s",
            f"Stddev too high: {outcome.stddev_s:f}s",
        ),
    )
    lines = [passed if good else failed for good, passed, failed in judged]
    return lines, all(good for good, _, _ in judged)


# -- datascale -------------------------------------------------------------------------------------


def run_datascale(session: Session) -> None:
    check = Check(session)
    pairs, clients = SCALE_LOADS[check.model()]
    session.prepare()
    check.refuse_existing_keys("etcdctl del --prefix %")
    console = session.console
    before = _memory_or_fail(session, "before")
    size = SCALE_KEY_BYTES + SCALE_VALUE_BYTES
    console.line(
        f"Start data scale check for work load [{pairs} key-value pairs, "
        f"{size} bytes per key-value, {clients} concurrent clients]."
    )
    outcome = check.drive(
        Load(clients, calls=pairs), SCALE_KEY_BYTES, SCALE_VALUE_BYTES, in_seconds=False
    )
    after = _memory_or_fail(session, "after")
    check.compact(check.clean_up())
    check.defragment()
    if check.show_errors(outcome):
        raise Ended(ERROR)
    used = (after - before) / MEBIBYTE
    console.line(f"PASS: Approximate system memory used : {used:.2f} MB.")


def _memory_or_fail(session: Session, when: str) -> float:
    from petcd.cli.ctl.server_metrics import MetricFault, resident_memory

    try:
        return resident_memory(parse_endpoint(session.endpoint_texts[0]))
    except MetricFault as error:
        session.console.line(str(error))
        session.console.line(
            f"FAIL: Could not read process_resident_memory_bytes {when} the put operations."
        )
        raise Ended(ERROR) from None


PERF = Command(
    "perf [options]",
    run_perf,
    f"""
Writes for {PERF_S} seconds at the rate of the model, then deletes what it wrote.

model   writes a second   clients
s                   150        50
m                 1,000       200
l                 8,000       500
xl               15,000     1,000

Passes above 90 % of the rate, when no write took more than 0.5 s and the deviation is below 0.1 s.
Exit code 1 when it fails.""",
    (
        ("% check perf", "a small cluster"),
        ("% check perf --load l --auto-compact --auto-defrag", "a large one, and tidy up"),
    ),
    _flags("/etcdctl-check-perf/"),
)
DATASCALE = Command(
    "datascale [options]",
    run_datascale,
    """
Writes the pairs of the model as fast as it goes, compares the first endpoint's memory before and
after (from its /metrics), then deletes what it wrote.

model       pairs   clients
s          10,000        50
m         100,000       200
l       1,000,000       500
xl      3,000,000     1,000""",
    (("% check datascale --load m", "a hundred thousand pairs of 1 KiB"),),
    _flags("/etcdctl-check-datascale/"),
)
