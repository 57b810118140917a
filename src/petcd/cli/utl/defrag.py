"""`etcdutl defrag`."""

from __future__ import annotations

import os

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import ERROR, CommandError
from petcd.cli.ctl.session import Session
from petcd.cli.flags import STRING, Flag
from petcd.cli.utl.snapshot import need_data_dir
from petcd.storage.datadir import DataDir
from petcd.storage.errors import StorageError
from petcd.storage.lmdb_backend import LmdbBackend

FLAGS = (Flag("data-dir", STRING, "", "a data directory that no member uses"),)


def run(session: Session) -> None:
    data_dir = need_data_dir(session)
    if not os.path.isdir(os.path.join(data_dir, "member", "snap")):
        raise CommandError(ERROR, f"no member's data in {data_dir}")
    try:
        directory = DataDir(data_dir)
        try:
            _defragment(directory.db_path)
        finally:
            directory.close()
    except StorageError as error:
        text = f"Failed to defragment etcd data[{data_dir}] ({error})"
        raise CommandError(ERROR, text) from None


def _defragment(path: str) -> None:
    backend = LmdbBackend(path)
    try:
        backend.begin_defragment()
        backend.write_defragment()
        backend.end_defragment()
    finally:
        backend.close()


DEFRAG = Command(
    "defrag --data-dir <directory>",
    run,
    """
Copies the database of a stopped member to a smaller file.""",
    (("% defrag --data-dir default.etcd", "when nothing else has it open"),),
    FLAGS,
)
