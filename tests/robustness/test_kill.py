"""kill -9 under load, again and again: nothing that was acknowledged is lost, nothing comes twice.

    PETCD_KILL_ROUNDS=500 PETCD_KILL_SEED=7 ./dev test tests/robustness/test_kill.py

One member on one data directory: load, SIGKILL at a random moment, restart (at times killed once
more while it starts), then the whole history is compared with what was written. `written_history`
says what is demanded.
"""

import asyncio
import os
import random
import shutil
from collections.abc import Iterator

import pytest
from written_history import Books, Ledger, within, write_until

from bench.requests import COMPACT, compact
from bench.servers import Server

ROUNDS = int(os.environ.get("PETCD_KILL_ROUNDS", "50"))
SEED = int(os.environ.get("PETCD_KILL_SEED", "2379"))
KIND = os.environ.get("PETCD_KILL_SERVER", "petcd")  # `etcd` tries the test itself
LOAD_S = (0.05, 0.5)
WRITTEN_S = 20.0
START_KILLED_S = (0.0, 0.6)
DEFRAGMENT_KILLED_S = (0.0, 0.03)
DEFRAGMENT = "/etcdserverpb.Maintenance/Defragment"
CONNECTIONS = 2


class Kills:
    """A server that is killed, and the record of what it promised."""

    def __init__(self, *flags: str) -> None:
        self.server = Server(KIND, *flags)
        self.chance = random.Random(SEED)
        self.books = Books(SEED)
        self.ledger = Ledger(self.books)

    async def load_and_kill(self) -> None:
        stop = asyncio.Event()
        connections = [await self.server.connect() for _ in range(CONNECTIONS)]
        writers = [
            asyncio.ensure_future(write_until(stop, connection, self.books))
            for connection in connections
        ]
        acknowledged = len(self.books.acknowledged)
        await asyncio.sleep(self.chance.uniform(*LOAD_S))
        async with asyncio.timeout(WRITTEN_S):  # on a busy machine nothing may be written yet
            while len(self.books.acknowledged) == acknowledged:
                await asyncio.sleep(0.01)
        self.server.kill()
        stop.set()
        await asyncio.gather(*writers)
        for connection in connections:
            await within(connection.closed)  # all answers that were on their way are in

    async def start_killed(self) -> None:
        """A start that does not get far."""
        self.server.spawn()
        await asyncio.sleep(self.chance.uniform(*START_KILLED_S))
        self.server.kill()

    async def verify(self, with_hash: bool = True) -> None:
        connection = await self.server.connect()
        try:
            await self.ledger.verify(connection, with_hash)
        finally:
            connection.close()

    async def defragment_killed(self) -> None:
        """Begins to write the file anew, and does not get far, or just done."""
        connection = await self.server.connect()
        done = asyncio.ensure_future(connection.call(DEFRAGMENT, b""))
        await asyncio.sleep(self.chance.uniform(*DEFRAGMENT_KILLED_S))
        self.server.kill()
        await asyncio.gather(done, return_exceptions=True)
        connection.close()

    async def compact(self) -> None:
        """Starts to drop what was verified, and does not wait until it is gone."""
        connection = await self.server.connect()
        await within(connection.call(COMPACT, compact(self.ledger.revision, physical=False)))
        connection.close()


@pytest.fixture
def kills() -> Iterator[Kills]:
    kills = Kills("--snapshot-count", "500")  # the log is cut back many times in a run
    yield kills
    kills.server.close()


@pytest.mark.timeout(30 + 6 * ROUNDS)
def test_no_acknowledged_write_is_lost_by_kill_9_again_and_again(kills: Kills) -> None:
    async def rounds() -> None:
        await kills.server.start()
        for number in range(ROUNDS):
            acknowledged = len(kills.books.acknowledged)
            await kills.load_and_kill()
            if kills.chance.random() < 0.3:
                await kills.start_killed()
            await kills.server.start()
            await kills.verify()
            assert len(kills.books.acknowledged) > acknowledged, f"round {number} wrote nothing"

    print(f"PETCD_KILL_SEED={SEED}")
    asyncio.run(rounds())
    written, acknowledged = kills.ledger.revision - 1, len(kills.books.acknowledged)
    print(f"{ROUNDS} kills, {acknowledged} writes acknowledged, {written} found")


@pytest.mark.timeout(120)
def test_a_kill_while_compacting_leaves_a_store_that_goes_on(kills: Kills) -> None:
    async def rounds() -> None:
        await kills.server.start()
        for _ in range(6):
            await kills.load_and_kill()
            await kills.server.start()
            await kills.verify(with_hash=False)
            await kills.compact()

    asyncio.run(rounds())


@pytest.mark.timeout(120)
def test_a_kill_while_defragmenting_leaves_the_old_file_or_the_new(kills: Kills) -> None:
    async def rounds() -> None:
        await kills.server.start()
        for _ in range(3):
            await kills.load_and_kill()
            await kills.server.start()
            await kills.defragment_killed()
            await kills.server.start()
            await kills.verify()

    asyncio.run(rounds())


def test_the_check_notices_a_store_that_forgot(kills: Kills) -> None:
    """The data directory is put back to an earlier state: that must not pass."""

    async def rounds() -> None:
        await kills.server.start()
        await kills.load_and_kill()
        data, copy = kills.server.folder / "data", kills.server.folder / "copy"
        shutil.copytree(data, copy)
        await kills.server.start()
        await kills.verify()
        await kills.load_and_kill()
        shutil.rmtree(data)
        copy.rename(data)
        await kills.server.start()
        with pytest.raises(AssertionError, match="was acknowledged"):
            await kills.verify()

    asyncio.run(rounds())
