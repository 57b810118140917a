"""One invocation of etcdctl: its flags and arguments, its streams, its way to the cluster.

A command's `run(session)` checks its arguments, calls `session.prepare()` or anything that does
(`channel`, `call`), and prints through `session.printer`.  `prepare` comes before the first contact
with a server: variables, `--debug`, endpoints, credentials, output format, in this order, so that
mistakes are reported as the original reports them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from petcd.cli.ctl import environment
from petcd.cli.ctl.console import Console
from petcd.cli.ctl.exits import BAD_ARGUMENTS, BAD_CONNECTION, ERROR, CommandError
from petcd.cli.ctl.printers import Printer, load_printer
from petcd.cli.flags import Flag, FlagSet
from petcd.client.channel import Channel, Credentials
from petcd.client.endpoint import Endpoint, parse_endpoint
from petcd.client.errors import ClientError
from petcd.client.log import Log, log_line
from petcd.wire.codec import DecodeError, Message

_Answer = TypeVar("_Answer", bound=Message)


class Session:
    """See the module.  `args` are the arguments as bytes would be printed: surrogate-escaped."""

    def __init__(
        self,
        flags: FlagSet,
        inherited: Sequence[Flag],
        env: Mapping[str, str],
        console: Console,
    ) -> None:
        self.flags = flags
        self.args = flags.args
        self.inherited = list(inherited)
        self.env = env
        self.console = console
        self._printer: Printer | None = None
        self._channel: Channel | None = None
        self._credentials: Credentials | None = None
        self._endpoints: list[str] = []

    # -- set-up ------------------------------------------------------------------------------------

    def log(self, logger: str = "") -> Log:
        """A log whose lines go to stderr under a logger's name."""

        def write(level: str, caller: str, message: str, fields: dict[str, str | int]) -> None:
            self.console.error_line(log_line(level, logger, caller, message, fields))

        return write

    def prepare(self, known_variables: Sequence[str] = ()) -> None:
        """Read variables and global flags, once.  Raises CommandError or Ended."""
        if self._printer is not None:
            return
        flags = self.flags
        environment.apply(flags, self.inherited, self.env, self.log(), known_variables)
        if flags.boolean("debug"):
            self._show_flags()
        self._endpoints = self._discovered() if flags.string("discovery-srv") else []
        if not self._endpoints:
            self._endpoints = [text.strip() for text in flags.strings("endpoints")]
        for name in ("cert", "key", "cacert"):
            if name in flags.given and not flags.string(name):
                raise CommandError(BAD_ARGUMENTS, f"empty string is passed to --{name} option")
        self._credentials = self._read_credentials()
        self._printer = load_printer(flags.string("write-out"), self.console, flags.boolean("hex"))

    def _discovered(self) -> list[str]:
        """The endpoints of `--discovery-srv`.  Raises CommandError."""
        from petcd.client.srv import LookupFailed, discover_endpoints

        flags = self.flags
        domain, name = flags.string("discovery-srv"), flags.string("discovery-srv-name")
        insecure = flags.boolean("insecure-discovery")
        try:
            return discover_endpoints(domain, name, insecure, self.console.error_line)
        except LookupFailed as error:
            raise CommandError(ERROR, str(error)) from None

    def _show_flags(self) -> None:
        for flag in sorted(self.inherited, key=lambda flag: flag.name):
            value = flag.shown(self.flags.get(flag.name))
            self.console.error_line(f"{environment.variable_of(flag.name)}={value}")

    def _read_credentials(self) -> Credentials | None:
        user = self.flags.string("user")
        password = self.flags.string("password")
        if not user:
            return None
        if not password:
            user, colon, password = user.partition(":")
            if not colon:
                from petcd.cli.ctl.password import ask_password

                password = ask_password(self.console)
        return Credentials(user, password) if password else None

    # -- what commands use -------------------------------------------------------------------------

    @property
    def printer(self) -> Printer:
        """The output format."""
        self.prepare()
        assert self._printer is not None
        return self._printer

    @property
    def endpoint_texts(self) -> list[str]:
        """`--endpoints` as given."""
        self.prepare()
        return list(self._endpoints)

    @property
    def timeout_s(self) -> float:
        """`--command-timeout`."""
        self.prepare()
        return self.flags.seconds("command-timeout")

    @property
    def channel(self) -> Channel:
        """The way to the endpoints, logged in if credentials were given."""
        if self._channel is None:
            try:
                self._channel = self.open_channel(self.endpoint_texts)
            except ClientError as error:
                raise CommandError(BAD_CONNECTION, str(error)) from None
        return self._channel

    def close(self) -> None:
        """Let go of the way to the endpoints, if there is one."""
        if self._channel is not None:
            self._channel.close()

    def log_in(self) -> None:
        """Check the credentials, if any, before asking single endpoints.  Raises CommandError."""
        assert self.channel is not None

    def open_channel(self, endpoints: Sequence[str], logger: str = "etcd-client") -> Channel:
        """A channel of its own to some endpoints.  Raises CommandError, ClientError."""
        self.prepare()
        parsed = [self._checked(parse_endpoint(text)) for text in endpoints]
        if not parsed:
            raise CommandError(BAD_CONNECTION, "etcdclient: no available endpoints")
        channel = Channel(
            parsed,
            self._credentials,
            self.flags.seconds("dial-timeout"),
            self.flags.seconds("keepalive-time"),
            self.flags.seconds("keepalive-timeout"),
            self.log(logger),
        )
        channel.log_in()
        return channel

    def _checked(self, endpoint: Endpoint) -> Endpoint:
        secured = any(self.flags.string(name) for name in ("cert", "key", "cacert"))
        if endpoint.tls or secured or not self.flags.boolean("insecure-transport"):
            raise CommandError(BAD_ARGUMENTS, "connections over TLS are not supported yet")
        return endpoint

    def call(
        self,
        path: bytes,
        request: Message,
        answer: type[_Answer],
        *,
        repeatable: bool = False,
        timed: bool = True,
        channel: Channel | None = None,
    ) -> _Answer:
        """One request and its answer.  `timed`: within the command timeout.  Raises ClientError."""
        way = self.channel if channel is None else channel
        timeout_s = self.timeout_s if timed else None
        return decode(answer, way.unary(path, request.encode(), timeout_s, repeatable=repeatable))


def decode(answer: type[_Answer], body: bytes) -> _Answer:
    """A message from a server.  Raises CommandError when it is none."""
    try:
        return answer.decode(body)
    except DecodeError as error:
        raise CommandError(ERROR, f"malformed response from the server: {error}") from None
