"""`etcdctl watch`."""

from __future__ import annotations

from petcd.cli.commands import Command
from petcd.cli.ctl.exits import (
    BAD_ARGUMENTS,
    ERROR,
    INTERRUPTED,
    INVALID_INPUT,
    CommandError,
    Ended,
)
from petcd.cli.ctl.session import Session
from petcd.cli.ctl.watch_input import (
    END_VARIABLE,
    FLAGS,
    KEY_VARIABLE,
    InvalidWatch,
    WatchLine,
    keys_from,
    watch_line,
)
from petcd.cli.flags import HELP, FlagError, FlagSet
from petcd.cli.quoting import quote
from petcd.client.watcher import Watcher
from petcd.client.watching import Watch, WatchUpdate
from petcd.wire.kv import Event, EventType, KeyValue

READ_BYTES = 64 << 10


class Watching:
    """The watches of one invocation and what is run for their events."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.watcher = Watcher(session.channel)
        self.commands: dict[Watch, list[str]] = {}

    def add(self, line: WatchLine) -> None:
        """Begin a watch."""
        self.commands[self.watcher.create(line.request)] = line.command

    def show(self, updates: list[WatchUpdate]) -> None:
        """Print updates and run commands.  Raises Ended when a command fails."""
        console = self.session.console
        for update in updates:
            if update.canceled:
                console.error_line(f"watch was canceled ({update.reason})")
            if update.is_progress:
                console.line(f"progress notify: {update.header.revision}")
            self.session.printer.watch(update)
            console.flush()
            command = self.commands[update.watch]
            if command:
                for event in update.events or ():
                    self._execute(command, update.header.revision, event)
            if update.watch.ended:
                del self.commands[update.watch]

    def _execute(self, command: list[str], revision: int, event: Event) -> None:
        """Run a command for an event and wait for it."""
        from petcd.cli.ctl.run_command import run_command

        pair = event.kv or KeyValue()
        failure = run_command(
            command,
            {
                "ETCD_WATCH_REVISION": str(revision),
                "ETCD_WATCH_EVENT_TYPE": quote(EventType.names().get(event.type, "")),
                "ETCD_WATCH_KEY": quote(pair.key),
                "ETCD_WATCH_VALUE": quote(pair.value),
            },
        )
        if failure:
            shown = " ".join([quote(word) for word in command])
            self.session.console.error_line(f"command [{shown}] error ({failure})")
            raise Ended(ERROR)


def run(session: Session) -> None:
    env_keys = keys_from(session.env)
    interactive = session.flags.boolean("interactive")
    line: WatchLine | None = None
    if not interactive:
        try:
            line = watch_line(session.flags, env_keys)
        except InvalidWatch as error:
            raise CommandError(BAD_ARGUMENTS, str(error)) from None
    session.prepare((KEY_VARIABLE, END_VARIABLE))
    watching = Watching(session)
    if line is None:
        _converse(watching, env_keys)
        return
    watching.add(line)
    while watching.commands:
        watching.show(watching.watcher.wait()[0])
    raise CommandError(INTERRUPTED, "watch is canceled by the server")


# -- interactive -----------------------------------------------------------------------------------


def _converse(watching: Watching, env_keys: list[str]) -> None:
    """Take lines from stdin while the watches go on.  Ends with an error when stdin does."""
    import os

    fd = watching.session.console.stdin.fileno()
    rest = b""
    while True:
        updates, ready = watching.watcher.wait(fd)
        watching.show(updates)
        if not ready:
            continue
        data = os.read(fd, READ_BYTES)
        if not data:
            raise CommandError(INVALID_INPUT, "error reading watch request line: EOF")
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            _obey(watching, line.decode("utf-8", "surrogateescape"), env_keys)


def _obey(watching: Watching, text: str, env_keys: list[str]) -> None:
    """Carry out one line: a watch or a request for progress."""
    from petcd.cli.ctl.txn_input import split_words

    console = watching.session.console
    words = split_words(text)
    if not words:
        console.error_line(f"Invalid command: {text} (watch and progress supported)")
    elif words[0] == "progress":
        watching.watcher.request_progress()
    elif words[0] != "watch":
        console.error_line(f"Invalid command {text} (only support watch)")
    elif len(words) < 2 and not env_keys:
        console.error_line(f"Invalid command {text} (command type or key is not provided)")
    else:
        flags = FlagSet([*FLAGS, HELP])
        try:
            flags.parse(words[1:])
            watching.add(watch_line(flags, env_keys))
        except FlagError as error:
            raise CommandError(BAD_ARGUMENTS, str(error)) from None
        except InvalidWatch as error:
            console.error_line(f"Invalid command {text} ({error})")


WATCH = Command(
    "watch [options] [key] [range_end] [-- command [args]]",
    run,
    f"""
Prints PUT or DELETE, the key and the value for each change, until Ctrl-C.

With a command behind `--` it is run for each event and waited for; it finds ETCD_WATCH_REVISION,
ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and ETCD_WATCH_VALUE in its environment (the last three
quoted).  The keys may come from {KEY_VARIABLE} and {END_VARIABLE}.

With -i every line of stdin is `watch [options] key [range_end] [-- command]` or `progress`.""",
    (
        ("% watch foo", "one key, from now on"),
        ("% watch --prefix /jobs/", "everything below /jobs/"),
        ("% watch foo --rev 1", "its whole history first"),
        ("% watch foo -- make deploy", "do something for each change"),
    ),
    FLAGS,
)
