"""The campaign of every test run: a hundred worlds, eight simulated cluster-hours, no violation.

PETCD_SIM_SEEDS and PETCD_SIM_HOURS make it smaller or larger, PETCD_SIM_FIRST_SEED takes others.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SEEDS = int(os.environ.get("PETCD_SIM_SEEDS", "100"))
HOURS = float(os.environ.get("PETCD_SIM_HOURS", "8"))
FIRST_SEED = int(os.environ.get("PETCD_SIM_FIRST_SEED", "1"))
# Worlds of at least this many answered requests a second, all of them together and with all
# their faults; less would mean that the faults leave nothing to judge.
ANSWERED_PER_S_MIN = 10


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_worlds_keep_their_promises() -> None:
    jobs = min(2, os.cpu_count() or 1)
    words = ["-m", "sim", "--seed", str(FIRST_SEED), "--seeds", str(SEEDS)]
    words += ["--hours", str(HOURS), "--jobs", str(jobs)]
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    ended = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=1150,
    )
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    summary = ended.stdout
    assert re.search(rf"^worlds +{SEEDS}$", summary, re.MULTILINE), summary
    assert re.search(r"^violations +0$", summary, re.MULTILINE), summary
    per_s = re.search(r"\((\d+) a simulated second\)", summary)
    assert per_s and int(per_s[1]) >= ANSWERED_PER_S_MIN, summary
