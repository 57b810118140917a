"""Telling systemd how the process is doing (sd_notify), for units with `Type=notify`.

    READY=1      it serves, other units may start
    STOPPING=1   it was told to stop and is busy with that
    WATCHDOG=1   it is alive; sent twice as often as the unit's WatchdogSec asks

Outside of a unit there is no `NOTIFY_SOCKET`, and every message is dropped in silence. A message
that cannot be delivered is told to the caller and changes nothing: whoever serves goes on serving.
Source: the manual pages sd_notify(3) and sd_watchdog_enabled(3).
"""

import os
import socket
from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


class Notifier:
    """The way to the supervisor that started this process, if one did."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog_s(environment)

    def send(self, state: str) -> None:
        """Send one state. Raises OSError when the supervisor cannot be reached."""
        if not self.address:
            return
        # The kernel marks names outside of the file system by a zero byte, people by an @.
        address = "\0" + self.address[1:] if self.address[0] == "@" else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(state.encode(), address)


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Seconds between two signs of life, 0 when nobody waits for them."""
    limit_us = environment.get("WATCHDOG_USEC", "")
    of_process = environment.get("WATCHDOG_PID", "")
    if not limit_us.isdigit() or of_process not in ("", str(os.getpid())):
        return 0.0
    return int(limit_us) / 2e6
