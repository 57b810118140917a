"""Help of the `etcd` command, rendered from the flag table."""

from petcd.server.flag import Flag, Support
from petcd.server.flag_table import SECTIONS

USAGE = """Usage:

  etcd [flags]
    Start an etcd server.

  etcd --version
    Show the version of etcd.

  etcd -h | --help
    Show the help information about etcd.

  etcd --config-file
    Path to the server configuration file. Note that if a configuration file is provided, other \
command line flags and environment variables will be ignored.

Every flag can also be set by a variable: ETCD_ and its name in capitals, with _ for -, such as
ETCD_LISTEN_CLIENT_URLS for --listen-client-urls.
"""


def flag_help() -> str:
    """All flags by section, with defaults and what is special about them."""
    parts = []
    for title, flags in SECTIONS:
        parts.append(f"\n{title}:\n")
        parts += [_one(flag) for flag in flags]
    return "".join(parts)


def _one(flag: Flag) -> str:
    note = ""
    if flag.support is Support.REFUSED:
        note = f" (Not available: {flag.note}.)"
    elif flag.support is Support.NO_EFFECT:
        note = f" (Accepted without effect: {flag.note}.)"
    elif flag.note:
        note = f" ({flag.note}.)"
    return f"  --{flag.name} '{flag.default}'\n    {flag.help}{note}\n"
