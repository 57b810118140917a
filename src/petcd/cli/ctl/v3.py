"""The commands of API 3 and the flags that all of them share.

A row here and a module beside it make a command.
"""

from __future__ import annotations

from petcd.cli.commands import Entry, Group
from petcd.cli.flags import BOOL, DURATION, STRING, STRINGS, Flag
from petcd.cli.units import SECOND

_HERE = "petcd.cli.ctl."

GLOBAL_FLAGS = (
    Flag("endpoints", STRINGS, ["127.0.0.1:2379"], "where members listen, separated by commas"),
    Flag("debug", BOOL, False, "show the settings in use on stderr"),
    Flag(
        "write-out",
        STRING,
        "simple",
        "output format: simple, fields, json, protobuf, table",
        "w",
    ),
    Flag("hex", BOOL, False, "show keys and values as \\xNN"),
    Flag("dial-timeout", DURATION, 2 * SECOND, "how long logging in may take"),
    Flag("command-timeout", DURATION, 5 * SECOND, "how long a short command may take"),
    Flag("keepalive-time", DURATION, 2 * SECOND, "ping a silent connection after this"),
    Flag("keepalive-timeout", DURATION, 6 * SECOND, "give it up when nothing came for this"),
    Flag("insecure-transport", BOOL, True, "do not use TLS"),
    Flag("insecure-discovery", BOOL, True, "accept insecure SRV records of endpoints"),
    Flag(
        "insecure-skip-tls-verify", BOOL, False, "do not check the server's certificate (for tests)"
    ),
    Flag("cert", STRING, "", "TLS certificate file of this client"),
    Flag("key", STRING, "", "TLS key file of this client"),
    Flag("cacert", STRING, "", "TLS authorities that servers are checked against"),
    Flag("user", STRING, "", "name[:password]; asks for the password when it is missing"),
    Flag("password", STRING, "", "password; --user is the plain name then"),
    Flag("discovery-srv", STRING, "", "DNS domain whose SRV records name the endpoints", "d"),
    Flag("discovery-srv-name", STRING, "", "service name of those SRV records"),
)

_CLUSTER = Flag("cluster", BOOL, False, "use the endpoints of all members of the cluster")

BOTH_SETS = """
These are the commands of API 3.  Those of API 2, for directories and files, are in this program
too: ETCDCTL_API=2 picks them where both have a name (get, watch, member, user, role, auth), and
names that only they have work without it: backup, cluster-health, exec-watch, import, ls, mk,
mkdir, rm, rmdir, set, setdir, update, updatedir.  ETCDCTL_API=2 etcdctl --help shows them."""

ROOT = Group(
    "etcdctl",
    "Read, write and look after an etcd cluster.",
    (
        Entry("get", "Read a key or a range of keys", _HERE + "get:GET"),
        Entry("put", "Write a key", _HERE + "put:PUT"),
        Entry("del", "Delete a key or a range of keys", _HERE + "delete:DELETE"),
        Entry("txn", "Compare and change several keys in one step", _HERE + "txn:TXN"),
        Entry(
            "compaction", "Forget the history before a revision", _HERE + "compaction:COMPACTION"
        ),
        Group(
            "alarm",
            "What members raised alarm about.",
            (
                Entry("disarm", "Clear all alarms", _HERE + "alarm:DISARM"),
                Entry("list", "Show all alarms", _HERE + "alarm:LIST"),
            ),
        ),
        Entry("defrag", "Give unused space back to the file system", _HERE + "defrag:DEFRAG"),
        Group(
            "endpoint",
            "How the members behind the endpoints are.",
            (
                Entry("health", "Check that each endpoint can commit", _HERE + "endpoint:HEALTH"),
                Entry(
                    "status", "Show versions, sizes and Raft's positions", _HERE + "endpoint:STATUS"
                ),
                Entry(
                    "hashkv",
                    "Show the hash of the keys and their history",
                    _HERE + "endpoint:HASHKV",
                ),
            ),
            (_CLUSTER,),
        ),
        Entry("watch", "Follow the changes of keys", _HERE + "watch:WATCH"),
        Entry("version", "Show the version", _HERE + "version:VERSION"),
        Group(
            "lease",
            "Leases: keys attached to one go when it ends.",
            (
                Entry("grant", "Make a lease", _HERE + "lease:GRANT"),
                Entry("revoke", "End a lease and delete its keys", _HERE + "lease:REVOKE"),
                Entry("timetolive", "Show how long a lease has left", _HERE + "lease:TIME_TO_LIVE"),
                Entry("list", "Show all leases", _HERE + "lease:LIST"),
                Entry("keep-alive", "Renew a lease again and again", _HERE + "lease:KEEP_ALIVE"),
            ),
        ),
        Group(
            "member",
            "The members of the cluster.",
            (
                Entry("add", "Add a member", _HERE + "member:ADD"),
                Entry("list", "Show all members", _HERE + "member:LIST"),
                Entry("promote", "Make a voter of a learner", _HERE + "member:PROMOTE"),
                Entry("remove", "Remove a member", _HERE + "member:REMOVE"),
                Entry("update", "Change a member's peer URLs", _HERE + "member:UPDATE"),
            ),
        ),
        Entry("move-leader", "Let another member lead", _HERE + "move_leader:MOVE_LEADER"),
        Group(
            "snapshot",
            "The whole database in a file, and a new cluster out of one.",
            (
                Entry("save", "Save one member's database", _HERE + "snapshot:SAVE"),
                Entry("status", "Check a file and show what it is", _HERE + "snapshot:STATUS"),
                Entry(
                    "restore",
                    "Make a data directory for a member of a new cluster",
                    _HERE + "snapshot:RESTORE",
                ),
            ),
        ),
        Group(
            "check",
            "Measure what a cluster can do.",
            (
                Entry("datascale", "Measure the memory that keys take", _HERE + "check:DATASCALE"),
                Entry("perf", "Measure writes a second under load", _HERE + "check:PERF"),
            ),
        ),
        Entry("help", "Show the help of a command", _HERE + "version:HELP"),
    ),
    GLOBAL_FLAGS,
    BOTH_SETS,
)
