"""The commands and the flag that all of them share."""

from __future__ import annotations

from petcd.cli.commands import Entry, Group
from petcd.cli.flags import STRING, Flag

_HERE = "petcd.cli.utl."

ROOT = Group(
    "etcdutl",
    "Look after etcd's files while no member uses them.",
    (
        Entry("backup", "Copy a data directory for a new cluster", _HERE + "backup:BACKUP"),
        Entry("defrag", "Give unused space back to the file system", _HERE + "defrag:DEFRAG"),
        Group(
            "snapshot",
            "Files with a whole database.",
            (
                Entry(
                    "restore",
                    "Make a data directory for a member of a new cluster",
                    _HERE + "snapshot:RESTORE",
                ),
                Entry(
                    "save",
                    "Not here: files come from members, by `etcdctl snapshot save`",
                    _HERE + "snapshot:SAVE",
                ),
                Entry(
                    "status", "Check a file and show what it is", "petcd.cli.ctl.snapshot:STATUS"
                ),
            ),
        ),
        Entry("version", "Show the version", _HERE + "version:VERSION"),
        Entry("help", "Show the help of a command", "petcd.cli.ctl.version:HELP"),
    ),
    (
        Flag(
            "write-out",
            STRING,
            "simple",
            "output format: simple, fields, json, table",
            "w",
        ),
    ),
)
