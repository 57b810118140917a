"""petcd with a disk and a clock that obey a file: `python shim.py FILE ARGUMENTS`, as `etcd`.

    {"sync": "hang"}    no sync of the log, no commit of the backend returns until the file changes
    {"sync": "fail"}    each returns EIO
    {"sync_s": 0.5}     each takes so long
    {"clock_s": 3600}   the time of day is so far off; the monotonic clock is what it is

A file that is not there means that all is well. It stands in front of the calls by which Python
reaches the system, so what these never see (a page that LMDB reads) cannot go wrong here.
"""

import errno
import json
import os
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb

LOOK_S = 0.01


class Misfortune:
    """What the file says, looked at anew every so often."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked_s = 0.0
        self._found: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """The value of that name; None when all is well."""
        now_s = time.monotonic()
        if now_s - self._looked_s > LOOK_S:
            self._looked_s = now_s
            try:
                self._found = json.loads(self._path.read_bytes())
            except (FileNotFoundError, ValueError):
                self._found = {}
        return self._found.get(name)

    def befall(self) -> None:
        """What a call for the disk meets. Raises OSError."""
        self._looked_s = 0.0  # a sync is dear enough to look each time
        time.sleep(self.get("sync_s") or 0.0)
        while (what := self.get("sync")) == "hang":
            time.sleep(LOOK_S)
        if what == "fail":
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class Environment:
    """LMDB's environment with commits that meet the misfortune first."""

    def __init__(self, environment: Any, misfortune: Misfortune) -> None:
        self._environment = environment
        self._misfortune = misfortune

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environment, name)

    def begin(self, *, write: bool = False) -> Any:
        transaction = self._environment.begin(write=write)
        return Commit(transaction, self._misfortune) if write else transaction


class Commit:
    """A write transaction as a context."""

    def __init__(self, transaction: Any, misfortune: Misfortune) -> None:
        self._transaction = transaction
        self._misfortune = misfortune

    def __enter__(self) -> Any:
        return self._transaction.__enter__()

    def __exit__(self, *error: object) -> Any:
        try:
            self._misfortune.befall()
        except OSError as failed:
            self._transaction.abort()
            raise lmdb.DiskError(str(failed)) from failed
        return self._transaction.__exit__(*error)


def stand_between(misfortune: Misfortune) -> None:
    """To be called before the program starts."""

    def in_front_of(call: Callable[[Any], None]) -> Callable[[Any], None]:
        def meet(fd: Any) -> None:
            misfortune.befall()
            call(fd)

        return meet

    def open_environment(*words: Any, **more: Any) -> Environment:
        return Environment(opened(*words, **more), misfortune)

    for name in ("fdatasync", "fsync"):
        setattr(os, name, in_front_of(getattr(os, name)))
    time_s, time_ns, opened = time.time, time.time_ns, lmdb.open
    time.time = lambda: time_s() + (misfortune.get("clock_s") or 0)
    time.time_ns = lambda: time_ns() + (misfortune.get("clock_s") or 0) * 1_000_000_000
    lmdb.open = open_environment  # type: ignore[assignment]


if __name__ == "__main__":
    stand_between(Misfortune(Path(sys.argv[1])))
    del sys.argv[1]
    runpy.run_module("petcd.cli.etcd", run_name="__main__", alter_sys=True)
