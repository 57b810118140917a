"""The command line of the fault runs: see `./dev faults --help`."""

import argparse
import sys
from pathlib import Path

import uvloop

from bench.servers import ROOT, ServerFailed
from faults.cycles import Outcome, drawn, harmed
from faults.kinds import BY_NAME, FAULTS
from faults.soak import soak

CYCLES_PER_CLUSTER = 20


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev faults",
        description="Harms a cluster of real processes under load and checks what clients saw.",
        epilog="faults: " + ", ".join(BY_NAME),
    )
    parser.add_argument("--cycles", type=int, default=20, metavar="N", help="faults in all")
    parser.add_argument("--minutes", type=float, metavar="N", help="a fault every 20 s instead")
    parser.add_argument("--seed", type=int, default=2379, help="which faults, and when")
    parser.add_argument("--members", default="petcd,petcd,petcd", help="`petcd` or `etcd` each")
    parser.add_argument("--only", action="append", metavar="FAULT", help="only these faults")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.only or ()) - set(BY_NAME)
    if unknown:
        parser.error(f"no fault {unknown.pop()!r}; there are {', '.join(BY_NAME)}")
    return chosen


def report(outcome: Outcome) -> list[str]:
    verdict = outcome.verdict
    slowest = max((cycle.recovery_s for cycle in outcome.cycles), default=0.0)
    return [
        f"{len(outcome.cycles)} faults, {verdict.operations} operations "
        f"({verdict.unknown} of unknown outcome), {verdict.events} watch events, "
        f"slowest recovery {slowest:.1f} s",
        *(f"VOID: {reason}" for reason in outcome.void),
        *(f"VIOLATION: {violation}" for violation in verdict.violations[:20]),
    ]


async def campaign(chosen: argparse.Namespace) -> int:
    kinds = chosen.members.split(",")
    if chosen.minutes:
        soaked = await soak(kinds, chosen.minutes, chosen.seed, say)
        for line in (*report(soaked.outcome), *soaked.lines()):
            say(line)
        if soaked.outcome.is_bad:
            say(f"history: {kept(soaked.outcome, chosen.seed)}")
        return int(soaked.outcome.is_bad)
    among = [BY_NAME[name] for name in chosen.only] if chosen.only else FAULTS
    faults = drawn(chosen.cycles, chosen.seed, among)
    bad = 0
    for first in range(0, len(faults), CYCLES_PER_CLUSTER):
        some, seed = faults[first : first + CYCLES_PER_CLUSTER], chosen.seed + first
        outcome = await harmed(kinds, some, seed, say)
        for line in report(outcome):
            say(line)
        if outcome.is_bad:
            bad += 1
            say(f"history: {kept(outcome, seed)}")
    return 1 if bad else 0


def kept(outcome: Outcome, seed: int) -> Path:
    """The history in a file, for the checkers of `sim.check`."""
    path = ROOT / ".cache" / "faults" / f"seed-{seed}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in outcome.history.lines()))
    return path


def say(line: str) -> None:
    print(line, flush=True)


def main(arguments: list[str]) -> int:
    chosen = options(arguments)
    try:
        return uvloop.run(campaign(chosen))
    except ServerFailed as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
