"""The commands of API 2 and the flags that stand in front of them."""

from __future__ import annotations

from petcd.cli.commands import Entry, Group
from petcd.cli.flags import BOOL, DURATION, STRING, Flag
from petcd.cli.units import SECOND

_HERE = "petcd.cli.ctl2."
DEFAULT_ENDPOINTS = "http://127.0.0.1:2379,http://127.0.0.1:4001"

HELP = Flag("help", BOOL, False, "show help", "h")
VERSION = Flag("version", BOOL, False, "show the version", "v")

GLOBAL_FLAGS = (
    Flag("debug", BOOL, False, "show on stderr how curl would send each request"),
    Flag("no-sync", BOOL, False, "ask the given endpoints, not those that the members publish"),
    Flag("output", STRING, "simple", "output format: simple, extended, json", "o"),
    Flag("discovery-srv", STRING, "", "DNS domain whose SRV records name the endpoints", "D"),
    Flag("insecure-discovery", BOOL, False, "accept SRV records of endpoints without TLS"),
    Flag("peers", STRING, "", "old name of --endpoints", "C"),
    Flag("endpoint", STRING, "", "old name of --endpoints"),
    Flag(
        "endpoints",
        STRING,
        "",
        f'where members listen, separated by commas (default: "{DEFAULT_ENDPOINTS}")',
    ),
    Flag("cert-file", STRING, "", "TLS certificate file of this client"),
    Flag("key-file", STRING, "", "TLS key file of this client"),
    Flag("ca-file", STRING, "", "TLS authorities that servers are checked against"),
    Flag("username", STRING, "", "name[:password]; asks for the password when it is missing", "u"),
    Flag("timeout", DURATION, 2 * SECOND, "how long one endpoint may take to answer"),
    Flag("total-timeout", DURATION, 5 * SECOND, "how long a command may take, watches aside"),
    HELP,
    VERSION,
)

ROOT = Group(
    "etcdctl",
    "Read, write and look after an etcd cluster (API 2).",
    (
        Entry("backup", "copy a data directory for a new cluster", _HERE + "backup:BACKUP"),
        Entry("cluster-health", "check every member", _HERE + "health:CLUSTER_HEALTH"),
        Entry("mk", "make a key that must not exist yet", _HERE + "write:MK"),
        Entry("mkdir", "make a directory that must not exist yet", _HERE + "write:MKDIR"),
        Entry("rm", "remove a key or a directory", _HERE + "remove:RM"),
        Entry("rmdir", "remove a key or an empty directory", _HERE + "remove:RMDIR"),
        Entry("get", "show the value of a key", _HERE + "read:GET"),
        Entry("ls", "list a directory", _HERE + "read:LS"),
        Entry("set", "write a key", _HERE + "write:SET"),
        Entry("setdir", "make a directory", _HERE + "write:SETDIR"),
        Entry("update", "write a key that must exist", _HERE + "write:UPDATE"),
        Entry("updatedir", "change the time to live of a directory", _HERE + "write:UPDATEDIR"),
        Entry("watch", "wait for a key to change", _HERE + "watch:WATCH"),
        Entry("exec-watch", "run a command on every change", _HERE + "exec_watch:EXEC_WATCH"),
        Entry("import", "write the keys of an etcd 0.4 snapshot", _HERE + "imports:IMPORT"),
        Group(
            "member",
            "list, add, remove and update members",
            (
                Entry("list", "show all members", _HERE + "member:LIST"),
                Entry("add", "announce a member that will join", _HERE + "member:ADD"),
                Entry("remove", "take a member out of the cluster", _HERE + "member:REMOVE"),
                Entry("update", "change a member's peer URLs", _HERE + "member:UPDATE"),
            ),
        ),
        Group(
            "user",
            "users and the roles that they have",
            (
                Entry("add", "make a user", _HERE + "user:ADD"),
                Entry("get", "show a user's roles", _HERE + "user:GET"),
                Entry("list", "show all users", _HERE + "user:LIST"),
                Entry("remove", "remove a user", _HERE + "user:REMOVE"),
                Entry("grant", "give a user roles", _HERE + "user:GRANT"),
                Entry("revoke", "take roles from a user", _HERE + "user:REVOKE"),
                Entry("passwd", "change a user's password", _HERE + "user:PASSWD"),
            ),
        ),
        Group(
            "role",
            "roles and what they may do",
            (
                Entry("add", "make a role", _HERE + "role:ADD"),
                Entry("get", "show what a role may do", _HERE + "role:GET"),
                Entry("list", "show all roles", _HERE + "role:LIST"),
                Entry("remove", "remove a role", _HERE + "role:REMOVE"),
                Entry("grant", "let a role read or write a path", _HERE + "role:GRANT"),
                Entry("revoke", "take a path from a role", _HERE + "role:REVOKE"),
            ),
        ),
        Group(
            "auth",
            "turn access control on and off",
            (
                Entry("enable", "turn access control on", _HERE + "auth:ENABLE"),
                Entry("disable", "turn access control off", _HERE + "auth:DISABLE"),
            ),
        ),
    ),
    GLOBAL_FLAGS,
)
