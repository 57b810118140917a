"""Which versions of members and clusters go together.

The version of a cluster is major.minor.0 of its oldest member. A member works in clusters from
`CLUSTER_VERSION_MIN` up to its own version. Source: etcd 3.5.
"""

import re

from petcd.version import CLUSTER_VERSION

CLUSTER_VERSION_MIN = "3.0.0"
_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})\.\d{1,9}(?:[-+].{0,64})?")


def major_minor(version: str) -> tuple[int, int] | None:
    """What counts of a version; None when the text is none."""
    match = _VERSION.fullmatch(version)
    return (int(match[1]), int(match[2])) if match else None


def is_joinable(cluster_version: str) -> bool:
    """Whether this member can work in a cluster of that version."""
    found = major_minor(cluster_version)
    lowest, highest = major_minor(CLUSTER_VERSION_MIN), major_minor(CLUSTER_VERSION)
    assert lowest is not None and highest is not None
    return found is not None and lowest <= found <= highest
