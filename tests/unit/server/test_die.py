"""The end of a process that cannot go on."""

import subprocess
import sys
from pathlib import Path

import pytest

DIE = "from petcd.server.runtime import die; die('cannot go on')"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_too_full_for_the_last_line_does_not_keep_the_process_alive() -> None:
    with open("/dev/full", "wb") as full:
        assert subprocess.run([sys.executable, "-c", DIE], stderr=full, check=False).returncode == 1


def test_the_last_line_names_the_reason() -> None:
    ended = subprocess.run([sys.executable, "-c", DIE], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"etcd: cannot go on\n")
