"""What can be wrong with a request to the store: one exception class per fault, carrying data.

No text for users here: the API translates a class and its data into etcd's code and message.
All of them are decided from the request and replicated state alone, so that every member raises
the same one for the same log entry; none is raised after something was written.
"""

from __future__ import annotations


class MvccError(Exception):
    """Base of all refusals by the store."""


class Compacted(MvccError):
    """The asked-for revision lies below the compacted one (for a compaction: not above it)."""

    def __init__(self, requested: int, compacted: int) -> None:
        super().__init__(requested, compacted)
        self.requested = requested
        self.compacted = compacted


class FutureRevision(MvccError):
    """The asked-for revision is above the store's."""

    def __init__(self, requested: int, current: int) -> None:
        super().__init__(requested, current)
        self.requested = requested
        self.current = current


class LeaseNotFound(MvccError):
    """A put names a lease that does not exist."""

    def __init__(self, lease_id: int) -> None:
        super().__init__(lease_id)
        self.lease_id = lease_id


class KeyNotFound(MvccError):
    """``ignore_value`` or ``ignore_lease`` on a missing key; ``b""``: a txn op without content."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.key = key


class EmptyKey(MvccError):
    """A request, operation or comparison without a key."""


class ValueProvided(MvccError):
    """A value together with ``ignore_value``."""


class LeaseProvided(MvccError):
    """A lease together with ``ignore_lease``."""


class InvalidSortOption(MvccError):
    """A sort order or target that does not exist."""

    def __init__(self, order: int, target: int) -> None:
        super().__init__(order, target)
        self.order = order
        self.target = target


class TooManyOperations(MvccError):
    """One of a transaction's lists is longer than allowed."""

    def __init__(self, operations: int, operations_max: int) -> None:
        super().__init__(operations, operations_max)
        self.operations = operations
        self.operations_max = operations_max


class DuplicateKey(MvccError):
    """A transaction's branch puts ``key`` twice, or puts and deletes it."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.key = key


class StoreReplaced(MvccError):
    """A reading in slices was overtaken: the store holds an installed snapshot by now.

    Not decided by the log, and never the outcome of an entry.
    """
