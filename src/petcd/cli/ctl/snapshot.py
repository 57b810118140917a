"""`snapshot` save, status, restore."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from typing import BinaryIO

from petcd.cli.commands import Command
from petcd.cli.ctl.console import Console
from petcd.cli.ctl.exits import BAD_ARGUMENTS, ERROR, INTERRUPTED, CommandError
from petcd.cli.ctl.printers import SnapshotStatus, load_printer
from petcd.cli.ctl.progress import Progress, terminal_columns
from petcd.cli.ctl.session import Session, decode
from petcd.cli.flags import BOOL, STRING, Flag
from petcd.cli.units import format_size
from petcd.client import methods
from petcd.client.connection import ClientStream
from petcd.client.errors import CONTEXT_DEADLINE, ClientError, DeadlineExceeded
from petcd.server.config import ConfigError, default_config
from petcd.server.restore import RestoreRefused, restore
from petcd.storage.bbolt_page import BoltDamaged
from petcd.storage.errors import StorageError
from petcd.storage.files import sync_directory
from petcd.storage.snapshot_file import DIGEST_BYTES, has_digest, read_status
from petcd.wire.maintenance import SnapshotRequest, SnapshotResponse

CALLER = "ctl/snapshot.py"
DEFAULT_NAME = "default"
DEFAULT_URL = "http://localhost:2380"


class SaveFailed(Exception):
    """The snapshot was not saved; the text says why."""


# -- save ------------------------------------------------------------------------------------------


def run_save(session: Session) -> None:
    if len(session.args) != 1:
        raise CommandError(BAD_ARGUMENTS, "snapshot save expects one argument")
    path = session.args[0]
    endpoints = session.endpoint_texts
    if len(endpoints) != 1:
        text = (
            f"snapshot must be requested to one selected node, not multiple [{' '.join(endpoints)}]"
        )
        raise CommandError(INTERRUPTED, text)
    try:
        _save(session, path)
    except (ClientError, SaveFailed) as error:
        raise CommandError(INTERRUPTED, str(error)) from None
    except OSError as error:
        raise CommandError(INTERRUPTED, _failed_on_disk(path, error)) from None
    session.console.line(f"Snapshot saved at {path}")


def _save(session: Session, path: str) -> None:
    part = path + ".part"
    until = None
    if "command-timeout" in session.flags.given:
        until = time.monotonic() + session.timeout_s
    log, channel = session.log(), session.channel

    def tell(message: str, **fields: str | int) -> None:
        log("info", CALLER, message, fields)

    try:
        with open(part, "wb", opener=_private) as file:
            tell("created temporary db file", path=part)
            channel.connection(until)
            stream = channel.stream(methods.SNAPSHOT)
            stream.send(SnapshotRequest().encode(), last=True)
            tell("fetching snapshot", endpoint=session.endpoint_texts[0])
            size = fetch(stream, file, until, session.console)
            file.flush()
            os.fsync(file.fileno())
        tell("fetched snapshot", size=format_size(size))
        os.replace(part, path)
        sync_directory(os.path.dirname(path))
    finally:
        channel.close()
        with suppress(FileNotFoundError):
            os.unlink(part)
    tell("saved", path=path)


def _failed_on_disk(path: str, error: OSError) -> str:
    part, reason = path + ".part", (error.strerror or str(error)).lower()
    if error.filename2:
        return f"could not rename {part} to {path} (rename {part} {path}: {reason})"
    what = "open" if error.filename else "write"
    return f"could not {what} {part} ({what} {part}: {reason})"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def fetch(stream: ClientStream, file: BinaryIO, until: float | None, console: Console) -> int:
    """Write what comes, check that it is whole; its size in bytes."""
    started, columns = time.monotonic(), terminal_columns(1)
    progress: Progress | None = None
    digest, last, size = hashlib.sha256(), b"", 0
    while (message := _receive(stream, until)) is not None:
        answer = decode(SnapshotResponse, message)
        digest.update(last)
        last = answer.blob
        size += len(last)
        file.write(last)
        if progress is None and columns:
            progress = Progress(console, size + answer.remaining_bytes, columns)
        if progress is not None:
            progress.show(size, time.monotonic() - started)
    if progress is not None:
        progress.finish()
    if not has_digest(size) or len(last) < DIGEST_BYTES:
        raise SaveFailed(f"sha256 checksum not found [bytes: {size}]")
    digest.update(last[:-DIGEST_BYTES])
    if digest.digest() != last[-DIGEST_BYTES:]:
        raise SaveFailed("sha256 checksum does not match what was received")
    return size


def _receive(stream: ClientStream, until: float | None) -> bytes | None:
    if until is None:
        return stream.receive()
    left = until - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded(CONTEXT_DEADLINE, local=True)
    return stream.receive(left)


# -- status ----------------------------------------------------------------------------------------


def run_status(session: Session) -> None:
    if len(session.args) != 1:
        raise CommandError(BAD_ARGUMENTS, "snapshot status requires exactly one argument")
    printer = load_printer(session.flags.string("write-out"), session.console, False)
    path = session.args[0]
    try:
        status = read_status(path)
    except BoltDamaged as error:
        raise CommandError(ERROR, error.why) from None
    except OSError as error:
        raise CommandError(ERROR, _os_text("stat", path, error)) from None
    printer.snapshot_status(SnapshotStatus(*status))


# -- restore ---------------------------------------------------------------------------------------


def run_restore(session: Session) -> None:
    if len(session.args) != 1:
        raise CommandError(BAD_ARGUMENTS, "snapshot restore requires exactly one argument")
    path, flags, log = session.args[0], session.flags, session.log()
    name = flags.string("name")
    data_dir = flags.string("data-dir") or f"{name}.etcd"
    wal_dir = flags.string("wal-dir")
    config = default_config(
        data_dir,
        wal_dir=wal_dir,
        name=name,
        initial_cluster=flags.string("initial-cluster"),
        initial_cluster_token=flags.string("initial-cluster-token"),
        initial_advertise_peer_urls=tuple(flags.string("initial-advertise-peer-urls").split(",")),
    )
    member = os.path.join(data_dir, "member")
    fields: dict[str, str | int] = {
        "path": path,
        "wal-dir": wal_dir or os.path.join(member, "wal"),
        "data-dir": data_dir,
        "snap-dir": os.path.join(member, "snap"),
    }
    log("info", CALLER, "restoring snapshot", fields)
    try:
        restore(path, config, flags.boolean("skip-hash-check"))
    except BoltDamaged as error:
        raise CommandError(ERROR, error.why) from None
    except (ConfigError, RestoreRefused, StorageError) as error:
        raise CommandError(ERROR, str(error)) from None
    except OSError as error:
        raise CommandError(ERROR, _os_text("open", path, error)) from None
    log("info", CALLER, "restored snapshot", fields)


def _os_text(doing: str, path: str, error: OSError) -> str:
    return f"{doing} {error.filename or path}: {(error.strerror or str(error)).lower()}"


SAVE = Command(
    "save <filename>",
    run_save,
    """
