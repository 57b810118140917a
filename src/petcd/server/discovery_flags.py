"""The flags of discovery: how the first members of a cluster find each other (`discovery`).

A part of `flag_table`, where the columns are explained.
"""

from petcd.server.flag import Flag, Kind, Support

_TEXT = Kind.TEXT
_NO_TLS = "TLS is not served yet"
_NO_AUTH = "authentication is not served yet"
_CONFIG = "discovery-config"
_CLIENT = (_CONFIG, "client")
_SECURE = (*_CLIENT, "secure")

DISCOVERY = (
    Flag(
        "discovery", _TEXT, "", "URL of the v2 API under which the first members find each other."
    ),
    Flag(
        "discovery-fallback",
        _TEXT,
        "proxy",
        "What to be when the cluster is full: 'proxy', or 'exit' and be nothing.",
        note="of --discovery and --discovery-endpoints",
    ),
    Flag("discovery-proxy", _TEXT, "", "HTTP proxy in front of an http --discovery URL."),
    Flag("discovery-srv", _TEXT, "", "DNS domain whose SRV records name the first members."),
    Flag("discovery-srv-name", _TEXT, "", "Suffix of the services in these records."),
    Flag(
        "discovery-token",
        _TEXT,
        "",
        "Token of the cluster at --discovery-endpoints.",
        yaml=(_CONFIG, "token"),
    ),
    Flag(
        "discovery-endpoints",
        Kind.LIST,
        "",
        "Endpoints of the v3 API at which the first members find each other.",
        yaml=(*_CLIENT, "endpoints"),
    ),
    Flag(
        "discovery-dial-timeout",
        Kind.DURATION,
        "2s",
        "Time to connect such an endpoint.",
        yaml=(*_CLIENT, "dial-timeout"),
    ),
    Flag(
        "discovery-request-timeout",
        Kind.DURATION,
        "5s",
        "Time for its answer.",
        yaml=(*_CLIENT, "request-timeout"),
    ),
    Flag(
        "discovery-keepalive-time",
        Kind.DURATION,
        "2s",
        "Interval of pings to it.",
        Support.NO_EFFECT,
        "pings go out after 10 s of silence",
        (*_CLIENT, "keepalive-time"),
    ),
    Flag(
        "discovery-keepalive-timeout",
        Kind.DURATION,
        "6s",
        "Wait for the answer to a ping.",
        Support.NO_EFFECT,
        "it is 10 s",
        (*_CLIENT, "keepalive-timeout"),
    ),
    Flag(
        "discovery-insecure-transport",
        Kind.BOOL,
        "true",
        "Use no TLS towards it.",
        Support.REFUSED,
        _NO_TLS,
        (*_SECURE, "insecure-transport"),
    ),
    *(
        Flag(
            f"discovery-{name}",
            _TEXT,
            "",
            f"{what} towards it.",
            Support.REFUSED,
            _NO_TLS,
            (*_SECURE, name),
        )
        for name, what in (("cert", "Certificate"), ("key", "Key"), ("cacert", "Authorities"))
    ),
    Flag(
        "discovery-insecure-skip-tls-verify",
        Kind.BOOL,
        "false",
        "Trust any certificate of it.",
        Support.REFUSED,
        _NO_TLS,
        (*_SECURE, "insecure-skip-tls-verify"),
    ),
    *(
        Flag(
            f"discovery-{name}",
            _TEXT,
            "",
            f"{what} at it.",
            Support.REFUSED,
            _NO_AUTH,
            (*_CLIENT, "auth", key),
        )
        for name, key, what in (("user", "username", "User"), ("password", "password", "Password"))
    ),
)
