"""Builds petcd; with PETCD_COMPILE=1 the hot modules are compiled with mypyc.

The plain Python build is complete and is what everybody gets who asks for nothing. Compiling needs
a C compiler and mypy, takes two minutes and roughly halves what a request costs. Left out are
modules with nothing hot in them, and those that compiled code may not subclass or patch:

    raft/errors.py     exceptions derive from AssertionError, which native classes cannot
    raft/logger.py     the shell's logger derives from it
"""

import os

from setuptools import setup

PACKAGE = "src/petcd"
COMPILED = {
    "wire": ("varint", "walking", "hot", "hot_txn", "v2hot"),
    "raft": (
        "candidate", "changer", "changes", "config", "core", "describe", "election", "follower",
        "inflights", "kinds", "leader", "log", "membership", "progress", "quorum", "quoting",
        "rawnode", "read_only", "reads", "ready", "replication", "sizes", "start", "status", "step",
        "storage", "storage_acks", "tracker", "types", "unstable",
    ),
    "mvcc": (
        "revision", "index", "keyspace", "store", "txn", "validation", "range", "history",
        "hashing", "loading", "compaction",
        "watch_events", "watch_groups", "watch_hub", "watch_ranges", "watch_stream",
    ),
    "storage": (
        "wal", "wal_reader", "wal_record", "wal_segment", "wal_tail", "overlay", "pending",
        "lmdb_backend", "memory",
    ),
    "transport": (
        "frames", "h2_connection", "h2_server", "h2_client", "h2_exchange", "h2_stream",
        "h2_output", "call", "hpack", "huffman", "grpc_answers", "request_head", "head_memory",
        "timed_heads", "patience", "router", "deadlines", "conduct",
        "http", "http1", "http1_head", "http1_body",
    ),
    "peer": ("messages", "streams"),
    "member": ("apply", "member", "quota"),
    "member/v2": ("view", "nodes", "notes", "paths", "expiry", "stats", "watch"),
    "api/v3": ("kv",),
    "api/v2": (
        "keys", "answers", "go_json", "keys_request", "form", "endpoints",
        "pieces", "listing", "listings",
    ),
    "server": ("effects", "runtime"),
}  # fmt: skip


def modules() -> list[str]:
    """Paths of the modules to compile."""
    return [f"{PACKAGE}/{room}/{name}.py" for room, names in COMPILED.items() for name in names]


if os.environ.get("PETCD_COMPILE") == "1":
    from mypyc.build import mypycify

    options = ["--strict", "--ignore-missing-imports", *modules()]
    setup(ext_modules=mypycify(options, opt_level="3", debug_level="0"))
else:
    setup()
