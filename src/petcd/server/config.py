"""Configuration: flags, `ETCD_*` variables or one YAML file, checked as etcd checks them.

    --config-file (or ETCD_CONFIG_FILE) given:  the file alone counts
    else:                                       flag > variable > default

A flag and its variable together are refused, since one of them would be silently ignored.
The outcome is a `ServerConfig`; every problem is a `ConfigError` of one line with an exit code.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from petcd.server.auto_compaction import auto_compaction
from petcd.server.flag import Flag, Kind, Support
from petcd.server.flag_table import EXPERIMENTAL, FLAGS, IGNORED
from petcd.server.flag_values import (
    check_bindable,
    read_bool,
    read_duration_s,
    read_int,
    read_list,
    read_uint,
    read_urls,
)

ELECTION_MS_MAX = 50_000
COMPACTION_MODES = ("periodic", "revision")
CHOICES = {
    "initial-cluster-state": ("new", "existing"),
    "proxy": ("off", "readonly", "on"),
    "discovery-fallback": ("proxy", "exit"),
}


class ConfigError(Exception):
    """The configuration cannot be used. `exit_code` 2 marks a mistake in the command line."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """Proxy mode: "off", "on" or "readonly", and its times."""

    mode: str
    failure_wait_ms: int
    refresh_interval_ms: int
    dial_timeout_ms: int
    write_timeout_ms: int
    read_timeout_ms: int


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """Where the first members of a cluster find each other: a URL of the v2 protocol, endpoints and
    a token of the v3 protocol, or a DNS domain; all empty when they are given. `fallback` is
    "proxy" or "exit"."""

    url: str
    fallback: str
    http_proxy: str
    srv_domain: str
    srv_name: str
    token: str
    endpoints: tuple[str, ...]
    dial_timeout_s: float
    request_timeout_s: float


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What the server reads. Times are in the unit their name ends with."""

    name: str
    data_dir: str
    wal_dir: str
    snapshot_count: int
    heartbeat_ms: int
    election_ms: int
    raft_read_timeout_s: float
    raft_write_timeout_s: float
    corrupt_check_time_s: float
    initial_corrupt_check: bool
    listen_peer_urls: tuple[str, ...]
    listen_client_urls: tuple[str, ...]
    listen_metrics_urls: tuple[str, ...]
    initial_advertise_peer_urls: tuple[str, ...]
    advertise_client_urls: tuple[str, ...]
    initial_cluster: str
    initial_cluster_state: str
    initial_cluster_token: str
    max_wals: int
    quota_backend_bytes: int
    backend_batch_interval_s: float
    backend_batch_limit: int
    max_txn_ops: int
    max_request_bytes: int
    max_concurrent_streams: int
    keepalive_min_time_s: float
    keepalive_interval_s: float
    keepalive_timeout_s: float
    pre_vote: bool
    reuse_port: bool
    strict_reconfig_check: bool
    max_learners: int
    initial_election_tick_advance: bool
    force_new_cluster: bool
    auto_compaction_mode: str
    auto_compaction_retention: str
    snapshot_catchup_entries: int
    watch_progress_interval_s: float
    warning_apply_s: float
    warning_unary_request_s: float
    lease_checkpoint: bool
    cors: tuple[str, ...]
    enable_v2: bool
    host_whitelist: tuple[str, ...]
    metrics: str
    log_level: str
    log_format: str
    log_outputs: tuple[str, ...]
    unsafe_no_fsync: bool
    proxy: ProxyConfig
    discovery: DiscoveryConfig
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def request_timeout_s(self) -> float:
        """How long a request may wait: five seconds and two election timeouts, as in etcd."""
        return 5.0 + 2 * self.election_ms / 1000


class Settings:
    """Flag texts by name, and which of them somebody set."""

    def __init__(self) -> None:
        self._texts = {flag.name: flag.default for flag in FLAGS.values()}
        self.given: set[str] = set()

    def set(self, flag: Flag, text: str) -> None:
        """Check the text against the kind of the flag and keep it. Raises ValueError."""
        read_value(flag, text)
        choices = CHOICES.get(flag.name, (text,))
        if text not in choices:
            raise ValueError("it is " + " or ".join(f"'{choice}'" for choice in choices))
        self._texts[flag.name] = text
        self.given.add(flag.name)

    def text(self, name: str) -> str:
        """The text as given or defaulted."""
        return self._texts[name]

    def value(self, name: str) -> Any:
        """The value in the Python type of the flag's kind."""
        return read_value(FLAGS[name], self._texts[name])


