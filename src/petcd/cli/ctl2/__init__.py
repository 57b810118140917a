"""etcdctl's commands of API 2.

```
table      names, global flags, where each command is
program    finds the command that is meant, reads its flags, runs it
session    what a command works with: flags, streams, the way to the cluster
help       the help of program and commands
output     answers of the keys API in the three formats
the others one command, or a family of them
```
"""
