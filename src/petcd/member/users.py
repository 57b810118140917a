"""Users and roles, which this version does not keep.

Where a cluster has them on, a member that knows nothing of them would serve everybody everything,
and apply what the others refuse. So it does not start on such data, takes no such snapshot, and
stops when a member of etcd turns them on. That users exist while they are off changes nothing.
"""

from petcd.member.meta import MetaReader

_AUTH = b"auth"
_ENABLED = b"authEnabled"
_YES = b"\x01"


class UsersAreOn(Exception):
    """This version cannot be a member of the cluster, nor serve its data."""

    def __init__(self) -> None:
        super().__init__(
            "users and roles are on (auth enable), which petcd does not have yet: "
            "it would serve everybody everything"
        )


def check_users_are_off(backend: MetaReader) -> None:
    """Raises UsersAreOn when the data say so."""
    if backend.get(_AUTH, _ENABLED) == _YES:
        raise UsersAreOn