_READERS: dict[Kind, Callable[[str], Any]] = {
    Kind.TEXT: str,
    Kind.BOOL: read_bool,
    Kind.INT: read_int,
    Kind.UINT: read_uint,
    Kind.FLOAT: float,
    Kind.DURATION: read_duration_s,
    Kind.URLS: read_urls,
    Kind.LIST: read_list,
}


def read_value(flag: Flag, text: str) -> Any:
    """The value of a flag's text; ValueError tells why it cannot be read."""
    return _READERS[flag.kind](text)


def find_flag(name: str) -> Flag | None:
    """The flag with this name, its `experimental-` alias included."""
    if name.startswith("experimental-") and name.removeprefix("experimental-") in EXPERIMENTAL:
        name = name.removeprefix("experimental-")
    return FLAGS.get(name)


def parse_arguments(arguments: Sequence[str]) -> tuple[Settings, list[str]]:
    """Read a command line by the rules of Go's flag package: one dash or two, `-f v` or `-f=v`,
    booleans only as `-f` or `-f=v`. Returns the settings and notes for the log."""
    settings, notes = Settings(), []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--" or not word.startswith("-") or word == "-":
            extra = words[0] if word == "--" and words else word
            if extra == "--":
                break
            raise ConfigError(f"'{extra}' is not a valid flag")
        name, equals, text = word.lstrip("-").partition("=")
        flag = find_flag(name)
        if flag is None:
            if name not in IGNORED:
                raise ConfigError(f"flag provided but not defined: -{name}", 2)
            notes.append(f"--{name} is no longer used and was ignored")
            if not equals and words and not words[0].startswith("-"):
                words.pop(0)
            continue
        if not equals:
            text = _following_text(flag, name, words)
        _set(settings, flag, name, text)
    return settings, notes


def _following_text(flag: Flag, name: str, words: list[str]) -> str:
    if flag.kind is Kind.BOOL:
        return "true"
    if not words:
        raise ConfigError(f"flag needs an argument: -{name}", 2)
    return words.pop(0)


def _set(settings: Settings, flag: Flag, name: str, text: str) -> None:
    try:
        settings.set(flag, text)
    except ValueError as error:
        kind = "boolean value" if flag.kind is Kind.BOOL else "value"
        where = f"for -{name}" if flag.kind is Kind.BOOL else f"for flag -{name}"
        raise ConfigError(f'invalid {kind} "{text}" {where}: {error}', 2) from None


