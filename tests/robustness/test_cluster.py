"""Clusters of three processes, harmed in every way under load: what clients saw must be possible.

    PETCD_FAULT_CYCLES=300 PETCD_FAULT_SEED=7 ./dev test tests/robustness/test_cluster.py
    ./dev faults --cycles 300 --seed 7                      # the same, on a new cluster each 20

`faults` says which faults there are and what is demanded.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.clusters import fresh_members
from bench.servers import Server
from faults.cycles import FLAGS, Outcome, Run, drawn, harmed, loaded
from faults.kinds import FAULTS
from faults.workload import FAILURES, Client
from sim.check.history import Put

CYCLES = int(os.environ.get("PETCD_FAULT_CYCLES", len(FAULTS)))
SEED = int(os.environ.get("PETCD_FAULT_SEED", "2379"))
MEMBERS = os.environ.get("PETCD_FAULT_MEMBERS", "petcd,petcd,petcd").split(",")
DISK_BYTES = 256 << 20  # etcd lays out 128 MB for its log at once
RECOVERY_S = 30.0


def complaints(outcome: Outcome) -> str:
    return "\n".join([*outcome.void, *map(str, outcome.verdict.violations)])


@pytest.mark.timeout(60 + 15 * CYCLES)
def test_no_fault_loses_or_bends_what_clients_were_told() -> None:
    print(f"PETCD_FAULT_SEED={SEED}")
    outcome = asyncio.run(harmed(MEMBERS, drawn(CYCLES, SEED), SEED, print))
    assert not complaints(outcome), complaints(outcome)
    print(f"{outcome.verdict.operations} operations, {outcome.verdict.unknown} of unknown outcome")


def test_the_check_notices_a_cluster_that_forgot() -> None:
    """All data directories are put back to an earlier state: that must not pass."""

    async def forget(run: Run) -> Outcome:
        await run.traffic(0.5)
        await put_by(run, shutil.copytree)
        await run.traffic(1.0)
        await put_by(run, put_back)
        await run.traffic(0.5)
        return await run.finish()

    async def forgetful() -> Outcome:
        async with loaded(fresh_members(MEMBERS, *FLAGS), SEED) as run:
            return await forget(run)

    laws = {violation.law for violation in asyncio.run(forgetful()).verdict.violations}
    assert laws & {"a stale read", "a write went back in time", "two writes have one revision"}


async def put_by(run: Run, move) -> None:
    """Kills all, does something with each data directory and its copy, and starts all."""
    for member in run.stand.members:
        run.stand.kill(member)
        move(member.folder / "data", member.folder / "copy")
    run.stand.heal()
    await run.stand.healthy(RECOVERY_S)


def put_back(data: Path, copy: Path) -> None:
    shutil.rmtree(data)
    copy.rename(data)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_of_one_member_stops_nobody_else_and_loses_nothing(small_disk: Path) -> None:
    """The member may end; when there is space again it comes back and has the same data."""

    async def fill_up() -> Outcome:
        members = fresh_members(MEMBERS[:2], *FLAGS)
        cramped = Server(MEMBERS[2], *FLAGS, name="m3", folder=small_disk)
        async with loaded([*members, cramped], SEED) as run:
            filler = small_disk / "filler"
            fill(filler)
            answered = run.recorder.answered
            await write_much(run)
            assert run.recorder.answered - answered > 20, "nobody could write any more"
            filler.unlink()
            if cramped.process is not None and cramped.process.poll() is not None:
                cramped.process = None
            run.stand.heal()
            await run.stand.healthy(RECOVERY_S)
            await run.traffic(0.5)
            return await run.finish()

    outcome = asyncio.run(fill_up())
    assert not complaints(outcome), complaints(outcome)


def fill(path: Path) -> None:
    """Takes all the space there is."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 65_536)
    with contextlib.suppress(OSError), open(path, "ab", buffering=0) as file:
        while True:
            file.write(b"x")


async def write_much(run: Run) -> None:
    client = Client(run.load, 95)
    for number in range(40):
        try:
            await client.ask(Put(b"much", b"%d " % number + b"x" * 400_000))
        except FAILURES:
            client.leave()
            await asyncio.sleep(0.1)
    client.leave()
