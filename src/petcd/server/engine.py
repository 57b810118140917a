"""One member's machinery put together: what a process and the simulator run alike.

    opened data, network, surroundings, settings  ->  Engine
                                                       runtime      turns
                                                       committer    the backend reaches the disk
                                                       truncation   the log is cut
                                                       operations   long work
                                                       timers       what goes by the clock
                                                       hub, audience  watches
                                                       publication  the member names itself

It opens nothing and listens to nothing; `serve` and the simulator do, each in its way.
"""

from collections.abc import Callable, Sequence

from petcd.cluster import MemberInfo
from petcd.member import Member
from petcd.mvcc.watch_hub import WatchHub
from petcd.server.audience import Audience
from petcd.server.auto_compaction import auto_compaction
from petcd.server.cluster_version import AskVersions, ClusterVersion, all_alike
from petcd.server.committer import Committer
from petcd.server.config import ServerConfig
from petcd.server.leases import Leases
from petcd.server.log import LogLines
from petcd.server.long_jobs import LongJobs
from petcd.server.network import Network, NoCalls, PeerCalls
from petcd.server.opening import Opened
from petcd.server.operations import Operations
from petcd.server.peer_requests import PeerRequests
from petcd.server.peers import Peers
from petcd.server.publication import Publication
from petcd.server.pump import Pump
from petcd.server.reconfiguration import Reconfiguration
from petcd.server.runtime import Runtime
from petcd.server.slowness import Slowness
from petcd.server.snapshot_receiver import SnapshotReceiver
from petcd.server.snapshot_sender import SnapshotSender
from petcd.server.snapshots import MemberSnapshots
from petcd.server.surroundings import Surroundings
from petcd.server.timers import Timers, progress_interval_s
from petcd.server.truncation import Truncation
from petcd.storage.backend import Batch
from petcd.storage.snapshot_store import snapshots_of
from petcd.wire.hot import header_bytes, header_prefix

# gRPC's receive limit is the request limit and this much for its envelope, as in etcd.
GRPC_OVERHEAD_BYTES = 512 * 1024

# How long, and how often, a starting member looks for its peers; etcd's.
PEERS_AWAITED_S = 5.0
PEERS_LOOK_S = 0.05


