"""What the disk itself costs: appending 300 bytes and fdatasync, over and over.

No put that is acknowledged after it is on disk can be faster than this.
"""

import os
import tempfile
import time

from bench.h2load import percentile
from bench.servers import SCRATCH

APPEND_BYTES = 300  # about one put in the log
APPENDS = 1_000


def fsync_times() -> dict[str, float]:
    """Median and 99th percentile in seconds."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    block = b"x" * APPEND_BYTES
    took_ns = []
    with tempfile.TemporaryFile(dir=SCRATCH, buffering=0) as file:
        for _ in range(APPENDS):
            begin = time.perf_counter_ns()
            file.write(block)
            os.fdatasync(file.fileno())
            took_ns.append(time.perf_counter_ns() - begin)
    took_ns.sort()
    return {"p50_s": percentile(took_ns, 50) / 1e9, "p99_s": percentile(took_ns, 99) / 1e9}
