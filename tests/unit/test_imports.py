"""The rooms of src/petcd and who may import whom, checked by walking the syntax trees.

Imports go downwards only (the table below), the pure rooms touch no clock, chance, socket, file or
thread, and nothing shipped knows the tests, the bench or the simulator. A failure names both sides.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src"

# room -> what it may import of ours, as dotted prefixes below petcd (besides itself)
LAYERS: dict[str, tuple[str, ...]] = {
    "version": (),
    "wire": (),
    "raft": (),
    "transport": (),
    "mvcc": ("wire",),
    "lease": ("wire",),
    "auth": ("wire",),
    "cluster": ("wire",),
    "storage": ("wire", "raft.types", "version"),
    "member": ("wire", "raft", "mvcc", "lease", "auth", "cluster", "version"),
    "api": ("wire", "member", "mvcc", "lease", "auth", "cluster", "transport", "version"),
    "peer": ("wire", "raft.types", "cluster", "transport", "version"),
    "server": (
        *("wire", "raft", "mvcc", "lease", "auth", "cluster", "storage", "member"),
        *("transport", "api", "peer", "client", "proxy", "version"),
    ),
    "client": ("wire", "transport", "version"),
    "proxy": ("client", "transport", "version"),
    "cli": ("wire", "client", "version"),
}
# the `etcd` command is the server's front; `etcdctl` starts fast because it is not
BESIDES: dict[str, tuple[str, ...]] = {
    # restoring makes a member's data directory
    "petcd.cli.ctl.snapshot": ("server.config", "server.restore", "storage"),
    "petcd.cli.ctl.load": ("transport.h2_client",),  # `check perf` keeps a thousand calls going
    "petcd.cli.ctl2.backup": ("server.backup", "storage.errors"),
    "petcd.cli.utl.defrag": ("storage",),
    "petcd.cli.etcd": ("server", "storage.errors"),
    "petcd.cli.etcd_gateway": ("proxy", "server.log"),
    "petcd.cli.etcd_grpc_proxy": ("proxy", "server.log", "transport.options"),
    "petcd.cli.render": ("server.flag", "server.flag_table"),
    "petcd.cli.etcd_help": ("server.config", "server.flag", "server.flag_table"),
}

PURE_ROOMS = ("wire", "raft", "mvcc", "lease", "auth", "cluster", "member")

EFFECT_MODULES = {
    *("time", "datetime", "random", "secrets", "uuid"),  # clock and chance
    *("socket", "select", "selectors", "ssl", "http", "urllib"),  # network
    *("os", "io", "pathlib", "shutil", "tempfile", "mmap", "fcntl", "logging"),  # files
    *("threading", "concurrent", "multiprocessing", "subprocess", "signal"),  # others who run
    *("asyncio", "sched", "queue"),
}
EFFECT_BUILTINS = {"open", "input", "print", "exec", "eval", "__import__"}

# packages from outside that a room may import; the others come from pyproject.toml only
OUTSIDE_OF_PURE_ROOMS: dict[str, set[str]] = {"mvcc": {"sortedcontainers", "google_crc32c"}}
OUTSIDE = {
    *("uvloop", "lmdb", "google_crc32c", "sortedcontainers", "httptools", "hpack", "yaml"),
    *("prometheus_client", "dns"),
}
NOT_SHIPPED = {"tests", "bench", "sim", "faults", "conftest"}


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.Module, module: str, is_package: bool) -> Iterator[str]:
    """Every imported module as an absolute dotted name, `from a import b` as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                keep = len(module.split(".")) - node.level + (1 if is_package else 0)
                above = module.split(".")[:keep]
                base = ".".join([*above, base] if base else above)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def is_within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def complaint_about(module: str, target: str) -> str | None:
    """Why `module` may not import `target`, or None when it may."""
    room = module.split(".")[1] if "." in module else ""
    top = target.split(".")[0]
    if top in NOT_SHIPPED:
        return f"{module} imports {target}, which is not shipped"
    if top == "petcd":
        below = target.removeprefix("petcd").removeprefix(".")
        allowed = (room, *LAYERS.get(room, ()), *BESIDES.get(module, ()))
        if room and not any(is_within(below, prefix) for prefix in allowed):
            return f"{module} imports {target}; {room} may import only {', '.join(allowed)}"
        return None
    if top in sys.stdlib_module_names:
        if room in PURE_ROOMS and top in EFFECT_MODULES:
            return f"{module} imports {target}; {room} is pure: have it passed in"
        return None
    if top not in (OUTSIDE_OF_PURE_ROOMS.get(room, set()) if room in PURE_ROOMS else OUTSIDE):
        return f"{module} imports {target}, which {room} may not depend on"
    return None


