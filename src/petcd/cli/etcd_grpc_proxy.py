"""`etcd grpc-proxy start`: gRPC calls passed on to a cluster, with etcd's flags.

What would change the calls on their way (a namespace, leasing, ordering) is refused, as is TLS.
"""

import sys
from collections.abc import Sequence

from petcd.cli.etcd_gateway import Refused, find_remotes, listen_address, read_flags, refuse_loops
from petcd.cli.flags import BOOL, DURATION, INT, STRING, STRINGS, Flag, FlagSet
from petcd.cli.go_usage import group_help, usage_of
from petcd.cli.serving import serve
from petcd.cli.units import SECOND
from petcd.client.srv import LookupFailed
from petcd.proxy.grpc_proxy import GrpcProxy
from petcd.server.log import Logger
from petcd.transport.options import TransportLimits

GRPC_OVERHEAD_BYTES = 512 << 10
"""Beside the longest message, as a member allows it."""

_USED = (
    Flag("listen-addr", STRING, "127.0.0.1:23790", "listen address"),
    Flag("endpoints", STRINGS, ["127.0.0.1:2379"], "comma separated etcd cluster endpoints"),
    Flag("discovery-srv", STRING, "", "DNS domain whose SRV records name the endpoints"),
    Flag("discovery-srv-name", STRING, "", "service name of these records"),
    Flag("insecure-discovery", BOOL, False, "accept insecure SRV records"),
    Flag("max-send-bytes", INT, 1536 << 10, "longest message of a client"),
    Flag("grpc-keepalive-min-time", DURATION, 5 * SECOND, "shortest interval of clients' pings"),
    Flag("grpc-keepalive-interval", DURATION, 7200 * SECOND, "interval of pings to clients"),
    Flag("grpc-keepalive-timeout", DURATION, 20 * SECOND, "wait for the answer to such a ping"),
    Flag("debug", BOOL, False, "log what developers want to know"),
)
_WITHOUT_EFFECT = (
    Flag("advertise-client-url", STRING, "127.0.0.1:23790", "without effect"),
    Flag("data-dir", STRING, "default.proxy", "without effect"),
    Flag("enable-pprof", BOOL, False, "without effect"),
    Flag("max-recv-bytes", INT, (1 << 31) - 1, "without effect"),
    Flag("self-signed-cert-validity", INT, 1, "without effect"),
)
_REFUSED = (
    *(
        Flag(name, STRING, "", "not available")
        for name in (
            *("cacert", "cert", "key", "cert-file", "key-file", "trusted-ca-file"),
            *("client-crl-file", "metrics-addr", "namespace", "resolver-prefix"),
            "experimental-leasing-prefix",
        )
    ),
    *(
        Flag(name, BOOL, False, "not available")
        for name in ("auto-tls", "insecure-skip-tls-verify", "experimental-serializable-ordering")
    ),
    Flag("resolver-ttl", INT, 0, "not available"),
)
FLAGS = (*_USED, *_WITHOUT_EFFECT, *_REFUSED)

GROUP_HELP = group_help("grpc-proxy", "grpc-proxy related command", "start the grpc proxy")
USAGE = usage_of("etcd grpc-proxy start", FLAGS)


def run(words: Sequence[str]) -> int:
    """Run `etcd grpc-proxy WORDS`; returns the exit code."""
    if not words or words[0] != "start":
        sys.stdout.write(GROUP_HELP)
        return 0
    flags = read_flags(words[1:], FLAGS, USAGE)
    if flags is None:
        return 1
    if flags.boolean("help"):
        sys.stdout.write(f"start the grpc proxy\n\n{USAGE}")
        return 0
    log = Logger("debug" if flags.boolean("debug") else "info", "json", ("default",))
    try:
        refuse_unavailable(flags)
        host, port = listen_address(flags.string("listen-addr"))
        remotes = find_remotes(flags, log)
        refuse_loops(remotes, host, port)
        urls = [f"http://{remote.address}" for remote in remotes]
        serve(GrpcProxy(urls, host, port, limits_of(flags), log), log)
    except (Refused, LookupFailed) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        return 1
    return 0


def refuse_unavailable(flags: FlagSet) -> None:
    """Raises Refused for a flag that must not be ignored."""
    for flag in _REFUSED:
        if flags.get(flag.name) != flag.default:
            raise Refused(f"--{flag.name} cannot be used: it is not served yet")
    if any(text.startswith("https://") for text in flags.strings("endpoints")):
        raise Refused("--endpoints: TLS is not served yet")


def limits_of(flags: FlagSet) -> TransportLimits:
    """The bounds of the clients' side."""
    return TransportLimits(
        max_message_bytes=flags.integer("max-send-bytes") + GRPC_OVERHEAD_BYTES,
        keepalive_min_time_s=flags.seconds("grpc-keepalive-min-time"),
        keepalive_interval_s=flags.seconds("grpc-keepalive-interval"),
        keepalive_timeout_s=flags.seconds("grpc-keepalive-timeout"),
    )
