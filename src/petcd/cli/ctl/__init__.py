"""etcdctl's commands for API 3.

```
v3            the table of commands and the global flags
session       one invocation: flags, streams, the client, the printer
environment   ETCDCTL_* variables
get put delete txn watch lease compaction member endpoint alarm defrag check version
printers      what every output format must know; simple, fields, JSON, protobuf, table
```

Each command's module declares a `Command` and is loaded only when it is called.  A further command
is a module here and an `Entry` in `v3`.
"""
