"""Every flag of the `etcd` command, declared once.

From this table come the command line, the `ETCD_*` variables, the YAML keys and `--help`.

    name      without dashes; the variable is ETCD_ + NAME with _ for -
    kind      how the text is read (see `flag_values`)
    support   USED: works; NO_EFFECT: accepted, changes nothing here (the note says why);
              REFUSED: setting it to something else than the default stops the start, because
              going on without it would be wrong or unsafe
    yaml      path in a configuration file when it is not simply the name

Names, defaults and sections are etcd's as of 3.5 and 3.6, so that unit files, scripts and
manifests work unchanged. Where a default differs on purpose the note says so.
"""

from petcd.server.discovery_flags import DISCOVERY
from petcd.server.flag import Flag, Kind, Support

USED, NO_EFFECT, REFUSED = Support.USED, Support.NO_EFFECT, Support.REFUSED
T, B, N, U, F, D, URLS, L = (
    Kind.TEXT,
    Kind.BOOL,
    Kind.INT,
    Kind.UINT,
    Kind.FLOAT,
    Kind.DURATION,
    Kind.URLS,
    Kind.LIST,
)
_NO_TLS = "TLS is not served yet"
_NO_TLS_ADDRESS = f"not https and unixs: {_NO_TLS}"
_NO_AUTH = "authentication is not served yet"
_NO_COMPARISON = "members do not compare the hashes of compactions yet"
_LMDB = "the store is LMDB, which has no such setting"
_TRACING = "traces are not exported"
_CLIENT_TLS = "client-transport-security"
_PEER_TLS = "peer-transport-security"

MEMBER = (
    Flag("name", T, "default", "Human-readable name for this member."),
    Flag("data-dir", T, "", "Path to the data directory (default: <name>.etcd)."),
    Flag("wal-dir", T, "", "Path to a directory of its own for the write-ahead log."),
    Flag(
        "snapshot-count",
        U,
        "10000",
        "Applied entries after which the log is cut and old segments are released.",
    ),
    Flag("heartbeat-interval", U, "100", "Time of a heartbeat interval, in milliseconds."),
    Flag("election-timeout", U, "1000", "Time for an election to time out, in milliseconds."),
    Flag(
        "initial-election-tick-advance",
        B,
        "true",
        "Fast-forward the first election timeout at start.",
    ),
    Flag(
        "listen-peer-urls",
        URLS,
        "http://localhost:2380",
        "URLs to listen on for peers.",
        note=_NO_TLS_ADDRESS,
    ),
    Flag(
        "listen-client-urls",
        URLS,
        "http://localhost:2379",
        "URLs to listen on for clients.",
        note=_NO_TLS_ADDRESS,
    ),
    Flag(
        "listen-client-http-urls",
        URLS,
        "",
        "URLs for HTTP-only client traffic; takes HTTP off --listen-client-urls.",
        REFUSED,
        "one port serves both",
    ),
    Flag(
        "max-snapshots",
        U,
        "5",
        "Snapshot files to keep.",
        NO_EFFECT,
        "the store itself is the snapshot",
    ),
    Flag("max-wals", U, "5", "Write-ahead log segments to keep (0: all)."),
    Flag("memory-mlock", B, "false", "Keep the pages in memory.", NO_EFFECT, "needs privileges"),
    Flag(
        "quota-backend-bytes",
        N,
        "0",
        "Bytes in use at which writes are refused (0: 2 GiB, negative: no limit).",
    ),
    Flag("backend-bbolt-freelist-type", T, "map", "Kind of free list.", NO_EFFECT, _LMDB),
    Flag("backend-batch-interval", D, "100ms", "Longest time before the store is committed."),
    Flag("backend-batch-limit", N, "10000", "Most operations before the store is committed."),
    Flag("max-txn-ops", U, "128", "Most operations in a transaction."),
    Flag("max-request-bytes", U, "1572864", "Largest client request, in bytes."),
    Flag("max-concurrent-streams", U, "4294967295", "Most streams a client opens at a time."),
    Flag("grpc-keepalive-min-time", D, "5s", "Shortest interval at which a client may ping."),
    Flag("grpc-keepalive-interval", D, "2h", "Interval of the server's pings (0: none)."),
    Flag("grpc-keepalive-timeout", D, "20s", "Wait for the answer to such a ping."),
    Flag(
        "socket-reuse-port",
        B,
        "false",
        "Set SO_REUSEPORT on listeners.",
        yaml=("socket-options", "reuse-port"),
    ),
    Flag(
        "socket-reuse-address",
        B,
        "false",
        "Set SO_REUSEADDR on listeners.",
        NO_EFFECT,
        "always set",
        yaml=("socket-options", "reuse-address"),
    ),
    Flag(
        "enable-grpc-gateway",
        B,
        "true",
        "Serve the JSON gateway.",
        NO_EFFECT,
        "the gateway is not served yet",
    ),
    Flag("raft-read-timeout", D, "5s", "Read timeout of peer connections."),
    Flag("raft-write-timeout", D, "5s", "Write timeout of peer connections."),
    Flag("feature-gates", T, "", "Features to turn on or off.", NO_EFFECT, "no gates yet"),
)

