"""Members of one cluster in this process: a loop without real time, a network without sockets.

The engine is the production one. Time moves from event to event; messages take a millisecond, syncs
no time unless a member's `slow_sync_s` says so.
"""

import heapq
import itertools
import random
from concurrent.futures import Future

from petcd.cluster import MemberInfo, cluster_id, member_id
from petcd.member.meta import load_applied
from petcd.raft.types import HardState
from petcd.server.config import default_config
from petcd.server.engine import Engine
from petcd.server.log import Logger
from petcd.server.opening import Opening
from petcd.server.surroundings import Surroundings
from petcd.storage.memory import MemoryBackend, MemoryStore
from petcd.storage.snapshot_store import settle_memory
from petcd.storage.wal_reader import Replay
from petcd.wire.hot import internal_request
from petcd.wire.internal import Metadata
from petcd.wire.kv import PutRequest

DELAY_S = 0.001
PUT = 4


class Handle:
    def __init__(self):
        self.cancelled = False

    def cancel(self):
        self.cancelled = True


class Clockwork:
    """A loop whose time jumps to the next event."""

    def __init__(self):
        self.now_s = 0.0
        self._order = itertools.count()
        self._events = []

    def time(self):
        return self.now_s

    def call_at(self, time_s, callback, *args):
        handle = Handle()
        event = (max(time_s, self.now_s), next(self._order), handle, callback, args)
        heapq.heappush(self._events, event)
        return handle

    def call_later(self, delay_s, callback, *args):
        return self.call_at(self.now_s + delay_s, callback, *args)

    def call_soon(self, callback, *args):
        return self.call_at(self.now_s, callback, *args)

    call_soon_threadsafe = call_soon

    def step(self):
        self.now_s, _, handle, callback, args = heapq.heappop(self._events)
        if not handle.cancelled:
            callback(*args)


class View:
    """The clockwork as one run of a member sees it: after its end nothing is called."""

    def __init__(self, clockwork):
        self._clockwork = clockwork
        self._held = None
        self.ended = False
        self.time = clockwork.time

    def call_at(self, time_s, callback, *args):
        return self._clockwork.call_at(time_s, self._run, callback, args)

    def call_later(self, delay_s, callback, *args):
        return self.call_at(self._clockwork.now_s + delay_s, callback, *args)

    def call_soon(self, callback, *args):
        return self.call_at(self._clockwork.now_s, callback, *args)

    call_soon_threadsafe = call_soon

    def _run(self, callback, args):
        if self._held is not None:
            self._held.append((callback, args))
        elif not self.ended:
            callback(*args)

    def pause(self):
        """Nothing is called until `resume`, as after SIGSTOP."""
        self._held = []

    def resume(self):
        held, self._held = self._held, None
        for callback, args in held:
            self.call_soon(callback, *args)


class Worker:
    """Does the work at once and says so after a while."""

    def __init__(self, view, delay_s):
        self._view = view
        self._delay_s = delay_s

    def submit(self, work, /, *args):
        future = Future()
        self._view.call_later(self._delay_s(), self._finish, future, work, args)
        return future

    @staticmethod
    def _finish(future, work, args):
        try:
            result = work(*args)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)


class MemoryLog:
    """A write-ahead log of which the synced part survives."""

    def __init__(self, metadata):
        self.metadata = metadata
        self.start = (0, 0)
        self._synced = ([], HardState())
        self._entries = []
        self._hard_state = HardState()

    def save(self, hard_state, entries):
        if hard_state is not None:
            self._hard_state = hard_state
        if entries:
            self._entries = [e for e in self._entries if e.index < entries[0].index] + entries

    def sync(self):
        self._synced = (list(self._entries), self._hard_state)

    def save_snapshot(self, index, term, conf_state):
        self.sync()
        self.start = (index, term)

    def release_to(self, index):
        """Everything is kept."""

    def purge(self, segments_max):
        return []

    def close(self):
        self.sync()

    def lose_unsynced(self):
        entries, self._hard_state = self._synced
        self._entries = list(entries)

    def replay(self):
        replay = Replay()
        replay.metadata = self.metadata
        replay.hard_state = self._hard_state
        replay.entries = [e for e in self._entries if e.index > self.start[0]]
        return replay


