"""`backup`: copy a data directory into one that `etcd --force-new-cluster` starts from."""

from __future__ import annotations

import os
import time

from petcd.cli.commands import Command
from petcd.cli.ctl2.exits import ERROR, Complaint
from petcd.cli.ctl2.session import Session
from petcd.cli.flags import BOOL, STRING, Flag
from petcd.server.backup import BackupFailed, Places, back_up
from petcd.storage.errors import StorageError


def run(session: Session) -> None:
    flags = session.flags
    data_dir, backup_dir = flags.string("data-dir"), flags.string("backup-dir")
    if not data_dir or not backup_dir:
        raise Complaint("Please give both --data-dir and --backup-dir")
    places = Places(data_dir, flags.string("wal-dir"), backup_dir, flags.string("backup-wal-dir"))

    def tell(text: str) -> None:
        now = time.time()
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        session.console.error_line(f"{date}.{int(now % 1 * 1e6):06d} I | {text}")

    try:
        back_up(places, _new_id(), _new_id(), tell)
    except (BackupFailed, StorageError) as error:
        raise Complaint(f"Error:  {error}", ERROR) from None
    except OSError as error:
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise Complaint(f"Error:  {text}", ERROR) from None


def _new_id() -> int:
    """An id that no member or cluster has."""
    return int.from_bytes(os.urandom(8)) or 1


BACKUP = Command(
    "--data-dir=... --backup-dir=...",
    run,
    """
The member may run meanwhile.  All keys, of v2 and of v3, are in the backup; its ids are new ones.

$ etcdctl backup --data-dir /var/lib/etcd --backup-dir /root/etcd_backup
$ etcd --data-dir /root/etcd_backup --force-new-cluster""",
    flags=(
        Flag("data-dir", STRING, "", "the directory to copy"),
        Flag("wal-dir", STRING, "", "its log, when that is elsewhere"),
        Flag("backup-dir", STRING, "", "the directory to make"),
        Flag("backup-wal-dir", STRING, "", "its log, when that shall be elsewhere"),
        Flag("with-v3", BOOL, False, "changes nothing: keys of v3 are always there"),
    ),
)