CLUSTERING = (
    Flag(
        "initial-advertise-peer-urls",
        URLS,
        "http://localhost:2380",
        "Peer URLs of this member that the others shall use.",
    ),
    Flag(
        "initial-cluster",
        T,
        "default=http://localhost:2380",
        "First members, as name=URL,name=URL; read only when the data directory is new.",
    ),
    Flag(
        "initial-cluster-state",
        T,
        "new",
        "'new' to found a cluster, 'existing' to join one.",
    ),
    Flag(
        "initial-cluster-token",
        T,
        "etcd-cluster",
        "Text that tells apart clusters founded from the same URLs.",
    ),
    Flag(
        "advertise-client-urls",
        URLS,
        "http://localhost:2379",
        "Client URLs of this member that clients shall use.",
    ),
    *DISCOVERY,
    Flag(
        "strict-reconfig-check",
        B,
        "true",
        "Refuse membership changes that would lose the quorum.",
    ),
    Flag("pre-vote", B, "true", "Ask before starting an election."),
    Flag(
        "auto-compaction-retention",
        T,
        "12h",
        "History to keep: a duration (bare numbers are hours) or a number of revisions; 0: off.",
        note="etcd's default is 0; history without bound fills the quota",
    ),
    Flag("auto-compaction-mode", T, "periodic", "'periodic' or 'revision'."),
    Flag("max-learners", N, "1", "Most learners in the cluster; the same on every member."),
    Flag("enable-v2", B, "true", "Serve the v2 API.", USED, "etcd's default is false"),
    Flag(
        "v2-deprecation",
        T,
        "not-yet",
        "Phase of the removal of v2.",
        NO_EFFECT,
        "v2 is not removed here",
    ),
)

SECURITY = (
    Flag("cert-file", T, "", "Server certificate.", REFUSED, _NO_TLS, (_CLIENT_TLS, "cert-file")),
    Flag("key-file", T, "", "Server key.", REFUSED, _NO_TLS, (_CLIENT_TLS, "key-file")),
    Flag(
        "client-cert-auth",
        B,
        "false",
        "Demand client certificates.",
        REFUSED,
        _NO_TLS,
        (_CLIENT_TLS, "client-cert-auth"),
    ),
    Flag(
        "client-cert-file",
        T,
        "",
        "Certificate used as a client.",
        REFUSED,
        _NO_TLS,
        (_CLIENT_TLS, "client-cert-file"),
    ),
    Flag(
        "client-key-file",
        T,
        "",
        "Key used as a client.",
        REFUSED,
        _NO_TLS,
        (_CLIENT_TLS, "client-key-file"),
    ),
    Flag("client-crl-file", T, "", "Client revocation list.", REFUSED, _NO_TLS),
    Flag(
        "client-cert-allowed-hostname",
        T,
        "",
        "Host names allowed in client certificates.",
        REFUSED,
        _NO_TLS,
        (_CLIENT_TLS, "allowed-hostname"),
    ),
    Flag(
        "trusted-ca-file",
        T,
        "",
        "Authorities trusted for clients.",
        REFUSED,
        _NO_TLS,
        (_CLIENT_TLS, "trusted-ca-file"),
    ),
    Flag(
        "auto-tls",
        B,
        "false",
        "Make a certificate at start.",
        REFUSED,
        _NO_TLS,
        (_CLIENT_TLS, "auto-tls"),
    ),
    Flag("peer-cert-file", T, "", "Peer certificate.", REFUSED, _NO_TLS, (_PEER_TLS, "cert-file")),
    Flag("peer-key-file", T, "", "Peer key.", REFUSED, _NO_TLS, (_PEER_TLS, "key-file")),
    Flag(
        "peer-client-cert-auth",
        B,
        "false",
        "Demand certificates of peers.",
        REFUSED,
        _NO_TLS,
        (_PEER_TLS, "client-cert-auth"),
    ),
    Flag(
        "peer-client-cert-file",
        T,
        "",
        "Certificate used towards peers.",
        REFUSED,
        _NO_TLS,
        (_PEER_TLS, "client-cert-file"),
    ),
    Flag(
        "peer-client-key-file",
        T,
        "",
        "Key used towards peers.",
        REFUSED,
        _NO_TLS,
        (_PEER_TLS, "client-key-file"),
    ),
    Flag(
        "peer-trusted-ca-file",
        T,
        "",
        "Authorities trusted for peers.",
        REFUSED,
        _NO_TLS,
        (_PEER_TLS, "trusted-ca-file"),
    ),
    Flag(
        "peer-cert-allowed-cn",
        T,
        "",
        "Common names allowed to peers.",
        REFUSED,
        _NO_TLS,
        (_PEER_TLS, "allowed-cn"),
    ),
    Flag(
        "peer-cert-allowed-hostname",
        T,
        "",
        "Host names allowed to peers.",
        REFUSED,
        _NO_TLS,
        (_PEER_TLS, "allowed-hostname"),
    ),
    Flag(
        "peer-auto-tls",
        B,
        "false",
        "Make a peer certificate at start.",
        REFUSED,
        _NO_TLS,
        (_PEER_TLS, "auto-tls"),
    ),
    Flag(
        "self-signed-cert-validity", U, "1", "Years a made certificate lasts.", NO_EFFECT, _NO_TLS
    ),
    Flag("peer-crl-file", T, "", "Peer revocation list.", REFUSED, _NO_TLS),
    Flag("cipher-suites", L, "", "Cipher suites allowed.", REFUSED, _NO_TLS),
    Flag("cors", L, "*", "Origins allowed to call over HTTP from a browser."),
    Flag("host-whitelist", L, "*", "Host names accepted in HTTP requests without TLS."),
    Flag("tls-min-version", T, "TLS1.2", "Oldest TLS version.", NO_EFFECT, _NO_TLS),
    Flag("tls-max-version", T, "", "Newest TLS version.", NO_EFFECT, _NO_TLS),
    Flag(
        "peer-skip-client-san-verification",
        B,
        "false",
        "Do not check the address in peer certificates.",
        NO_EFFECT,
        _NO_TLS,
        (_PEER_TLS, "skip-client-san-verification"),
    ),
)

