"""What a `watch` command line asks for: keys, options, and the command to run for each event.

The same words are understood on the command line and, with `watch -i`, line by line from stdin.
The key may come from `ETCDCTL_WATCH_KEY` and `ETCDCTL_WATCH_RANGE_END` instead of arguments.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from petcd.cli.ctl.exits import BAD_ARGUMENTS, CommandError
from petcd.cli.flags import BOOL, INT, Flag, FlagSet
from petcd.cli.quoting import quote
from petcd.client.ranges import prefix_end
from petcd.wire.watch import WatchCreateRequest

KEY_VARIABLE = "ETCDCTL_WATCH_KEY"
END_VARIABLE = "ETCDCTL_WATCH_RANGE_END"

FLAGS = (
    Flag("interactive", BOOL, False, "read watches from stdin, a line each", "i"),
    Flag("prefix", BOOL, False, "all keys that begin with <key>"),
    Flag("rev", INT, 0, "from this revision on; 0: from now"),
    Flag("prev-kv", BOOL, False, "also print what the key held before"),
    Flag("progress-notify", BOOL, False, "let the server tell how far it is when nothing happens"),
)
BAD_NUMBER = "bad number of arguments"


class InvalidWatch(Exception):
    """Keys that make no watch; on the command line fatal, in a dialogue only said."""


class WatchLine:
    """A watch as asked for.  `command` is run for each event unless it is empty."""

    __slots__ = ("command", "request")

    def __init__(self, request: WatchCreateRequest, command: list[str]) -> None:
        self.request = request
        self.command = command


def keys_from(env: Mapping[str, str]) -> list[str]:
    """Key and range end from the environment, [] when none are there.  Raises CommandError."""
    key, end = env.get(KEY_VARIABLE, ""), env.get(END_VARIABLE, "")
    if end and not key:
        raise CommandError(
            BAD_ARGUMENTS, f"{KEY_VARIABLE} is empty but got {END_VARIABLE}={quote(end)}"
        )
    return [word for word in (key, end) if word]


def watch_line(flags: FlagSet, env_keys: list[str]) -> WatchLine:
    """The watch of a parsed line.  Raises CommandError or InvalidWatch."""
    keys, command = flags.args, []
    if flags.dash is not None:
        keys, command = flags.args[: flags.dash], flags.args[flags.dash :]
        if not command:
            raise _bad_number(" (found separator --, but no commands)")
    if keys and env_keys:
        raise _bad_number(" (found conflicting environment key)")
    keys = keys or env_keys
    if not keys:
        raise _bad_number()
    return WatchLine(_request(flags, [os.fsencode(key) for key in keys]), command)


def _bad_number(why: str = "") -> CommandError:
    return CommandError(BAD_ARGUMENTS, BAD_NUMBER + why)


def _request(flags: FlagSet, keys: list[bytes]) -> WatchCreateRequest:
    key = keys[0]
    prefix = flags.boolean("prefix")
    end = b""
    if len(keys) == 2:
        if prefix:
            raise InvalidWatch("`range_end` and `--prefix` are mutually exclusive")
        end = keys[1]
    if prefix:
        end = prefix_end(key)
        key = key or b"\0"
    return WatchCreateRequest(
        key=key,
        range_end=end,
        start_revision=flags.integer("rev"),
        prev_kv=flags.boolean("prev-kv"),
        progress_notify=flags.boolean("progress-notify"),
    )
