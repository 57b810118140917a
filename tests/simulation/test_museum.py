"""The museum in every test run: each known defect, switched on, is found by the simulator."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim.bugs import names

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_known_defect_is_found() -> None:
    jobs = min(2, os.cpu_count() or 1)
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    ended = subprocess.run(
        [sys.executable, "-m", "sim", "--museum", "--jobs", str(jobs)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=850,
    )
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{len(names())} of {len(names())} defects found" in ended.stdout
