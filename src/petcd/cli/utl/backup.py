"""`etcdutl backup`: as etcdctl's of API 2."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import ERROR, CommandError
from petcd.cli.ctl.session import Session
from petcd.cli.ctl2.backup import DESCRIPTION, PLACES, WITH_V3, make_backup
from petcd.cli.flags import BOOL, Flag


def run(session: Session) -> None:
    complaint = make_backup(session.flags, session.console)
    if complaint:
        raise CommandError(ERROR, complaint)


BACKUP = Command(
    "backup --data-dir <directory> --backup-dir <directory>",
    run,
    DESCRIPTION,
    (("% backup --data-dir default.etcd --backup-dir backup.etcd", "for a new cluster"),),
    (*PLACES, Flag("with-v3", BOOL, True, WITH_V3)),
)