class Net:
    """Delivers messages to whoever runs under the id, unless the way is cut."""

    def __init__(self, clockwork):
        self._clockwork = clockwork
        self.nodes = {}
        self._cut = set()
        self._sent = {}
        self.doubles = False
        self.dropped_kinds = set()

    def cut(self, name):
        self._cut.add(name)

    def heal(self):
        self._cut.clear()

    def sent_of(self, name):
        return self._sent.get(name, 0)

    def post(self, sender, message):
        self._sent[sender] = self.sent_of(sender) + 1
        if message.type in self.dropped_kinds:
            return
        for _ in range(2 if self.doubles else 1):
            self._clockwork.call_later(DELAY_S, self._deliver, sender, message)

    def ask(self, sender, member_id, target, body, done):
        node = self.nodes.get(member_id)
        if not node or not node.running or {sender, node.name} & self._cut:
            self._clockwork.call_later(DELAY_S, done, 0, b"")
            return

        def respond(status, body):
            self._clockwork.call_later(DELAY_S, done, status, body)

        handle = node.engine.peer_requests.handle
        self._clockwork.call_later(DELAY_S, handle, target, body, respond)

    def post_snapshot(self, sender, message, body):
        """A second for the body; both sides hear how it went."""
        self._clockwork.call_later(1.0, self._deliver_snapshot, sender, message, body)

    def _deliver_snapshot(self, sender, message, body):
        source, node = self.nodes[message.from_], self.nodes.get(message.to)
        arrives = node and node.running and not {sender, node.name} & self._cut
        if arrives:
            node.engine.mailbox.snapshot_received(message, body)
        if source.running:
            source.engine.mailbox.snapshot_sent(message.to, bool(arrives))

    def _deliver(self, sender, message):
        node = self.nodes.get(message.to)
        if node and node.running and not {sender, node.name} & self._cut:
            node.engine.mailbox.received(message)


class Port:
    """One member's side of the net."""

    def __init__(self, net, name):
        self._net = net
        self._name = name
        self.peers = {}

    def send(self, messages):
        for message in messages:
            if message.to in self.peers:
                self._net.post(self._name, message)

    def send_snapshot(self, message, snapshot, size_bytes):
        self._net.post_snapshot(self._name, message, snapshot)

    def ask(self, member_id, target, body, timeout_s, done):
        """A request to the peer port, there and back."""
        self._net.ask(self._name, member_id, target, body, done)

    def add(self, member_id, peer_urls):
        self.peers[member_id] = tuple(peer_urls)

    update = add

    def remove(self, member_id):
        self.peers.pop(member_id, None)

    def active_since_s(self, member_id):
        node = self._net.nodes.get(member_id)
        reachable = node and node.running and not {node.name, self._name} & self._net._cut
        return node.started_s if reachable else None


class Node:
    """One member: what it keeps on disk, and its present run."""

    def __init__(self, cluster, name, info, founders, directory):
        self.cluster = cluster
        self.name = name
        self.id = info.id
        self.config = default_config(directory, name=name, **cluster.settings)
        self.founders = founders
        self.store = MemoryStore()
        self.log = None
        self.running = False
        self.published = False
        self.deaths = []
        self.told_of_removal = False
        self.slow_sync_s = 0.0
        self.started_s = 0.0

    @property
    def member(self):
        return self.engine.member

    def start(self, hosts=()):
        cluster = self.cluster
        self._view = view = View(cluster.loop)
        opening = Opening(self.config, cluster.random.randrange)
        settle_memory(
            self.store,
            lambda staged: load_applied(staged)[0],
            lambda index: self.log.start[0] == index,
        )
        backend = MemoryBackend(self.store)
        if self.log is None:
            identity = Metadata(NodeID=self.id, ClusterID=cluster.id)
            self.log = MemoryLog(identity.encode())
            if self.founders:
                opened = opening.found(self.log, backend, identity, self.founders)
            else:
                opened = opening.join(self.log, backend, identity)
        else:
            replay = self.log.replay()
            opened = opening.reopen(
                self.log, replay, self.log.start, backend, lambda _: self.founders
            )
        surroundings = Surroundings(
            view,
            Worker(view, lambda: self.slow_sync_s),
            Worker(view, lambda: 0.002),
            self._stopwatch,
            lambda: int(cluster.loop.now_s * 1e9) + cluster.wall_start_ns,
            cluster.random.randrange,
        )
        self.port = Port(cluster.net, self.name)
        self.engine = Engine(
            opened,
            self.port,
            surroundings,
            self.config,
            cluster.lines,
            self.deaths.append,
            self.port,
        )
        self._watched = 0.0
        self.running, self.published = True, False
        self.started_s = cluster.loop.now_s
        self.engine.removed = self._removed
        self.engine.start(self._publish, hosts)

    def _removed(self):
        self.told_of_removal = True

    def _publish(self):
        self.published = True

    def _stopwatch(self):
        """A slow disk shows on the stopwatch, so that syncs leave the loop."""
        self._watched += self.slow_sync_s
        return self.cluster.loop.now_s + self._watched

    def pause(self):
        """As by SIGSTOP; what is sent to the member meanwhile is lost."""
        self.running = False
        self._view.pause()

    def resume(self):
        self.running = True
        self._view.resume()

    def end(self):
        self.running = False
        self._view.ended = True


