"""`etcd gateway start`: a TCP proxy in front of a cluster, with etcd's flags and messages."""

import sys
from collections.abc import Sequence

from petcd.cli.flags import BOOL, DURATION, HELP, STRING, STRINGS, Flag, FlagError, FlagSet
from petcd.cli.go_usage import group_help, usage_of
from petcd.cli.serving import serve
from petcd.cli.units import SECOND
from petcd.client.endpoint import AddressError, split_host_port
from petcd.client.srv import LookupFailed, resolver
from petcd.proxy.gateway import Gateway
from petcd.proxy.loops import addresses_of, own_address
from petcd.proxy.remotes import Remote
from petcd.proxy.srv_endpoints import discover_remotes, remote_of
from petcd.server.log import Logger

FLAGS = (
    Flag("listen-addr", STRING, "127.0.0.1:23790", "listen address"),
    Flag("discovery-srv", STRING, "", "DNS domain used to bootstrap initial cluster"),
    Flag("discovery-srv-name", STRING, "", "service name to query when using DNS discovery"),
    Flag("insecure-discovery", BOOL, False, "accept insecure SRV records"),
    Flag("trusted-ca-file", STRING, "", "authorities that must vouch for discovered endpoints"),
    Flag("endpoints", STRINGS, ["127.0.0.1:2379"], "comma separated etcd cluster endpoints"),
    Flag("retry-delay", DURATION, 60 * SECOND, "delay before retrying failed endpoints"),
)

GROUP_HELP = group_help("gateway", "gateway related command", "start the gateway")
USAGE = usage_of("etcd gateway start", FLAGS)


class Refused(Exception):
    """The gateway cannot start; the text is what etcd prints on standard output."""


def run(words: Sequence[str]) -> int:
    """Run `etcd gateway WORDS`; returns the exit code."""
    if not words or words[0] != "start":
        sys.stdout.write(GROUP_HELP)
        return 0
    flags = read_flags(words[1:], FLAGS, USAGE)
    if flags is None:
        return 1
    if flags.boolean("help"):
        sys.stdout.write(f"start the gateway\n\n{USAGE}")
        return 0
    log = Logger("info", "json", ("default",))
    log.info("Running: ", args=sys.argv)
    try:
        host, port = listen_address(flags.string("listen-addr"))
        remotes = find_remotes(flags, log)
        refuse_loops(remotes, host, port)
    except Refused as error:
        print(error)
        return 1
    except LookupFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        serve(Gateway(remotes, host, port, flags.seconds("retry-delay"), log), log)
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        return 1
    return 0


def read_flags(words: Sequence[str], known: Sequence[Flag], usage: str) -> FlagSet | None:
    """A command line; a mistake in it is told on standard error, and None returned."""
    flags = FlagSet([*known, HELP])
    try:
        flags.parse(words)
    except FlagError as error:
        sys.stderr.write(f"Error: {error}\n{usage}\n{error}\n")
        return None
    return flags


def listen_address(text: str) -> tuple[str, int]:
    """Host and port of --listen-addr. Raises Refused."""
    try:
        host, port = split_host_port(text)
        number = int(port)
    except (AddressError, ValueError):
        raise Refused(f"failed to validate listen address: {text}") from None
    try:
        addresses_of(host)
    except OSError:
        raise Refused(f"failed to resolve listen host: {host}") from None
    return host, number


def find_remotes(flags: FlagSet, log: Logger) -> list[Remote]:
    """From DNS when that finds any, else from --endpoints. Raises Refused, LookupFailed."""
    remotes: list[Remote] = []
    domain = flags.string("discovery-srv")
    if domain:
        remotes = discover_remotes(
            resolver(),
            domain,
            flags.string("discovery-srv-name"),
            flags.string("trusted-ca-file"),
            flags.boolean("insecure-discovery"),
            log,
        )
    if not remotes:
        for endpoint in flags.strings("endpoints"):
            try:
                remotes.append(remote_of(endpoint))
            except ValueError:
                raise Refused(f'error parsing endpoint "{endpoint}"') from None
    if not remotes:
        raise Refused("no endpoints found")
    return remotes


def refuse_loops(remotes: Sequence[Remote], host: str, port: int) -> None:
    """Raises Refused when an endpoint is the gateway itself."""
    for remote in remotes:
        try:
            addresses_of(remote.host)
            own = own_address((remote.host, remote.port), [(host, port)])
        except OSError:
            raise Refused(f"failed to resolve endpoint host: {remote.host}") from None
        if own is not None:
            raise Refused(
                f"SRV or endpoint ({remote.address}->{own}:{remote.port}) should not resolve to "
                f"the gateway listen addr ({host}:{port})"
            )
