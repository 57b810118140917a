"""`python -m sim.traces [--rewrite] DIR ...`: replay every trace below the folders given.

The last line counts them: `N passed, M failed`. The exit status is 0 only if some were found and
none failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sim.traces.runner import find_traces, replay, rewrite


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="traces", description="Replay Raft traces.")
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--rewrite", action="store_true", help="write what happens into them")
    options = parser.parse_args(arguments)
    missing = [folder for folder in options.folders if not folder.exists()]
    for folder in missing:
        print(f"{folder}: there is no such folder", file=sys.stderr)
    paths = [path for folder in options.folders if folder.exists() for path in find_traces(folder)]
    if options.rewrite:
        for path in paths:
            if rewrite(path):
                print(f"{path}: rewritten")
    failures = [failure for failure in map(replay, paths) if failure is not None]
    for failure in failures:
        print(failure)
    if not paths:
        print("no traces were found")
    print(f"{len(paths) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures or missing or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