def complaints(source: str, module: str, is_package: bool = False) -> list[str]:
    tree = ast.parse(source)
    found = [complaint_about(module, name) for name in imported_names(tree, module, is_package)]
    if module.split(".")[1:2] and module.split(".")[1] in PURE_ROOMS:
        found += [
            f"{module}:{node.lineno} calls {node.func.id}()"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in EFFECT_BUILTINS
        ]
    return [line for line in found if line]


def shipped_files() -> list[Path]:
    return sorted((SRC / "petcd").rglob("*.py"))


def test_imports_go_downwards_and_pure_rooms_stay_pure() -> None:
    found = [
        line
        for path in shipped_files()
        for line in complaints(path.read_text(), module_name(path), path.stem == "__init__")
    ]
    assert not found, "\n" + "\n".join(found)


def test_every_room_has_its_row_in_the_table() -> None:
    package = SRC / "petcd"
    rooms = {path.name for path in package.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms <= set(LAYERS), f"no row for {sorted(rooms - set(LAYERS))}"


def test_the_bench_and_the_faults_do_not_look_into_the_server() -> None:
    """It must load petcd and etcd alike, over the wire; it may share the message classes."""
    found = []
    for path in sorted([*(ROOT / "bench").rglob("*.py"), *(ROOT / "faults").rglob("*.py")]):
        for name in imported_names(ast.parse(path.read_text()), f"bench.{path.stem}", False):
            if is_within(name, "petcd") and not is_within(name, "petcd.wire"):
                found.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "named"),
    [
        ("petcd.mvcc.store", "from petcd.lease.lessor import Lessor", "petcd.lease.lessor.Lessor"),
        ("petcd.mvcc.store", "from ..lease import lessor", "petcd.lease.lessor"),
        ("petcd.mvcc.store", "import time", "time"),
        ("petcd.member.member", "from os import path", "os.path"),
        ("petcd.raft.log", "import sortedcontainers", "sortedcontainers"),
        ("petcd.raft.log", "def f():\n    open('x')", "open()"),
        ("petcd.storage.wal", "from petcd.raft.raft import Raft", "petcd.raft.raft.Raft"),
        ("petcd.transport.h2", "from petcd import wire", "petcd.wire"),
        ("petcd.server.main", "import petcd.cli.etcd", "petcd.cli.etcd"),
        ("petcd.cli.etcdctl", "import petcd.server.config", "petcd.server.config"),
        ("petcd.server.main", "import requests", "requests"),
        ("petcd.server.main", "from sim import network", "sim.network"),
    ],
)
def test_a_forbidden_import_is_caught_and_named(module: str, source: str, named: str) -> None:
    (line,) = complaints(source, module)
    assert module in line and named in line


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("petcd.mvcc.store", "from petcd.wire.kv import KeyValue\nimport sortedcontainers"),
        ("petcd.mvcc.store", "from . import errors\nfrom .index import Index\nimport struct"),
        ("petcd.storage.wal", "from petcd.raft.types import Entry\nimport os, google_crc32c"),
        ("petcd.server.main", "import asyncio\nimport uvloop\nfrom petcd.api.v3 import kv"),
    ],
)
def test_a_lawful_import_passes(module: str, source: str) -> None:
    assert complaints(source, module) == []
