"""Who may have how many of the process's file descriptors.

Clients get what the system allows, less what the member needs for itself: its files, the other
members, copies of the database. So no crowd of clients makes a cut of the log fail, which would end
the process, or keeps the other members out. The numbers are etcd's.
"""

import resource
from contextlib import suppress

from petcd.server.config import ConfigError

RESERVED = 150
_UNLIMITED = 1 << 20


def connections_max() -> int:
    """How many clients may be connected at a time. Raises ConfigError when that is nobody."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems call it unlimited and mean less
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return for_clients(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def for_clients(limit: int) -> int:
    """What a limit of so many leaves for clients. Raises ConfigError."""
    if limit == resource.RLIM_INFINITY:
        return _UNLIMITED
    if limit <= RESERVED:
        raise ConfigError(
            f"file descriptor limit[{limit}] of etcd process is too low, and should be set higher "
            f"than {RESERVED} to ensure internal usage"
        )
    return limit - RESERVED