class Engine:
    """A member that runs once it is started. All methods belong to the loop's thread."""

    def __init__(
        self,
        opened: Opened,
        network: Network,
        surroundings: Surroundings,
        config: ServerConfig,
        log: LogLines,
        die: Callable[[BaseException], None],
        calls: PeerCalls | None = None,
        ask_versions: AskVersions = all_alike,
    ) -> None:
        """`die` is called when the member cannot go on: it must take no further turn."""
        self.opened = opened
        self.member: Member = opened.member
        self.quota = opened.quota
        self._surroundings = surroundings
        self._config = config
        self._log = log
        # Called once this member has applied its own removal.
        self.removed: Callable[[], None] = lambda: None
        self._told_of_removal = False
        self._ask_versions = ask_versions
        self._calls: PeerCalls = NoCalls() if calls is None else calls
        member = self.member
        self.committer: Committer[Batch] = Committer(
            surroundings,
            opened.backend,
            lambda: member.applied_index,
            die,
            config.backend_batch_interval_s,
            config.backend_batch_limit,
        )
        self.slowness = Slowness(
            log,
            surroundings.loop.time,
            config.warning_apply_s,
            config.warning_unary_request_s,
            config.heartbeat_ms / 1000,
        )
        self._jobs = LongJobs(surroundings)
        self._snapshots = snapshots_of(opened.backend)
        self.operations = Operations(
            surroundings, member, opened.backend, self.committer, self._jobs, self._snapshots, die
        )
        self._assemble_watches()
        self._assemble_runtime(network, die)
        self.timers = self._assemble_timers()

    def _assemble_watches(self) -> None:
        member = self.member
        prefix = header_prefix(member.membership.cluster_id, member.id)
        self.hub = WatchHub(
            member.store,
            lambda revision: header_bytes(prefix, revision, member.term),
            lambda: self._watch_pump.start(),
            self._config.max_request_bytes + GRPC_OVERHEAD_BYTES,
        )
        self._watch_pump = Pump(self._surroundings.loop, self.hub.catch_up_step)
        self.audience = Audience(self._surroundings.loop, self.hub, member.applier.v2)

    def _assemble_runtime(self, network: Network, die: Callable[[BaseException], None]) -> None:
        config, opened = self._config, self.opened
        backend, quota = opened.backend, opened.quota
        self.runtime = Runtime(
            self._surroundings,
            network,
            self.member,
            opened.log,
            self.audience,
            self.committer,
            self.operations,
            lambda: quota.room_bytes(backend.size_in_use()),
            die,
            self._log,
            self.slowness,
            config.election_ms / 1000,
            config.request_timeout_s,
            config.max_request_bytes,
            config.max_txn_ops,
        )
        self.mailbox = self.runtime.mailbox
        self.reconfiguration = self.runtime.reconfiguration = Reconfiguration(
            self.runtime,
            self._surroundings,
            self._calls,
            self._log,
            config.strict_reconfig_check,
            config.heartbeat_ms / 1000,
            config.election_ms / 1000,
            config.request_timeout_s,
        )
        self.leases = self.runtime.leases = Leases(
            self.runtime, self._surroundings.loop, self._calls, config.request_timeout_s
        )
        self.cluster_version = ClusterVersion(
            self.runtime, self._surroundings.loop, self._ask_versions, self._log
        )
        self.peer_requests = PeerRequests(self.reconfiguration, self.leases)
        self.peers = Peers(self.member.membership, network, self.mailbox.send_held)
        self._assemble_snapshots(network, die)
        self.truncation = Truncation(
            self.member,
            opened.log,
            backend,
            self.committer,
            opened.snapshot_index,
            config.snapshot_count,
            config.snapshot_catchup_entries,
            config.max_wals,
            self.runtime.effects.save_hard_state,
            self._sender.wants,
            self._surroundings.stopwatch_s,
        )
        self.runtime.after_turn += [
            self._receiver.turn_ended,
            self._tell_of_removal,
            self.peers.follow,
            self._cut_log,
            self.operations.maybe_compact,
        ]

    def _cut_log(self) -> None:
        """A cut is written into the log, so it waits while a worker is there."""
        if not self.runtime.is_syncing:
            self.truncation.maybe_finish()
        self.truncation.maybe_start()

    def _assemble_snapshots(self, network: Network, die: Callable[[BaseException], None]) -> None:
        opened, mailbox, runtime = self.opened, self.mailbox, self.runtime
        self._sender = SnapshotSender(
            self._surroundings.loop,
            opened.backend,
            self.committer,
            self._jobs,
            self._snapshots,
            network,
            self.member,
            mailbox.snapshot_failed,
            self._log,
        )
        self._receiver = SnapshotReceiver(
            self.member,
            opened.log,
            runtime.effects.save_hard_state,
            self.committer,
            self._jobs,
            self._snapshots,
            runtime.drive,
            mailbox.snapshot_ready,
            self._installed,
            die,
            self._log,
        )
        mailbox.snapshots = MemberSnapshots(self._sender, self._receiver)

    @property
    def is_receiving_snapshot(self) -> bool:
        """Whether a snapshot of the leader's is being made ready or installed."""
        return self._receiver.is_busy

    def _tell_of_removal(self) -> None:
        """Say so; turns go on until somebody stops them, so that the others learn of it."""
        if self.member.is_removed and not self._told_of_removal:
            self._told_of_removal = True
            self.removed()

    def _installed(self, index: int) -> None:
        """A snapshot of `index` took the place of log and state machines."""
        self.truncation.installed(index)
        self.audience.skip_to(self.member.store.revision)
        self._publication.look_again()

    def _assemble_timers(self) -> Timers:
        config = self._config
        randrange = self._surroundings.randrange
        return Timers(
            self._surroundings,
            self.runtime,
            self.cluster_version,
            self.quota,
            auto_compaction(config.auto_compaction_mode, config.auto_compaction_retention),
            self._log,
            config.heartbeat_ms / 1000,
            config.backend_batch_interval_s,
            self.committer.maybe_commit,
            config.lease_checkpoint,
            progress_interval_s(config.watch_progress_interval_s, randrange),
            self.hub.progress_tick,
        )

    def start(self, published: Callable[[], None], hosts: Sequence[MemberInfo] = ()) -> None:
        """Begin to take turns; `published` is called once this member's name is in the log.

        `hosts`: the members of the cluster that this member joins.
        """
        self.peers.assume(hosts)
        config, runtime = self._config, self.runtime
        self._publication = Publication(
            self.member,
            runtime.propose,
            runtime.next_request_id,
            config.name,
            config.advertise_client_urls,
            # A member alone decides its version at once, others when somebody leads them.
            lambda: (
                self.cluster_version.decide(published) if self.member.decides_alone else published()
            ),
        )
        self.timers.start()
        if config.initial_election_tick_advance:
            self._look_for_peers(self._surroundings.loop.time() + PEERS_AWAITED_S)
        runtime.turn()  # the founding entries must be applied before an election
        if self.member.decides_alone:
            self.member.node.campaign()
        runtime.schedule_turn()
        self._publication.start()

    def _look_for_peers(self, until_s: float) -> None:
        """Once the peers are reached, an election need not wait for its whole time-out.

        Those that are connected would have been heard of a leader, or soon will.
        """
        member, loop = self.member, self._surroundings.loop
        if member.leader_id or loop.time() > until_s:
            return
        others = [m.id for m in member.membership.members() if m.id != member.id]
        if others and self.runtime.connections.count_connected(others, loop.time()) > 1:
            for _ in range(self._config.election_ms // self._config.heartbeat_ms - 2):
                member.tick()
            return
        loop.call_later(PEERS_LOOK_S, self._look_for_peers, until_s)

    def stop(self) -> None:
        """Refuse what waits and take no more turns; `finish` when the workers are idle."""
        self.timers.stop()
        self.runtime.stop()
        self._jobs.stop()

    def finish(self) -> None:
        """Everything is durable afterwards. No work may be under way at the workers."""
        self.runtime.effects.save_hard_state()
        self.committer.commit_now()
