"""The bench itself runs to its end on both servers, with little load; its figures do not matter."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(120)]


def test_the_bench_loads_both_servers_and_reports_both(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench", "watch", "million"]
    command += ["--quick", "--keys", "2000", "--json", str(figures)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    measures = json.loads(figures.read_text())["measures"]
    for name in ("watch-events", "load-keys", "rss-loaded", "restart", "page-500", "stall-compact"):
        assert measures[name]["petcd"] > 0 and measures[name]["etcd"] > 0, name
    assert "1 event to 1,000 watchers" in ended.stdout
