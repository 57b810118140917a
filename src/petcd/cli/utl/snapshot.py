"""`etcdutl snapshot`: `restore` as etcdctl's, but the directory must be named; no `save`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl import snapshot
from petcd.cli.ctl.exits import BAD_ARGUMENTS, ERROR, CommandError
from petcd.cli.ctl.session import Session


def need_data_dir(session: Session) -> str:
    """The flag's value; raises CommandError without one."""
    data_dir = session.flags.string("data-dir")
    if not data_dir:
        raise CommandError(ERROR, 'required flag(s) "data-dir" not set')
    return data_dir


def run_save(session: Session) -> None:
    """Nobody shall take the help for a saved file."""
    text = "In order to download snapshot use: `etcdctl snapshot save ...`"
    raise CommandError(BAD_ARGUMENTS, text)


def run_restore(session: Session) -> None:
    need_data_dir(session)
    snapshot.run_restore(session)


RESTORE = Command(
    "restore <filename> --data-dir <directory>",
    run_restore,
    snapshot.RESTORE.description,
    (("% snapshot restore backup.db --data-dir new.etcd", "a cluster of one member"),),
    snapshot.RESTORE_FLAGS,
)
SAVE = Command("save <filename>", run_save, "Ends with an error: use `etcdctl snapshot save`.")
