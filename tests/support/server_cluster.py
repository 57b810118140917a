"""Real servers of one cluster in this process: sockets on loopback, disks in a directory."""

import asyncio
import http.client
import json
import socket
import threading

import uvloop

from petcd.client.connection import Connection
from petcd.server.config import default_config
from petcd.server.log import Logger
from petcd.server.serve import Server


def free_port():
    """A port that nobody uses now; the kernel does not give it out again soon."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class ServerCluster:
    """Servers by name, all on one loop in a thread of its own."""

    def __init__(self, directory, names):
        self._directory = directory
        self.peer_urls = {name: f"http://127.0.0.1:{free_port()}" for name in names}
        self.servers = {}
        self._logs = []
        self._connections = {}
        self._sockets = {}
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work, timeout_s=20.0):
        """Run a coroutine on the loop of the servers."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def make(self, name, **settings):
        """A server that is not started yet."""
        named = settings.pop("initial_cluster", None) or ",".join(
            f"{one}={url}" for one, url in self.peer_urls.items()
        )
        config = default_config(
            f"{self._directory}/{settings.pop('directory', name)}",
            name=name,
            listen_client_urls=("http://127.0.0.1:0",),
            advertise_client_urls=(f"http://{name}:2379",),
            listen_peer_urls=(self.peer_urls[name],),
            initial_advertise_peer_urls=(self.peer_urls[name],),
            initial_cluster=named,
            heartbeat_ms=20,
            election_ms=200,
            **settings,
        )
        log = Logger("info", "json", (f"{self._directory}/{name}.log",))
        self._logs.append(log)
        self.servers[name] = Server(config, log)
        return self.servers[name]

    def start(self, *names, **settings):
        """Start servers and wait until all of them serve."""
        servers = [self.make(name, **settings) for name in names]

        async def starting():
            await asyncio.gather(*[server.start() for server in servers])

        self.run(starting())

    def stop(self, name):
        """Stop as SIGTERM does."""
        for sock in self._sockets.pop(name, ()):
            sock.close()
        self._connections.pop(name, None)
        self.run(self.servers.pop(name).stop())

    def engine(self, name):
        return self.servers[name]._engine

    def log_of(self, name):
        with open(f"{self._directory}/{name}.log") as file:
            return file.read()

    def call(self, name, path, request, answer, timeout_s=15.0):
        """One unary call; raises ClientError."""
        if name not in self._connections:
            sock = socket.create_connection(self.servers[name].client_addresses[0])
            sock.setblocking(False)
            self._sockets[name] = [sock]
            self._connections[name] = Connection(sock, "test")
        return answer.decode(self._connections[name].unary(path, request.encode(), timeout_s))

    def http(self, name, target, form=None):
        """(status, JSON) of a GET, or of a PUT with a form."""
        host, port = self.servers[name].client_addresses[0]
        connection = http.client.HTTPConnection(host, port, timeout=10)
        try:
            if form is None:
                connection.request("GET", target)
            else:
                kind = {"Content-Type": "application/x-www-form-urlencoded"}
                connection.request("PUT", target, form, kind)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def leader(self):
        """The name of the server that leads, None when none does."""
        for name in self.servers:
            engine = self.engine(name)
            if engine is not None and engine.member.is_leader:
                return name
        return None

    def close(self):
        for name in list(self.servers):
            self.stop(name)
        for log in self._logs:
            log.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
