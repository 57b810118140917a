"""`./dev sim`: simulated clusters from a seed, judged.

./dev sim                          one world of two simulated minutes from seed 1
./dev sim --seed 7                 the same from seed 7
./dev sim --seeds 100 --hours 8    100 worlds from seeds 1 to 100, 8 simulated hours together
./dev sim --museum                 every known defect is switched on, and must be found
./dev sim --bug "stale log wins"   one of them; an unknown name gives the list
"""

from __future__ import annotations

import argparse
import sys
import time

from sim.campaign import (
    Outcome,
    Summary,
    campaign,
    failure_lines,
    run_seed,
    saved_regressions,
    undecided_line,
)
from sim.museum import main as museum
from sim.options import HELP, Options

BAR_CELLS = 30


def arguments(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./dev sim", description=__doc__.split("\n")[0])
    for name, meaning in HELP.items():
        default = Options._field_defaults[name]
        flag = "--" + name.replace("_", "-")
        parser.add_argument(
            flag, type=type(default), default=default, help=f"{meaning} ({default})"
        )
    parser.add_argument("--no-faults", dest="faults", action="store_false", help="fair weather")
    parser.add_argument("--seeds", type=int, default=1, help="how many worlds (1)")
    parser.add_argument("--hours", type=float, help="simulated hours of all worlds together")
    parser.add_argument("--jobs", type=int, default=1, help="worlds at a time (1)")
    parser.add_argument("--regressions", action="store_true", help="run the saved worlds instead")
    parser.add_argument("--museum", action="store_true", help="look for all known defects")
    parser.add_argument("--bug", action="append", metavar="NAME", help="look for this defect")
    parser.add_argument("--history", metavar="FILE", help="write the history of the one world")
    return parser.parse_args(words)


def worlds_of(chosen: argparse.Namespace) -> list[Options]:
    """The worlds that were asked for."""
    if chosen.regressions:
        return saved_regressions()
    options = Options(**{name: getattr(chosen, name) for name in Options._fields})
    if chosen.hours:
        options = options._replace(duration_s=chosen.hours * 3600 / chosen.seeds)
    return [options._replace(seed=options.seed + number) for number in range(chosen.seeds)]


class Reporter:
    """Tells how far it is, on one line of a terminal."""

    def __init__(self, worlds: int) -> None:
        self._worlds = worlds
        self._started_s = time.monotonic()

    def __call__(self, summary: Summary, outcome: Outcome) -> None:
        self._clear()
        if outcome.failure:
            print("\n".join(failure_lines(outcome)), flush=True)
        elif self._worlds == 1:
            print(f"{outcome.options.text()}\n{outcome.story}\ndigest {outcome.digest:x}")
        if outcome.undecided:
            print(undecided_line(outcome), flush=True)
        if sys.stderr.isatty() and summary.worlds < self._worlds:
            print(f"\r{self._line(summary)}", end="", file=sys.stderr, flush=True)

    def _line(self, summary: Summary) -> str:
        done = summary.worlds / self._worlds
        left_s = (time.monotonic() - self._started_s) * (1 - done) / done
        cells = int(done * BAR_CELLS)
        return (
            f"[{'#' * cells}{'.' * (BAR_CELLS - cells)}] {summary.worlds}/{self._worlds} worlds, "
            f"{summary.simulated_s / 3600:.2f} h at {summary.speed:.0f}x, "
            f"{len(summary.failures)} failed, {left_s:.0f} s left"
        )

    def _clear(self) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def main(words: list[str]) -> int:
    """Run what the words ask for; 1 when a promise was broken."""
    chosen = arguments(words)
    if chosen.museum or chosen.bug:
        return museum(chosen.bug or (), chosen.jobs)
    worlds = worlds_of(chosen)
    if chosen.history:
        return write_history(worlds[0], chosen.history)
    summary = campaign(worlds, chosen.jobs, Reporter(len(worlds)))
    print("\n".join(summary.lines()))
    return 1 if summary.failures else 0


def write_history(options: Options, path: str) -> int:
    """Run one world and write all that its clients saw."""
    outcome = run_seed(options, path)
    if outcome.failure:
        print("\n".join(failure_lines(outcome)))
    return 1 if outcome.failure else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
