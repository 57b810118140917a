"""`petcd render DIR`: the files that make a member a service of systemd.

    DIR/etcd.service        the unit                     -> /etc/systemd/system/
    DIR/etcd.sysusers       the user it runs as          -> /etc/sysusers.d/etcd.conf
    DIR/etcd.conf           the member's settings        -> /etc/etcd/
    DIR/NAME/etcd.conf      the same for each of several members, instead of DIR/etcd.conf

Settings are `ETCD_*` variables; what is left at its default stands there as a comment, from the
table of flags. Nothing outside of DIR is touched. How to install: docs/deployment.md.
"""

import ipaddress
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from petcd.cli.flags import HELP, STRING, Flag, FlagError, FlagSet
from petcd.server.flag import Flag as ServerFlag
from petcd.server.flag import Support
from petcd.server.flag_table import SECTIONS

STATE_DIR = "/var/lib/etcd/"
CONFIG_FILE = "/etc/etcd/etcd.conf"
EVERYWHERE = "0.0.0.0"

FLAGS = (
    Flag("data-dir", STRING, f"{STATE_DIR}default.etcd", "where members keep their data"),
    Flag("program", STRING, "", "the etcd command (default: the one beside this program)"),
    Flag("token", STRING, "etcd-cluster", "text that tells this cluster from others"),
)

USAGE = """usage: petcd render DIR [NAME=HOST ...] [flags]

Writes a systemd unit, the user it runs as, and the environment file of a member into DIR; with
several NAME=HOST one environment file for each of these members of a cluster.

"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one member is reached."""

    name: str
    host: str
    client_port: int = 2379
    peer_port: int = 2380

    @property
    def peer_url(self) -> str:
        """What the other members call."""
        return self._url(self.host, self.peer_port)

    @property
    def client_url(self) -> str:
        """What clients call."""
        return self._url(self.host, self.client_port)

    def listen_url(self, port: int) -> str:
        """Sockets are bound to addresses; for a host's name that is all of them."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            named = self.host != "localhost"
            return self._url(EVERYWHERE if named else self.host, port)
        return self._url(self.host, port)

    @property
    def listen_client_urls(self) -> str:
        """The loopback address beside the member's own, so that a local etcdctl needs no flags."""
        own = self.listen_url(self.client_port)
        local = self._url("127.0.0.1", self.client_port)
        reached = ("127.", "[::]", "localhost", EVERYWHERE)
        return own if own.partition("://")[2].startswith(reached) else f"{local},{own}"

    @staticmethod
    def _url(host: str, port: int) -> str:
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def unit(program: str) -> str:
    """The unit file."""
    return f"""[Unit]
Description=Etcd Server
Documentation=https://etcd.io/docs/
After=network-online.target local-fs.target remote-fs.target time-sync.target
Wants=network-online.target

[Service]
Type=notify
User=etcd
StateDirectory=etcd
WorkingDirectory={STATE_DIR}
EnvironmentFile=-{CONFIG_FILE}
ExecStart={program}
Restart=always
RestartSec=10s
# The first members of a new cluster are ready when most of them have started, however long that is.
TimeoutStartSec=infinity
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""


def sysusers() -> str:
    """The user, in the format of systemd-sysusers."""
    return f'u etcd - "etcd member" {STATE_DIR.rstrip("/")}\n'


def environment_file(place: Place, members: Sequence[Place], data_dir: str, token: str) -> str:
    """The settings of the member at `place` in a new cluster of `members`."""
    values = {
        "name": place.name,
        "data-dir": data_dir,
        "listen-peer-urls": place.listen_url(place.peer_port),
        "listen-client-urls": place.listen_client_urls,
        "initial-advertise-peer-urls": place.peer_url,
        "advertise-client-urls": place.client_url,
        "initial-cluster": ",".join(f"{each.name}={each.peer_url}" for each in members),
        "initial-cluster-token": token,
        "initial-cluster-state": "new",
    }
    parts = [
        '# Settings of an etcd member, read by systemd: VARIABLE="value".\n'
        "# Every flag of etcd has its variable; what is a comment here has its default.\n"
    ]
    for title, flags in SECTIONS:
        lines = [_line(flag, values) for flag in flags if flag.support is Support.USED]
        if lines:
            parts.append(f"\n# [{title}]\n" + "".join(lines))
    return "".join(parts)


def _line(flag: ServerFlag, values: dict[str, str]) -> str:
    if flag.name in ("version", "config-file"):
        return ""
    if flag.name in values:
        return f'{flag.variable}="{values[flag.name]}"\n'
    return f'#{flag.variable}="{flag.default}"\n'


def render(
    directory: str, members: Sequence[Place], program: str, data_dir: str, token: str
) -> list[str]:
    """Write the files; returns their paths. Raises OSError."""
    texts = {"etcd.service": unit(program), "etcd.sysusers": sysusers()}
    for place in members:
        name = os.path.join(place.name, "etcd.conf") if len(members) > 1 else "etcd.conf"
        texts[name] = environment_file(place, members, data_dir, token)
    paths = []
    for name, text in texts.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        paths.append(path)
    return paths


def places(words: Sequence[str]) -> list[Place]:
    """Members from NAME=HOST; one on this machine when there are none. Raises ValueError."""
    found = []
    for word in words:
        name, equals, host = word.partition("=")
        if not (name and equals and host) or any(ch in word for ch in '/," '):
            raise ValueError(f"expected NAME=HOST, not {word!r}")
        found.append(Place(name, host.strip("[]")))
    if len({place.name for place in found}) < len(found):
        raise ValueError("two members have one name")
    return found or [Place("default", "localhost")]


def run(words: Sequence[str]) -> int:
    """Run `petcd render WORDS`; returns the exit code."""
    flags = FlagSet([*FLAGS, HELP])
    try:
        flags.parse(words)
        if flags.boolean("help"):
            sys.stdout.write(USAGE)
            for flag in FLAGS:
                sys.stdout.write(f"  --{flag.name:<10} {flag.usage}\n")
            return 0
        if not flags.args:
            raise ValueError("render needs a directory to write to")
        members = places(flags.args[1:])
    except (FlagError, ValueError) as error:
        sys.stderr.write(f"petcd: {error}\n")
        return 2
    program = flags.string("program") or program_beside()
    data_dir, token = flags.string("data-dir"), flags.string("token")
    try:
        for path in render(flags.args[0], members, program, data_dir, token):
            print(path)
    except OSError as error:
        sys.stderr.write(f"petcd: {error.filename}: {(error.strerror or '').lower()}\n")
        return 1
    return 0


def main() -> int:
    """Entry point; returns the exit code."""
    return run(sys.argv[1:])


def program_beside() -> str:
    """The `etcd` of this installation, or where packages put it."""
    beside = os.path.join(os.path.dirname(sys.executable), "etcd")
    return beside if shutil.which(beside) else "/usr/bin/etcd"
