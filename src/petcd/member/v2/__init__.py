"""The v2 view: etcd's first API, a tree of files and directories, on the store of v3."""

from petcd.member.v2.view import V2View

__all__ = ["V2View"]