class Cluster:
    """Nodes by name; the time of all of them."""

    def __init__(self, names, directory, **settings):
        self.settings = settings
        self.loop = Clockwork()
        self.net = Net(self.loop)
        self.random = random.Random(1)
        self.lines = Logger("fatal", "json", ())
        self.wall_start_ns = 1_700_000_000 * 10**9
        self._directory = directory
        self.nodes = {}
        infos = [MemberInfo(member_id([url(n)], "t"), (url(n),), n) for n in names]
        self.id = cluster_id(info.id for info in infos)
        for info in infos:
            self._place(info.name, info, infos)
        for name in names:
            self.start(name)

    def _place(self, name, info, founders):
        node = Node(self, name, info, founders, f"{self._directory}/{name}")
        self.nodes[name] = self.net.nodes[info.id] = node

    def __getitem__(self, name):
        return self.nodes[name]

    def join(self, name, info, hosts):
        """A member that the cluster has added starts for the first time."""
        self._place(name, info, ())
        self.nodes[name].start(hosts)

    def start(self, name):
        self.nodes[name].start()

    def stop(self, name):
        """A kill: what was written is kept."""
        self.nodes[name].log.sync()
        self.nodes[name].end()

    def crash(self, name):
        """A loss of power: what was not synced is gone."""
        self.nodes[name].log.lose_unsynced()
        self.nodes[name].end()

    def run(self, duration_s):
        end_s = self.loop.now_s + duration_s
        self.loop.call_at(end_s, lambda: None)
        while self.loop.now_s < end_s:
            self.loop.step()
            self._check()

    def run_until(self, condition, limit_s=5.0):
        end_s = self.loop.now_s + limit_s
        self.loop.call_at(end_s, lambda: None)
        while not condition():
            assert self.loop.now_s < end_s, f"not within {limit_s} s"
            self.loop.step()
            self._check()

    def _check(self):
        for node in self.nodes.values():
            if node.deaths:
                raise node.deaths[0]

    def leader(self, besides=None):
        leading = [
            (node.member.term, name)
            for name, node in self.nodes.items()
            if node.running and name != besides and node.member.is_leader
        ]
        return max(leading)[1] if leading else None

    def followers(self):
        leader = self.leader()
        return [name for name, node in self.nodes.items() if node.running and name != leader]

    def put(self, name, key, value):
        """Propose a put at a member; the list returned gets the outcome."""
        outcome = []
        runtime = self.nodes[name].engine.runtime
        request_id = runtime.next_request_id()
        data = internal_request(request_id, PUT, PutRequest(key=key, value=value).encode())
        runtime.propose(request_id, data, lambda context, what: outcome.append(what), None)
        return outcome

    def read(self, name, key):
        """A linearizable read at a member; the list returned gets the encoded pair or a refusal."""
        outcome = []
        member = self.nodes[name].member

        def serve(context, refusal):
            outcome.append(member.store.get(key) if refusal is None else refusal)

        self.nodes[name].engine.runtime.read(serve, None)
        return outcome


def url(name):
    return f"http://{name}:2380"
