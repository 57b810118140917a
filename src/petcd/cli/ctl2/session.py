"""One invocation of a v2 command: its flags and arguments, its streams, its way to the cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from petcd.cli.ctl.console import Console
from petcd.cli.ctl2.exits import BAD_ARGUMENTS, BAD_CONNECTION, ERROR, SERVER_ERROR, Complaint
from petcd.cli.ctl2.table import DEFAULT_ENDPOINTS
from petcd.cli.flags import FlagSet
from petcd.cli.quoting import quote
from petcd.client.v2.cluster import Cluster, Settings
from petcd.client.v2.errors import ClusterUnavailable, NoEndpoints, V2Failure, is_connecting
from petcd.client.v2.exchange import Request
from petcd.client.v2.keys import Keys
from petcd.client.v2.url import Url

if TYPE_CHECKING:
    import ssl

    from petcd.client.v2.auth import Auth

DIAL_TIMEOUT_S = 30.0


class Session:
    """`flags` are the command's own, `global_flags` those that stood in front of its name."""

    def __init__(
        self, flags: FlagSet, global_flags: FlagSet, env: Mapping[str, str], console: Console
    ) -> None:
        self.flags = flags
        self.args = flags.args
        self.global_flags = global_flags
        self.env = env
        self.console = console
        self._clusters: list[Cluster] = []

    def close(self) -> None:
        """Close the connections."""
        for cluster in self._clusters:
            cluster.close()

    @property
    def output(self) -> str:
        """The output format; it may be one that does not exist."""
        return self.global_flags.string("output")

    @property
    def debug(self) -> bool:
        return self.global_flags.boolean("debug")

    def deadline(self) -> float:
        """The time of the monotonic clock at which a command that begins now must have ended."""
        return time.monotonic() + self.global_flags.seconds("total-timeout")

    def string(self, flag: str, *variables: str) -> str:
        """A global flag, or else the first of the variables that says something."""
        texts = [self.global_flags.string(flag), *[self.env.get(name, "") for name in variables]]
        return next(filter(None, texts), "")

    # -- the cluster -------------------------------------------------------------------------------

    def keys(self) -> Keys:
        """The keys API of the cluster, whose endpoints are known by then.  Raises Complaint."""
        return Keys(self.synced_cluster())

    def synced_cluster(self) -> Cluster:
        """The cluster at the endpoints that its members publish.  Raises Complaint."""
        cluster = self.open_cluster()
        if not self.global_flags.boolean("no-sync"):
            self._sync(cluster)
        self._note(f"Cluster-Endpoints: {', '.join(cluster.endpoints)}")
        return cluster

    def given_cluster(self) -> Cluster:
        """The cluster at the endpoints that were given."""
        cluster = self.open_cluster()
        self._note(f"Cluster-Endpoints: {', '.join(cluster.endpoints)}")
        return cluster

    def auth(self) -> Auth:
        """The access control API, for one command.  Raises Complaint."""
        from petcd.client.v2.auth import Auth

        cluster = self.synced_cluster()
        self._note(f"Cluster-Endpoints: {', '.join(cluster.endpoints)}")
        return Auth(cluster, self.deadline())

    def open_cluster(self) -> Cluster:
        """No request is sent yet.  Raises Complaint."""
        cluster = Cluster(self._discovered() or self._given().split(","), self._settings())
        self._clusters.append(cluster)
        return cluster

    def _given(self) -> str:
        return (
            self.string("endpoints", "ETCDCTL_ENDPOINTS")
            or self.string("endpoint", "ETCDCTL_ENDPOINT")
            or self.string("peers", "ETCDCTL_PEERS")
            or DEFAULT_ENDPOINTS
        )

    def _discovered(self) -> list[str]:
        """Endpoints from DNS, empty when no domain is given.  Raises Complaint."""
        domain = self.string("discovery-srv", "ETCDCTL_DISCOVERY_SRV")
        if not domain:
            return []
        from petcd.client.srv import LookupFailed, discover_endpoints

        insecure = self.global_flags.boolean("insecure-discovery") or bool(
            self.env.get("ETCDCTL_INSECURE_DISCOVERY")
        )
        name = self.env.get("ETCDCTL_DISCOVERY_SRV_NAME", "")
        try:
            return discover_endpoints(domain, name, insecure, self.console.error_line)
        except LookupFailed as error:
            raise Complaint(str(error)) from None

    def _settings(self) -> Settings:
        total_s = self.global_flags.seconds("total-timeout")
        return Settings(
            dial_timeout_s=min(total_s or DIAL_TIMEOUT_S, DIAL_TIMEOUT_S),
            header_timeout_s=self.global_flags.seconds("timeout"),
            credentials=self._credentials(),
            tls=self._tls_context,
            trace=self._trace if self.debug else None,
        )

    def _credentials(self) -> tuple[str, str] | None:
        text = self.string("username", "ETCDCTL_USERNAME")
        return self.name_and_password(text, "Password: ") if text else None

    def name_and_password(self, text: str, prompt: str) -> tuple[str, str]:
        """Both from `name:password`; a password that is not there is asked for."""
        name, colon, password = text.partition(":")
        if not colon:
            from petcd.cli.ctl.password import ask_password

            password = ask_password(self.console, prompt)
        return name, password

    def _tls_context(self) -> ssl.SSLContext:
        import ssl

        authorities = self.string("ca-file", "ETCDCTL_CA_FILE")
        certificate = self.string("cert-file", "ETCDCTL_CERT_FILE")
        key = self.string("key-file", "ETCDCTL_KEY_FILE")
        try:
            context = ssl.create_default_context(cafile=authorities or None)
            if certificate:
                context.load_cert_chain(certificate, key or None)
        except OSError as error:
            raise Complaint(f"cannot use the TLS files: {error}") from None
        return context

    def _sync(self, cluster: Cluster) -> None:
        before = ",".join(cluster.endpoints)
        self._note(f"start to sync cluster using endpoints({before})")
        try:
            cluster.sync(self.deadline())
        except NoEndpoints as error:
            self.console.error_line("etcd cluster has no published client endpoints.")
            self.console.error_line(
                f"Try '--no-sync' if you want to access non-published client endpoints({before})."
            )
            raise complaint_of(error, SERVER_ERROR) from None
        except V2Failure as error:
            if is_connecting(error):
                raise complaint_of(error, BAD_CONNECTION) from None
        self._note(f"got endpoints({','.join(cluster.endpoints)}) after sync")

    def _note(self, text: str) -> None:
        if self.debug:
            self.console.error_line(text)

    def _trace(self, url: Url, request: Request) -> None:
        body = "" if request.body is None else f" -d {quote(request.body)}"
        shown = f"{url.scheme}://{url.host}{request.target}"
        self.console.error_line(f"cURL Command: curl -X {request.method} {shown}{body}")

    # -- arguments ---------------------------------------------------------------------------------

    def check_no_arguments(self) -> None:
        """Raises Complaint."""
        if self.args:
            raise Complaint("No arguments accepted")

    def key(self) -> str:
        """The first argument.  Raises Complaint."""
        if not self.args:
            raise Complaint("Error:  key required", BAD_ARGUMENTS)
        return self.args[0]

    def value(self) -> str:
        """The second argument, or all of stdin.  Raises Complaint."""
        if len(self.args) > 1:
            return self.args[1]
        text = self.console.stdin.read().decode("utf-8", "surrogateescape")
        if not text:
            raise Complaint("Error:  value required", BAD_ARGUMENTS)
        return text


def complaint_of(error: V2Failure, code: int) -> Complaint:
    """A failure as key commands tell it."""
    detail = f"\n{error.detail()}" if isinstance(error, ClusterUnavailable) else ""
    return Complaint(f"Error:  {error}{detail}", code)


@contextlib.contextmanager
def told_plainly(before: str = "") -> Iterator[None]:
    """Failures as the commands for members, users and roles tell them: the text, exit code 1."""
    try:
        yield
    except V2Failure as error:
        raise Complaint(f"{before}{error}", ERROR) from None
