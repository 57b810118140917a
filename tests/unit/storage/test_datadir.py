"""The data directory: made private, locked, and never taken over from somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from petcd.storage.datadir import DataDir
from petcd.storage.errors import DataDirError, DataDirForeign, DataDirLocked, DataDirUnusable


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "default.etcd")


def test_a_new_directory_is_private_and_has_etcds_layout(path: str) -> None:
    data = DataDir(path)
    assert os.stat(path).st_mode & 0o777 == 0o700
    assert sorted(os.listdir(os.path.join(path, "member"))) == ["lock", "snap"]
    assert data.db_path == os.path.join(path, "member", "snap", "db")
    assert data.wal_path == os.path.join(path, "member", "wal")
    assert os.stat(data.snap_path).st_mode & 0o777 == 0o700
    data.close()
    data.close()


def test_directories_above_are_made_too(path: str) -> None:
    DataDir(os.path.join(path, "a", "b")).close()
    assert os.path.isdir(os.path.join(path, "a", "b", "member"))


def test_the_log_may_be_elsewhere(path: str, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "fast" / "wal")
    data = DataDir(path, elsewhere)
    assert data.wal_path == elsewhere
    assert os.path.isdir(os.path.dirname(elsewhere))
    data.close()


def test_a_second_use_is_refused_and_the_process_named(path: str) -> None:
    code = f"from petcd.storage.datadir import DataDir; d = DataDir({path!r}); print(1); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    with pytest.raises(DataDirLocked) as error:
        DataDir(path)
    assert str(error.value) == f"data directory {path} is in use by process {child.pid}"
    child.kill()
    child.communicate()
    DataDir(path).close()  # the lock ended with the process


def test_the_lock_is_held_until_close(path: str) -> None:
    data = DataDir(path)
    with pytest.raises(DataDirLocked):
        DataDir(path)
    data.close()
    DataDir(path).close()


def test_a_directory_with_something_else_is_refused(path: str) -> None:
    os.mkdir(path)
    Path(path, "thesis.tex").write_text("...")
    with pytest.raises(DataDirForeign) as error:
        DataDir(path)
    assert error.value.found == "thesis.tex"
    assert os.listdir(path) == ["thesis.tex"]


@pytest.mark.parametrize("name", ["lost+found", ".snapshot", "fixtures", "proxy"])
def test_what_systems_put_into_directories_is_harmless(path: str, name: str) -> None:
    os.makedirs(os.path.join(path, name))
    DataDir(path).close()


def test_a_directory_of_etcd_is_refused(path: str) -> None:
    os.makedirs(os.path.join(path, "member", "snap"))
    page = bytes(16) + 0xED0CDAED.to_bytes(4, "little") + bytes(4076)
    Path(path, "member", "snap", "db").write_bytes(page)
    with pytest.raises(DataDirForeign, match="the database of an etcd server"):
        DataDir(path)
    with pytest.raises(DataDirForeign):  # and the lock is not kept
        DataDir(path)


def test_a_file_in_the_way_is_a_clear_error(path: str) -> None:
    Path(path).write_text("a file")
    with pytest.raises(DataDirUnusable) as error:
        DataDir(path)
    assert isinstance(error.value, DataDirError)
    assert str(error.value).startswith(f"data directory {path} cannot be used: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_parent_is_a_clear_error(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o500)
    with pytest.raises(DataDirUnusable, match="Permission denied"):
        DataDir(str(tmp_path / "x.etcd"))
    os.chmod(tmp_path, 0o700)