AUTH = (
    Flag("auth-token", T, "simple", "Kind of token: 'simple' or 'jwt,...'.", REFUSED, _NO_AUTH),
    Flag("bcrypt-cost", U, "10", "Cost of hashing a password.", NO_EFFECT, _NO_AUTH),
    Flag("auth-token-ttl", U, "300", "Life of a simple token, in seconds.", NO_EFFECT, _NO_AUTH),
)

MONITORING = (
    Flag(
        "enable-pprof", B, "false", "Serve Go profiles.", NO_EFFECT, "there is no Go run time here"
    ),
    Flag(
        "metrics",
        T,
        "basic",
        "'basic', or 'extensive' for histograms of each call.",
    ),
    Flag(
        "listen-metrics-urls",
        URLS,
        "",
        "URLs that serve /metrics and health only.",
        note=_NO_TLS_ADDRESS,
    ),
    Flag("logger", T, "zap", "Only 'zap' (structured lines) is known.", NO_EFFECT, "one logger"),
    Flag("log-outputs", L, "default", "default, stdout, stderr or file paths."),
    Flag("log-level", T, "info", "debug, info, warn, error, panic or fatal."),
    Flag("log-format", T, "json", "'json' or 'console'."),
    Flag(
        "enable-log-rotation", B, "false", "Rotate the log file.", REFUSED, "use logrotate instead"
    ),
    Flag(
        "log-rotation-config-json",
        T,
        '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}',
        "Settings of the rotation.",
        NO_EFFECT,
        "use logrotate instead",
    ),
    Flag(
        "warning-apply-duration",
        D,
        "100ms",
        "Batches of writes, and reads, that take longer to serve are logged.",
    ),
    Flag(
        "warning-unary-request-duration",
        D,
        "300ms",
        "Calls that take longer are logged.",
        USED,
        "of writes; reads are told of by --warning-apply-duration",
    ),
    Flag("watch-progress-notify-interval", D, "10m", "Interval of progress notices to watchers."),
)

