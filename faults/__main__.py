"""The command line of the fault runs: see `./dev faults --help`."""

import argparse
import sys

import uvloop

from bench.servers import ServerFailed
from faults.cycles import Outcome, drawn, harmed
from faults.kinds import BY_NAME, FAULTS

CYCLES_PER_CLUSTER = 20


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev faults",
        description="Harms a cluster of real processes under load and checks what clients saw.",
        epilog="faults: " + ", ".join(BY_NAME),
    )
    parser.add_argument("--cycles", type=int, default=20, metavar="N", help="faults in all")
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
    among = [BY_NAME[name] for name in chosen.only] if chosen.only else FAULTS
    faults = drawn(chosen.cycles, chosen.seed, among)
    bad = 0
    for first in range(0, len(faults), CYCLES_PER_CLUSTER):
        some = faults[first : first + CYCLES_PER_CLUSTER]
        outcome = await harmed(kinds, some, chosen.seed + first, print)
        print(*report(outcome), sep="\n", flush=True)
        bad += len(outcome.void) + len(outcome.verdict.violations)
    return 1 if bad else 0


def main(arguments: list[str]) -> int:
    chosen = options(arguments)
    try:
        return uvloop.run(campaign(chosen))
    except ServerFailed as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
