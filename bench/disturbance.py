"""How much CPU others used while a load was measured: what makes two runs differ most.

The real etcd wants every core, petcd one; on a small machine another program's load harms the two
unequally, and the ratio with them. So each run says how much it was disturbed: the machine's busy
time less that of the bench, its load generators and its servers, as a share of one core. The
kernel's own threads (disk, network) count as others; a few per cent are theirs.
"""

import os
import resource
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
TOLERABLE = 0.25  # of one core


class Disturbance:
    """Started before a load; `share` after it, when its children have ended."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.busy_s = busy_seconds()
        self.own_s = own_seconds()

    def share(self) -> float:
        """CPU of others per second; 0 where the system does not tell."""
        busy_s, own_s = busy_seconds() - self.busy_s, own_seconds() - self.own_s
        return max(0.0, busy_s - own_s) / (time.monotonic() - self.begin)


def busy_seconds() -> float:
    """CPU time of all, with what a virtual machine's host took for others, since the boot."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return 0.0
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, first[:8])
    ticks = user + nice + system + interrupts + soft_interrupts + stolen
    return ticks / TICKS_PER_SECOND


def own_seconds() -> float:
    """CPU time of the bench and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
