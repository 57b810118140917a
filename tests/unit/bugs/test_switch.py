"""Switches of the museum: they go in, they come out, and they notice when their target is gone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from petcd.raft import candidate, election
from petcd.raft.log import RaftLog
from sim.bugs import EXHIBITS, expected, names, switched
from sim.bugs.switch import Patch, Rotten, applied, everywhere


def state() -> dict[tuple[str, str, str], Any]:
    """Everything that can be patched: attributes of modules and of their classes."""
    return {
        (module, owner.__name__, name): value
        for module, owner in owners()
        for name, value in list(vars(owner).items())
        if not name.startswith("__")
    }


def owners() -> Iterator[tuple[str, Any]]:
    for key, module in sorted(sys.modules.items()):
        if key.startswith(("petcd.", "sim.")):
            yield key, module
            for one in list(vars(module).values()):
                if isinstance(one, type) and one.__module__ == key:
                    yield key, one


def test_there_are_enough_exhibits_each_with_its_story() -> None:
    assert len(names()) >= 40
    for exhibit in EXHIBITS.values():
        assert exhibit.source
        assert exhibit.breaks.endswith(".")
        assert expected(exhibit.name) == exhibit.laws
        assert exhibit.laws
        assert exhibit.seeds <= 200


@pytest.mark.parametrize("name", names())
def test_a_switch_goes_in_and_comes_out_without_a_trace(name: str) -> None:
    """Rotten here means: the code has changed, and the exhibit must be fitted to it."""
    switched(name)  # everything it needs is imported
    before = state()
    with switched(name):
        inside = state()
    assert state() == before
    changed = {where for where, value in inside.items() if before[where] is not value}
    assert changed
    assert any(module.startswith("petcd.") for module, _, _ in changed) or name.startswith(
        ("wiped disk", "install not finished", "damaged log begun anew")
    )


def test_a_switch_comes_out_after_an_error_too() -> None:
    before = RaftLog.is_up_to_date
    with pytest.raises(ZeroDivisionError), switched("stale log wins"):
        assert RaftLog.is_up_to_date is not before
        raise ZeroDivisionError
    assert RaftLog.is_up_to_date is before


def test_a_function_is_replaced_under_every_name() -> None:
    def poll(r: Any, voter: int, kind: int, granted: bool) -> int:
        return 0

    with applied(everywhere(election, "poll", poll)):
        assert candidate.poll is poll  # type: ignore[attr-defined]
        assert election.poll is poll
    assert candidate.poll is election.poll  # type: ignore[attr-defined]
    assert election.poll is not poll


@pytest.mark.parametrize(
    "patch",
    [
        Patch(RaftLog, "is_gone", lambda self: True),
        Patch(RaftLog, "is_up_to_date", lambda self: True),
        Patch(RaftLog, "is_up_to_date", 5),
        Patch(election, "PRE_ELECTION", lambda: None),
    ],
)
def test_what_does_not_fit_any_more_is_refused(patch: Patch) -> None:
    with pytest.raises(Rotten):
        applied([patch])
