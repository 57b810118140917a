"""What the services ask of the process they run in.

The services translate; the host owns the loop, the log and the member. The seam is callbacks, not
coroutines: an outcome belongs to a batch of hundreds, and one plain call each is what a batch can
afford.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol

from petcd.member import Member
from petcd.wire.kv import RangeRequest

# Called as finish(context, outcome) once the request is applied, refused or timed out.
# The outcome of a refusal is an exception.
Finish = Callable[[Any, object], None]


class Export(Protocol):
    """A snapshot file, ready to be read; `digest` is its SHA-256."""

    size_bytes: int
    digest: bytes

    def read(self, size: int) -> bytes:
        """The next bytes; fewer at the end."""
        ...

    def close(self) -> None:
        """The file is not needed any more; any thread."""
        ...


class LongWork(Protocol):
    """Work on the backend that takes longer than a turn of the loop."""

    def in_use_bytes(self) -> int:
        """Bytes in use in the backend."""
        ...

    def file_bytes(self) -> int:
        """Size of the backend's file."""
        ...

    def when_compacted(self, revision: int, done: Callable[[], None]) -> None:
        """Call back when rows below the revision are gone and the backend is on disk."""
        ...

    def hash_all(self, finish: Finish, context: Any) -> None:
        """Hash of all buckets, off the loop: the outcome is (hash, current revision)."""
        ...

    def export(self, finish: Finish, context: Any) -> None:
        """Make a snapshot file, off the loop; the outcome is an Export, for `end_export`."""
        ...

    def end_export(self, export: Export) -> None:
        """Let an export's file go."""
        ...

    def defragment(self, finish: Finish, context: Any) -> None:
        """Compact the backend's file in the background; the outcome is None."""
        ...


class Reconfiguring(Protocol):
    """Changes of the cluster's members and of its leader.

    The outcome is the list of members (MemberInfo) after the change, or an exception.
    """

    def add(self, peer_urls: Sequence[str], is_learner: bool, finish: Finish, context: Any) -> None:
        """Add a member; the outcome is (the new member, all members)."""
        ...

    def remove(self, member_id: int, finish: Finish, context: Any) -> None:
        """Remove a member."""
        ...

    def update(
        self, member_id: int, peer_urls: Sequence[str], finish: Finish, context: Any
    ) -> None:
        """Change the peer URLs of a member."""
        ...

    def promote(self, member_id: int, finish: Finish, context: Any) -> None:
        """Make a learner a voter."""
        ...

    def move_leader(self, to: int, finish: Finish, context: Any) -> None:
        """Hand the lead to another member; the outcome is None."""
        ...


class LeaseKeeping(Protocol):
    """What only the leader knows of leases, wherever it is asked."""

    def renew(self, lease_id: int, finish: Finish, context: Any) -> None:
        """Start the lease's time again; the outcome is its time to live, 0 when it is gone."""
        ...

    def time_to_live(self, lease_id: int, keys: bool, finish: Finish, context: Any) -> None:
        """The outcome is ((seconds left, seconds granted), keys if asked) or LeaseNotFound."""
        ...


class Host(Protocol):
    """The running member as the services see it."""

    member: Member
    long_work: LongWork
    reconfiguration: Reconfiguring
    leases: LeaseKeeping
    header_prefix: bytes
    max_request_bytes: int
    max_txn_ops: int
    # What is left of the quota, looked up once a turn; a write that costs this much is refused.
    room_bytes: int

    def next_request_id(self) -> int:
        """A request id that is unique in the cluster and over restarts."""
        ...

    def propose(self, request_id: int, data: bytes, finish: Finish, context: Any) -> None:
        """Put an encoded internal request into the log and call back with its outcome."""
        ...

    def read(self, serve: Callable[[Any, object], None], context: Any) -> None:
        """Call serve(context, None) as soon as a linearizable read may be served.

        The second argument is an exception when it may not.
        """
        ...

    def monotonic_s(self) -> float:
        """The clock that leases are measured with."""
        ...

    def range_ended(self, started_s: float, request: RangeRequest, response_bytes: int) -> None:
        """A range that began then (`monotonic_s`) is answered: a warning if it took too long."""
        ...

    def raise_nospace(self) -> None:
        """Propose the NOSPACE alarm for this member, unless that is under way."""
        ...

    def drive(self, steps: Generator[object, None, Any], done: Finish, context: Any) -> None:
        """Run sliced work on the loop, in turns with other work; done gets its return value."""
        ...
