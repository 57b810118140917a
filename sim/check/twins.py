"""Which open operations are as good as each other: symmetry for the search of `linear`.

    Put(k, x) and Put(k, y)       open, and nobody was ever shown x or y, or asked for them

Whoever of them fills a gap, everybody sees the same; and each fits wherever later gaps want another
one, for what was called in time for a gap was called in time for all later ones. So a gap tries one
of a kind, and two branches that used equally many of each kind are in the same place.
Source: the symmetry reduction of model checking, Ip and Dill 1996.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

from sim.check.history import Operation, Put, Revoke, Txn
from sim.check.v2_records import V2Delete, V2Set


def unseen_values(
    operations: Iterable[Operation], opened: Iterable[Operation], shown: Iterable[bytes]
) -> frozenset[bytes]:
    """Values that `opened` may write, that are not among those `shown`, and that no request
    compares with."""
    found = {value for op in opened for value in _values(op.request)}
    asked = {value for op in operations for value in _asked(op.request)}
    return frozenset(found.difference(asked, shown, (b"",)))


def kinds_of(opened: Sequence[Operation], unseen: frozenset[bytes]) -> list[Hashable]:
    """By operation: equal for those that are as good as each other."""
    kinds: list[Hashable] = []
    for index, op in enumerate(opened):
        # A revoke that was answered has a date by which it must be placed.
        is_due = type(op.request) is Revoke and op.return_s is not None
        kinds.append(index if is_due else _blind(op.request, unseen))
    return kinds


def _blind(request: Any, unseen: frozenset[bytes]) -> Any:
    """A request without what makes no difference."""
    kind: Any = request
    if type(request) is Txn:
        then = tuple([_blind(one, unseen) for one in request.then])
        otherwise = tuple([_blind(one, unseen) for one in request.otherwise])
        return Txn(request.compares, then, otherwise)
    if type(request) is Put and request.value in unseen:
        kind = request._replace(value=b"", prev_kv=False)
    elif type(request) is V2Set and request.value in unseen:
        kind = request._replace(value=b"", ttl_s=min(1, request.ttl_s))
    return kind if kind is request else ("unseen", kind)


def _values(request: Any) -> Iterator[bytes]:
    if type(request) is Txn:
        for one in request.then + request.otherwise:
            yield from _values(one)
    elif type(request) in (Put, V2Set):
        yield request.value


def _asked(request: Any) -> Iterator[bytes]:
    if type(request) is Txn:
        for compare in request.compares:
            if compare.target == "value":
                assert isinstance(compare.operand, bytes)
                yield compare.operand
        for one in request.then + request.otherwise:
            yield from _asked(one)
    elif type(request) in (V2Set, V2Delete):
        yield request.prev_value
