"""Whole worlds: a seed decides everything, failures are found and repeat, silence is no success."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sim.__main__ import Reporter
from sim.campaign import Summary, command_of, failure_lines, run_seed, saved_regressions
from sim.cluster import running
from sim.disk import Disk, Inode
from sim.features import features_of
from sim.options import Options
from sim.world import World

ROOT = Path(__file__).resolve().parents[3]
SHORT = Options(duration_s=15.0)


def digest_of(hash_seed: str, seed: int) -> str:
    """The digest that `python -m sim` prints, in a process of its own."""
    words = ["-m", "sim", "--seed", str(seed), "--duration-s", "15"]
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
    ended = subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = re.search(r"^digest (\w+)$", ended.stdout, re.MULTILINE)
    assert found, ended.stdout
    return found[1]


def test_one_seed_gives_one_world_in_any_process() -> None:
    first = digest_of("1", seed=5)
    assert digest_of("2", seed=5) == first
    assert f"{run_seed(SHORT._replace(seed=5)).digest:x}" == first
    assert digest_of("1", seed=6) != first


def test_a_world_keeps_its_promises_and_counts_what_happened() -> None:
    outcome = run_seed(SHORT._replace(seed=7))
    assert outcome.failure == ""
    assert outcome.answered > 300
    assert outcome.revisions > 100
    assert sum(outcome.faults.values()) > 0


def test_a_term_that_is_not_on_the_disk_yet_is_no_promise() -> None:
    world = World(SHORT._replace(seed=7, duration_s=2.0))
    world.run()
    members, slots = world.history.members, running(world.slots)
    assert len(slots) > 1
    members.clear()
    engine = slots[0].engine
    assert engine is not None
    engine.runtime.effects.is_syncing = True
    world._sample()
    assert {sample.member for sample in members} == {slot.number for slot in slots[1:]}


@pytest.mark.parametrize("members", [1, 5])
def test_clusters_may_have_other_sizes(members: int) -> None:
    assert run_seed(SHORT._replace(seed=8, members=members)).failure == ""


def test_the_seed_draws_members_and_features() -> None:
    drawn = [features_of(Options(seed=seed)) for seed in range(1, 101)]
    assert {each.members for each in drawn} == {1, 3, 5}
    for has in (lambda f: f.quota_bytes, lambda f: f.slow_watchers, lambda f: f.v2):
        assert 10 < sum(bool(has(each)) for each in drawn) < 90
    plain = features_of(Options(seed=1, members=4, features="none"))
    assert plain == (4, 0, False, False)
    chosen = features_of(Options(seed=1, features="v2,quota"))
    assert (chosen.quota_bytes > 0, chosen.slow_watchers, chosen.v2) == (True, False, True)
    with pytest.raises(ValueError, match="no such feature: v4"):
        features_of(Options(features="v2,v4"))


def test_a_world_with_everything_keeps_its_promises() -> None:
    everything = SHORT._replace(seed=9, members=3, features="quota,slow-watchers,v2")
    assert run_seed(everything).failure == ""


def test_a_disk_that_lies_about_syncs_is_found_and_the_command_repeats_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lie(self: Disk, path: str, inode: Inode) -> None:
        """Says that it is done."""

    monkeypatch.setattr(Disk, "sync", lie)
    worlds = [
        Options(seed=seed, duration_s=30.0, kinds="power-cut-of-all", interval_s=3.0)
        for seed in range(1, 11)
    ]
    outcomes = (run_seed(options) for options in worlds)
    failed = next(outcome for outcome in outcomes if outcome.failure)
    words = command_of(failed.options).split()[2:]
    again = run_seed(Options.parse(words))
    assert (again.failure, again.digest) == (failed.failure, failed.digest)
    assert failure_lines(failed)[-1].endswith(command_of(failed.options))


def test_a_world_that_stays_undecided_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    summary, outcome = Summary(), run_seed(SHORT)
    for each in (outcome, outcome._replace(undecided=True)):
        summary.add(each)
        Reporter(worlds=9)(summary, each)
    assert capsys.readouterr().out == f"UNDECIDED; repeat with: ./dev sim {SHORT.text()}\n"


def test_a_world_without_traffic_is_void() -> None:
    outcome = run_seed(SHORT._replace(clients=0, faults=False))
    assert "void" in outcome.failure


def test_options_are_written_as_they_are_read() -> None:
    options = Options(
        seed=9, members=5, faults=False, duration_s=1.5, kinds="split,power-cut", snapshot_count=7
    )
    assert Options.parse(options.text().split()) == options
    assert Options(seed=3).text() == "--seed 3"
    with pytest.raises(ValueError, match="unknown option --weather"):
        Options.parse(["--weather", "fine"])


@pytest.mark.parametrize("options", saved_regressions(), ids=Options.text)
def test_what_failed_once_does_not_fail_again(options: Options) -> None:
    outcome = run_seed(options)
    assert outcome.failure == "", "\n".join(failure_lines(outcome))
