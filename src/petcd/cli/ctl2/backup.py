"""`backup`: copy a data directory into one that `etcd --force-new-cluster` starts from."""

from __future__ import annotations

import os
import time

from petcd.cli.commands import Command
from petcd.cli.ctl.console import Console
from petcd.cli.ctl2.exits import Complaint
from petcd.cli.ctl2.session import Session
from petcd.cli.flags import BOOL, STRING, Flag, FlagSet
from petcd.cli.quoting import quote
from petcd.server.backup import BackupFailed, Places, back_up
from petcd.storage.errors import StorageError


def run(session: Session) -> None:
    complaint = make_backup(session.flags, session.console)
    if complaint:
        raise Complaint(f"Error:  {complaint}")


def make_backup(flags: FlagSet, console: Console) -> str:
    """Make it and show the progress; returns what is wrong, "" when all is well."""
    data_dir, backup_dir = flags.string("data-dir"), flags.string("backup-dir")
    missing = [name for name in ("backup-dir", "data-dir") if not flags.string(name)]
    if missing:
        return f"required flag(s) {', '.join([quote(name) for name in missing])} not set"
    places = Places(data_dir, flags.string("wal-dir"), backup_dir, flags.string("backup-wal-dir"))

    def tell(text: str) -> None:
        now = time.time()
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        console.error_line(f"{date}.{int(now % 1 * 1e6):06d} I | {text}")

    try:
        back_up(places, _new_id(), _new_id(), tell)
    except (BackupFailed, StorageError) as error:
        return str(error)
    except OSError as error:
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return ""


def _new_id() -> int:
    """An id that no member or cluster has."""
    return int.from_bytes(os.urandom(8)) or 1


DESCRIPTION = """
The member may run meanwhile.  All keys, of v2 and of v3, are in the backup; its ids are new."""
PLACES = (
    Flag("data-dir", STRING, "", "the directory to copy"),
    Flag("wal-dir", STRING, "", "its log, when that is elsewhere"),
    Flag("backup-dir", STRING, "", "the directory to make"),
    Flag("backup-wal-dir", STRING, "", "its log, when that shall be elsewhere"),
)
WITH_V3 = "changes nothing: keys of v3 are always there"

BACKUP = Command(
    "--data-dir=... --backup-dir=...",
    run,
    DESCRIPTION
    + """

$ etcdctl backup --data-dir /var/lib/etcd --backup-dir /root/etcd_backup
$ etcd --data-dir /root/etcd_backup --force-new-cluster""",
    flags=(*PLACES, Flag("with-v3", BOOL, False, WITH_V3)),
)
