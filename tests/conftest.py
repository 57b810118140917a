"""The order of the files: long ones begin, so that none of them is left to the end."""

from pathlib import PurePath

LONG_FIRST = (
    "simulation/test_campaign.py",
    "conformance/test_article.py",
    "robustness/test_cluster.py",
    "conformance/test_etcdctl_v3.py",
    "conformance/test_v2_etcdctl.py",
    "conformance/test_mixed_cluster.py",
    "simulation/test_museum.py",
    "conformance/test_python_clients.py",
    "conformance/test_snapshots.py",
    "conformance/test_proxy.py",
    "conformance/test_etcdctl_cluster.py",
    "robustness/test_proxy.py",
    "robustness/test_kill.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: place(item.path))


def place(path: PurePath) -> int:
    """Where a file stands in the list; behind it all others, as they come."""
    name = "/".join(path.parts[-2:])
    return LONG_FIRST.index(name) if name in LONG_FIRST else len(LONG_FIRST)
