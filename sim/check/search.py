"""Linearizability by search, for anything with a sequential specification.

    is_linearizable(calls, state, step)        one object
    check_registers(operations)                each key on its own, by values and versions only

The search takes one operation after the other that may come next (it was called before any other
remaining one had returned), asks the specification for its response, and goes back when it differs.
What was tried is remembered as (operations done, state), so the same state is never entered twice.
A call without a response may come anywhere after its call, or not at all.

Linearizability is local: a history is linearizable if it is for each object alone. So histories
that touch one key at a time are judged key by key, and the search stays small.
Source: Wing and Gong, "Testing and Verifying Concurrent Objects"; Lowe, "Testing for
Linearizability" (the memo); Herlihy and Wing (locality).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from math import inf
from typing import Any, NamedTuple

from sim.check.history import (
    Compare,
    Delete,
    DeleteResponse,
    Operation,
    Put,
    PutResponse,
    Range,
    RangeResponse,
    Refused,
    Txn,
    TxnResponse,
    Violation,
)

Step = Callable[[Any, Any], tuple[Any, Hashable]]
"""(state, request) -> (response, next state)."""


class Call(NamedTuple):
    """One operation on the object; `response` None: not known, then `return_s` is infinite."""

    call_s: float
    return_s: float
    request: Any
    response: Any


def is_linearizable(calls: Sequence[Call], state: Hashable, step: Step) -> bool:
    """Whether some order of the calls respects real time and gives every known response."""
    ordered = sorted(calls, key=lambda call: call.call_s)
    wanted = sum(1 << i for i, call in enumerate(ordered) if call.response is not None)
    tried: set[tuple[int, Hashable]] = set()
    stack: list[tuple[int, Hashable]] = [(0, state)]
    while stack:
        done, state = stack.pop()
        if done & wanted == wanted:
            return True
        if (done, state) in tried:
            continue
        tried.add((done, state))
        for index in _may_be_next(ordered, done):
            call = ordered[index]
            response, after = step(state, call.request)
            if call.response is None or call.response == response:
                stack.append((done | 1 << index, after))
    return False


def _may_be_next(ordered: Sequence[Call], done: int) -> list[int]:
    """Remaining calls that no remaining one has preceded; the earliest returned last."""
    first_return_s = inf
    found = []
    start = (~done & done + 1).bit_length() - 1  # everything before is done
    for index in range(start, len(ordered)):
        call = ordered[index]
        if call.call_s > first_return_s:
            break
        if not done >> index & 1:
            found.append(index)
            first_return_s = min(first_return_s, call.return_s)
    return sorted(found, key=lambda index: -ordered[index].return_s)


# ---- keys as registers ---------------------------------------------------------------------------


def check_registers(operations: Sequence[Operation]) -> list[Violation]:
    """Judge operations on single keys by values and versions, whatever their revisions.

    Requests: Put (without ignore flags), Range and Delete of one key, Txn that compares values and
    versions of one key and touches no other. Raises `ValueError` for any other request.
    """
    by_key: dict[bytes, list[Call]] = defaultdict(list)
    for op in operations:
        if type(op.response) is not Refused:
            response = None if op.response is None else _plain(op.response)
            return_s = inf if op.return_s is None else op.return_s
            by_key[_key_of(op.request)].append(Call(op.call_s, return_s, op.request, response))
    return [
        Violation("a key is not linearizable", f"{key!r}: {len(calls)} operations")
        for key, calls in by_key.items()
        if not is_linearizable(calls, _MISSING, _step)
    ]


_MISSING = (b"", 0)
"""(value, version) of a key that does not exist."""


def _key_of(request: Any) -> bytes:
    if type(request) is Txn:
        parts = request.compares + request.then + request.otherwise
        keys = {_key_of(part) for part in parts}
        if len(keys) != 1:
            raise ValueError(f"touches several keys: {request}")
        return keys.pop()
    if not isinstance(request, Put | Range | Delete | Compare):
        raise ValueError(f"not a request for one key: {request}")
    if not isinstance(request, Put) and request.end:
        raise ValueError(f"touches several keys: {request}")
    return request.key


def _plain(response: Any) -> Any:
    """A response without revisions."""
    if type(response) is RangeResponse:
        return [(kv.value, kv.version) for kv in response.kvs]
    if type(response) is PutResponse:
        return "put"
    if type(response) is DeleteResponse:
        return response.deleted
    assert type(response) is TxnResponse, response
    return response.succeeded, [_plain(one) for one in response.responses]


def _step(state: tuple[bytes, int], request: Any) -> tuple[Any, tuple[bytes, int]]:
    value, version = state
    if type(request) is Put:
        return "put", (request.value, version + 1)
    if type(request) is Range:
        return ([(value, version)] if version else []), state
    if type(request) is Delete:
        return int(version > 0), _MISSING
    succeeded = all(_holds(compare, value, version) for compare in request.compares)
    answers = []
    for one in request.then if succeeded else request.otherwise:
        answer, state = _step(state, one)
        answers.append(answer)
    return (succeeded, answers), state


def _holds(compare: Compare, value: bytes, version: int) -> bool:
    if compare.target == "value":
        equal = version > 0 and value == compare.operand
        return equal if compare.result == "equal" else version > 0 and not equal
    if compare.target != "version" or compare.result not in ("equal", "not_equal"):
        raise ValueError(f"not to be judged without revisions: {compare}")
    return (version == compare.operand) == (compare.result == "equal")