One member's whole database, as of now, in a file with its SHA-256 at the end.""",
    (
        ("% snapshot save backup.db", "from the member at --endpoints"),
        ("% snapshot save backup.db --command-timeout 10m", "without the flag there is no limit"),
    ),
)
STATUS = Command(
    "status <filename>",
    run_status,
    """
Checks the file.  Columns of the simple format: hash, revision, rows of all buckets, size.""",
    (("% snapshot status backup.db -w table", "with a heading"),),
)
RESTORE_FLAGS = (
    Flag("data-dir", STRING, "", "directory to make; or <name>.etcd"),
    Flag("wal-dir", STRING, "", "directory of the log; or in the data directory"),
    Flag("name", STRING, DEFAULT_NAME, "name of this member"),
    Flag(
        "initial-cluster",
        STRING,
        f"{DEFAULT_NAME}={DEFAULT_URL}",
        "the new cluster's members: name=URL,name=URL",
    ),
    Flag("initial-cluster-token", STRING, "etcd-cluster", "tells clusters of equal URLs apart"),
    Flag("initial-advertise-peer-urls", STRING, DEFAULT_URL, "this member's peer URLs"),
    Flag("skip-hash-check", BOOL, False, "for a file out of a data directory"),
)
RESTORE = Command(
    "restore <filename>",
    run_restore,
    """
Makes a data directory for one member of a new cluster.  Run it for each member, with its name and
its peer URLs and otherwise the same flags; then start them.""",
    (
        ("% snapshot restore backup.db --data-dir new.etcd", "a cluster of one member"),
        (
            "% snapshot restore backup.db --initial-cluster-token second",
            "with ids that the old cluster never had",
        ),
    ),
    RESTORE_FLAGS,
)
