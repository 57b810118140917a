"""Structured log lines, as operators and test suites of etcd expect them.

    {"level":"info","ts":"2026-01-02T03:04:05.123456Z","caller":"server/serve.py:71","msg":"...",...}

Standard error by default, files or standard output when asked. Lines of one message are sampled
(the first 100 a second, then each 100th), as in etcd, so that a storm does not fill the disk.
"""

import json
import sys
import time
from typing import Protocol, TextIO

LEVELS = {"debug": 0, "info": 1, "warn": 2, "error": 3, "panic": 4, "fatal": 5}
SAMPLE_FIRST = 100
SAMPLE_EVERY = 100


class LogLines(Protocol):
    """Where lines go; see `Logger`."""

    @property
    def debug_on(self) -> bool: ...

    def debug(self, message: str, **fields: object) -> None: ...

    def info(self, message: str, **fields: object) -> None: ...

    def warn(self, message: str, **fields: object) -> None: ...

    def error(self, message: str, **fields: object) -> None: ...

    def fatal(self, message: str, **fields: object) -> None: ...


class Logger:
    """Writes lines at or above a level. Fields are given as keyword arguments; `_` becomes `-`."""

    def __init__(self, level: str, style: str, outputs: tuple[str, ...]) -> None:
        """`level` is one of LEVELS, `style` "json" or "console"; raises OSError on a bad file and
        ValueError on an unknown level."""
        if level not in LEVELS:
            raise ValueError(f'unrecognized level: "{level}"')
        self._level = LEVELS[level]
        self._style = style
        self._files = [_open(output) for output in outputs or ("default",)]
        self._second = 0
        self._counts: dict[str, int] = {}

    @property
    def debug_on(self) -> bool:
        """Whether debug lines are written; ask before preparing an expensive one."""
        return self._level == 0

    def debug(self, message: str, **fields: object) -> None:
        """For developers."""
        self._write("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """For operators: what happened as it should."""
        self._write("info", message, fields)

    def warn(self, message: str, **fields: object) -> None:
        """For operators: worth a look."""
        self._write("warn", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """For operators: something failed."""
        self._write("error", message, fields)

    def fatal(self, message: str, **fields: object) -> None:
        """The last line before the process ends."""
        self._write("fatal", message, fields)

    def close(self) -> None:
        """Close the files that were opened here."""
        for file in self._files:
            if file not in (sys.stdout, sys.stderr):
                file.close()

    def _write(self, level: str, message: str, fields: dict[str, object]) -> None:
        if LEVELS[level] < self._level or not self._sampled(message):
            return
        frame = sys._getframe(2)
        caller = "/".join(frame.f_code.co_filename.split("/")[-2:]) + f":{frame.f_lineno}"
        stamp = _timestamp(time.time())
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        if self._style == "console":
            tail = f"\t{json.dumps(named, default=str)}" if named else ""
            line = f"{stamp}\t{level}\t{caller}\t{message}{tail}\n"
        else:
            record = {"level": level, "ts": stamp, "caller": caller, "msg": message, **named}
            line = json.dumps(record, default=str, separators=(",", ":")) + "\n"
        for file in self._files:
            try:
                file.write(line)
                file.flush()
            except (OSError, ValueError):
                continue  # a full or closed log must not stop the store

    def _sampled(self, message: str) -> bool:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._counts.clear()
        count = self._counts.get(message, 0) + 1
        self._counts[message] = count
        return count <= SAMPLE_FIRST or (count - SAMPLE_FIRST) % SAMPLE_EVERY == 0


def _open(output: str) -> TextIO:
    if output == "stdout":
        return sys.stdout
    if output in ("default", "stderr", "systemd/journal"):
        return sys.stderr
    return open(output, "a", encoding="utf-8")


def _timestamp(unix_s: float) -> str:
    whole = int(unix_s)
    micros = int((unix_s - whole) * 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{micros:06d}Z"