def apply_environment(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    """Fill settings from `ETCD_*` variables; returns notes on unknown ones."""
    by_variable = {flag.variable: flag for flag in FLAGS.values()}
    for name in EXPERIMENTAL:
        by_variable["ETCD_EXPERIMENTAL_" + name.upper().replace("-", "_")] = FLAGS[name]
    notes = []
    for variable in sorted(environment):
        text = environment[variable]
        if not variable.startswith("ETCD_") or variable == "ETCD_VERSION" or not text:
            continue
        flag = by_variable.get(variable)
        if flag is None:
            notes.append(f"unrecognized environment variable {variable}")
        elif flag.name in settings.given:
            raise ConfigError(
                "conflicting environment variable is shadowed by corresponding command-line flag "
                f"(either unset environment variable or disable flag): {variable}"
            )
        else:
            try:
                settings.set(flag, text)
            except ValueError as error:
                raise ConfigError(f'invalid value "{text}" for {variable}: {error}') from None
    return notes


def read_file(path: str) -> tuple[Settings, list[str]]:
    """Read a YAML (or JSON) configuration file. Durations there are whole nanoseconds.

    Unlike a command line it need not say what to advertise, as in etcd.
    """
    try:
        with open(path, encoding="utf-8") as file:
            document = yaml.safe_load(file)
    except OSError as error:
        raise ConfigError(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected keys and values at the top")
    settings, known = Settings(), set()
    for flag in FLAGS.values():
        for keys in _yaml_paths(flag):
            value = _dig(document, keys)
            known.add(keys[0])
            if value is None:
                continue
            try:
                settings.set(flag, _yaml_text(flag, value))
            except ValueError as error:
                raise ConfigError(f"{path}: {'.'.join(keys)}: {error}") from None
    unknown = sorted(str(key) for key in document if key not in known)
    notes = [f"unknown key in {path}: {key}" for key in unknown]
    if "listen-client-urls" in settings.given and "advertise-client-urls" not in settings.given:
        settings.given.add("advertise-client-urls")
        advertised = settings.text("advertise-client-urls")
        notes.append(f"no advertise-client-urls in {path}: clients are told {advertised}")
    return settings, notes


def _yaml_paths(flag: Flag) -> list[tuple[str, ...]]:
    """Where a file may hold the flag; the name that etcd 3.5 knows comes first."""
    older = [(f"experimental-{flag.name}",)] if flag.name in EXPERIMENTAL else []
    return [*older, flag.yaml_path]


def _dig(document: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = document
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def _yaml_text(flag: Flag, value: Any) -> str:
    """The flag's text for a YAML value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if flag.kind is Kind.DURATION and isinstance(value, int):
        return f"{value}ns"
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    if isinstance(value, dict):
        raise ValueError(f"expected a value, not {json.dumps(value)}")
    return str(value)


def load_config(arguments: Sequence[str], environment: Mapping[str, str]) -> ServerConfig:
    """The configuration from all sources. Raises ConfigError."""
    settings, notes = parse_arguments(arguments)
    path = settings.text("config-file") or environment.get("ETCD_CONFIG_FILE", "")
    if path:
        settings, notes = read_file(path)
    else:
        notes += apply_environment(settings, environment)
    notes += refuse_unsupported(settings)
    check(settings)
    return build(settings, notes)


def refuse_unsupported(settings: Settings) -> list[str]:
    """Raise ConfigError for a setting that must not be ignored; notes for those that may."""
    notes = []
    for name in sorted(settings.given):
        flag = FLAGS[name]
        if settings.text(name) == flag.default:
            continue
        if flag.support is Support.REFUSED:
            raise ConfigError(f"--{name} cannot be used: {flag.note}")
        if flag.support is Support.NO_EFFECT:
            notes.append(f"--{name} has no effect: {flag.note}")
    return notes


def check(settings: Settings) -> None:
    """The checks of etcd at start, with its texts."""
    for name in ("heartbeat-interval", "election-timeout"):
        if settings.value(name) == 0:
            raise ConfigError(f"--{name} must be >0 (set to 0ms)")
    for name in ("raft-read-timeout", "raft-write-timeout"):
        if settings.value(name) <= 0:
            raise ConfigError(f"--{name} must be >0 (set to {settings.text(name)})")
    heartbeat, election = settings.value("heartbeat-interval"), settings.value("election-timeout")
    if 5 * heartbeat > election:
        raise ConfigError(
            f"--election-timeout[{election}ms] should be at least as 5 times as "
            f"--heartbeat-interval[{heartbeat}ms]"
        )
    if election > ELECTION_MS_MAX:
        raise ConfigError(
            f"--election-timeout[{election}ms] is too long, and should be set less than "
            f"{ELECTION_MS_MAX}ms"
        )
    mode = settings.text("auto-compaction-mode")
    if mode not in COMPACTION_MODES:
        raise ConfigError(f'unknown auto-compaction-mode "{mode}"')
    try:
        auto_compaction(mode, settings.text("auto-compaction-retention"))
    except ValueError as error:
        raise ConfigError(f"--auto-compaction-retention: {error}") from None
    if "default" in settings.value("log-outputs") and len(settings.value("log-outputs")) > 1:
        raise ConfigError('multi logoutput for "default" is not supported yet')
    for name in ("listen-peer-urls", "listen-client-urls", "listen-metrics-urls"):
        try:
            check_bindable(settings.value(name))
        except ValueError as error:
            raise ConfigError(str(error)) from None
        for url in settings.value(name):
            if url.startswith(("https:", "unixs:")):
                raise ConfigError(f"--{name} cannot be {url}: TLS is not served yet")
    _check_bootstrap(settings)
    given = settings.given
    missing = "listen-client-urls" in given and "advertise-client-urls" not in given
    if missing and not _may_be_proxy(settings):
        raise ConfigError(
            "--advertise-client-urls is required when --listen-client-urls is set explicitly"
        )


def _check_bootstrap(settings: Settings) -> None:
    """One way to find the first members, and all that it needs."""
    if bool(settings.text("discovery-token")) != bool(settings.text("discovery-endpoints")):
        raise ConfigError("both --discovery-token and --discovery-endpoints need to be set")
    ways = ("discovery", "discovery-endpoints", "discovery-srv")
    given = [name for name in ways if settings.text(name)]
    if len(given) + ("initial-cluster" in settings.given) > 1:
        raise ConfigError(
            "multiple discovery or bootstrap flags are set. Choose one of "
            '"initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv"'
        )


def _may_be_proxy(settings: Settings) -> bool:
    """A proxy advertises nothing."""
    falls_back = settings.text("discovery") and settings.text("discovery-fallback") == "proxy"
    return bool(falls_back) or settings.text("proxy") != "off"


def build(settings: Settings, notes: list[str]) -> ServerConfig:
    """The typed configuration from checked settings; applies the defaults that depend on others."""
    value = settings.value
    name = settings.text("name")
    peer_urls = value("initial-advertise-peer-urls")
    initial_cluster = settings.text("initial-cluster")
    if "initial-cluster" not in settings.given:
        initial_cluster = ",".join(f"{name}={url}" for url in peer_urls)
    return ServerConfig(
        name=name,
        data_dir=settings.text("data-dir") or f"{name}.etcd",
        wal_dir=settings.text("wal-dir"),
        snapshot_count=value("snapshot-count"),
        heartbeat_ms=value("heartbeat-interval"),
        election_ms=value("election-timeout"),
        raft_read_timeout_s=value("raft-read-timeout"),
        raft_write_timeout_s=value("raft-write-timeout"),
        corrupt_check_time_s=value("corrupt-check-time"),
        initial_corrupt_check=value("initial-corrupt-check"),
        listen_peer_urls=_once_each(value("listen-peer-urls")),
        listen_client_urls=_once_each(value("listen-client-urls")),
        listen_metrics_urls=_once_each(value("listen-metrics-urls")),
        initial_advertise_peer_urls=peer_urls,
        advertise_client_urls=value("advertise-client-urls"),
        initial_cluster=initial_cluster,
        initial_cluster_state=settings.text("initial-cluster-state"),
        initial_cluster_token=settings.text("initial-cluster-token"),
        max_wals=value("max-wals"),
        quota_backend_bytes=value("quota-backend-bytes"),
        backend_batch_interval_s=value("backend-batch-interval"),
        backend_batch_limit=value("backend-batch-limit"),
        max_txn_ops=value("max-txn-ops"),
        max_request_bytes=value("max-request-bytes"),
        max_concurrent_streams=value("max-concurrent-streams"),
        keepalive_min_time_s=value("grpc-keepalive-min-time"),
        keepalive_interval_s=value("grpc-keepalive-interval"),
        keepalive_timeout_s=value("grpc-keepalive-timeout"),
        pre_vote=value("pre-vote"),
        reuse_port=value("socket-reuse-port"),
        strict_reconfig_check=value("strict-reconfig-check"),
        max_learners=value("max-learners"),
        initial_election_tick_advance=value("initial-election-tick-advance"),
        force_new_cluster=value("force-new-cluster"),
        auto_compaction_mode=settings.text("auto-compaction-mode"),
        auto_compaction_retention=settings.text("auto-compaction-retention"),
        snapshot_catchup_entries=value("snapshot-catchup-entries"),
        watch_progress_interval_s=value("watch-progress-notify-interval"),
        warning_apply_s=value("warning-apply-duration"),
        warning_unary_request_s=value("warning-unary-request-duration"),
        lease_checkpoint=value("enable-lease-checkpoint"),
        cors=value("cors"),
        enable_v2=value("enable-v2"),
        host_whitelist=value("host-whitelist"),
        metrics=settings.text("metrics"),
        log_level=settings.text("log-level"),
        log_format=settings.text("log-format"),
        log_outputs=value("log-outputs"),
        unsafe_no_fsync=value("unsafe-no-fsync"),
        proxy=_proxy_config(settings),
        discovery=_discovery_config(settings),
        notes=tuple(notes),
    )


def _once_each(urls: tuple[str, ...]) -> tuple[str, ...]:
    """A socket for each address, however often it is given."""
    return tuple(dict.fromkeys(urls))


def _proxy_config(settings: Settings) -> ProxyConfig:
    return ProxyConfig(
        mode=settings.text("proxy"),
        failure_wait_ms=settings.value("proxy-failure-wait"),
        refresh_interval_ms=settings.value("proxy-refresh-interval"),
        dial_timeout_ms=settings.value("proxy-dial-timeout"),
        write_timeout_ms=settings.value("proxy-write-timeout"),
        read_timeout_ms=settings.value("proxy-read-timeout"),
    )


def _discovery_config(settings: Settings) -> DiscoveryConfig:
    return DiscoveryConfig(
        url=settings.text("discovery"),
        fallback=settings.text("discovery-fallback"),
        http_proxy=settings.text("discovery-proxy"),
        srv_domain=settings.text("discovery-srv"),
        srv_name=settings.text("discovery-srv-name"),
        token=settings.text("discovery-token"),
        endpoints=settings.value("discovery-endpoints"),
        dial_timeout_s=settings.value("discovery-dial-timeout"),
        request_timeout_s=settings.value("discovery-request-timeout"),
    )


def default_config(data_dir: str, **changes: object) -> ServerConfig:
    """A configuration with all defaults, for embedding and tests."""
    config = build(Settings(), [])
    values = {name: getattr(config, name) for name in ServerConfig.__slots__}
    return ServerConfig(**{**values, "data_dir": data_dir, **changes})


def environment() -> dict[str, str]:
    """The environment of this process."""
    return dict(os.environ)