TUNING = (
    Flag("corrupt-check-time", D, "0s", "Interval of corruption checks."),
    Flag(
        "compact-hash-check-time",
        D,
        "1m",
        "Interval of checks of compaction hashes.",
        NO_EFFECT,
        _NO_COMPARISON,
    ),
    Flag(
        "compaction-batch-limit",
        N,
        "1000",
        "Revisions removed in one batch.",
        NO_EFFECT,
        "batches are bounded by time",
    ),
    Flag(
        "compaction-sleep-interval",
        D,
        "10ms",
        "Pause between two batches.",
        NO_EFFECT,
        "pauses follow the load",
    ),
    Flag(
        "bootstrap-defrag-threshold-megabytes",
        U,
        "0",
        "Defragment at start when this much would be freed.",
        NO_EFFECT,
        "space is reused without it",
    ),
    Flag(
        "downgrade-check-time",
        D,
        "5s",
        "Interval of downgrade checks.",
        NO_EFFECT,
        "there is nothing to go down to",
    ),
    Flag(
        "snapshot-catchup-entries",
        U,
        "5000",
        "Entries kept in the log for slow followers after it is cut.",
    ),
    Flag("enable-lease-checkpoint", B, "false", "Record what is left of long leases in the log."),
    Flag(
        "enable-lease-checkpoint-persist",
        B,
        "false",
        "Keep what is left of long leases in the store.",
        NO_EFFECT,
        "always kept when checkpoints are on",
    ),
    Flag(
        "initial-corrupt-check",
        B,
        "false",
        "Check the data before serving.",
    ),
    Flag(
        "compact-hash-check-enabled",
        B,
        "false",
        "Compare hashes at compactions.",
        NO_EFFECT,
        _NO_COMPARISON,
    ),
    Flag(
        "txn-mode-write-with-shared-buffer",
        B,
        "true",
        "Share the buffer of writing transactions.",
        NO_EFFECT,
        _LMDB,
    ),
    Flag(
        "stop-grpc-service-on-defrag",
        B,
        "false",
        "Stop serving while defragmenting.",
        NO_EFFECT,
        "defragmentation does not stop the service",
    ),
    Flag("enable-distributed-tracing", B, "false", "Export traces.", REFUSED, _TRACING),
    Flag("distributed-tracing-address", T, "localhost:4317", "Collector.", NO_EFFECT, _TRACING),
    Flag("distributed-tracing-service-name", T, "etcd", "Service name.", NO_EFFECT, _TRACING),
    Flag("distributed-tracing-instance-id", T, "", "Instance id.", NO_EFFECT, _TRACING),
    Flag("distributed-tracing-sampling-rate", N, "0", "Sampling rate.", NO_EFFECT, _TRACING),
    Flag("enable-v2v3", T, "", "Serve v2 under a v3 prefix.", REFUSED, "v2 shares the store of v3"),
)

PROXY = (
    Flag("proxy", T, "off", "'off', 'readonly' or 'on': pass requests on to the cluster."),
    Flag("proxy-failure-wait", U, "5000", "Time a failed endpoint is out, in milliseconds."),
    Flag(
        "proxy-refresh-interval",
        U,
        "30000",
        "Time between two looks at who the members are, in milliseconds.",
    ),
    Flag("proxy-dial-timeout", U, "1000", "Time to connect a member, in milliseconds (0: no end)."),
    Flag(
        "proxy-write-timeout",
        U,
        "5000",
        "Time until a member has taken a request, in milliseconds (0: no end).",
    ),
    Flag(
        "proxy-read-timeout",
        U,
        "0",
        "Longest silence in an answer, in milliseconds (0: no end). It ends watches, too.",
    ),
)

UNSAFE = (
    Flag(
        "force-new-cluster",
        B,
        "false",
        "Make this member the only one of a new cluster, keeping the data.",
    ),
    Flag("unsafe-no-fsync", B, "false", "Do not sync the disk. A power cut loses data."),
)

OTHER = (
    Flag("config-file", T, "", "Read everything from this YAML file; other flags are ignored."),
    Flag("version", B, "false", "Print the version and exit."),
)

SECTIONS: tuple[tuple[str, tuple[Flag, ...]], ...] = (
    ("Member", MEMBER),
    ("Clustering", CLUSTERING),
    ("Security", SECURITY),
    ("Auth", AUTH),
    ("Profiling, monitoring and logging", MONITORING),
    ("Tuning", TUNING),
    ("v2 proxy", PROXY),
    ("Unsafe", UNSAFE),
    ("Other", OTHER),
)

FLAGS: dict[str, Flag] = {flag.name: flag for _, flags in SECTIONS for flag in flags}

# Flags of etcd 3.5 that had `experimental-` in front and mean the same.
EXPERIMENTAL = frozenset(
    (
        *(flag.name for flag in TUNING),
        "memory-mlock",
        "max-learners",
        "warning-apply-duration",
        "warning-unary-request-duration",
        "watch-progress-notify-interval",
        "peer-skip-client-san-verification",
    )
)

# Flags of old versions that etcd accepts and ignores, so that old scripts start.
IGNORED = frozenset(
    (
        "cluster-active-size",
        "cluster-remove-delay",
        "cluster-sync-interval",
        "config",
        "force",
        "max-result-buffer",
        "max-retry-attempts",
        "peer-heartbeat-interval",
        "peer-election-timeout",
        "retry-interval",
        "snapshot",
        "v",
        "vv",
    )
)
