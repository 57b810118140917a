"""The traces of etcd's raft library, where they are at hand, and our own golden scripts, always.

Etcd's traces are not part of this project. They are looked for where PETCD_RAFT_TRACES points, or
beside the checkout in `shared/raft-traces`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden" / "raft"
sys.path.insert(0, str(ROOT))

from sim.traces.__main__ import main  # noqa: E402
from sim.traces.runner import find_traces, replay, rewrite  # noqa: E402


def foreign_traces() -> list[Path]:
    """Etcd's traces; an empty list if they are not at hand."""
    named = os.environ.get("PETCD_RAFT_TRACES")
    folder = Path(named) if named else ROOT.parent / "shared" / "raft-traces"
    return find_traces(folder) if folder.exists() else []


@pytest.mark.parametrize("path", find_traces(GOLDEN), ids=lambda path: path.stem)
def test_golden_script_prints_what_it_says(path: Path) -> None:
    failure = replay(path)
    assert failure is None, str(failure)


@pytest.mark.parametrize("path", foreign_traces(), ids=lambda path: path.stem)
def test_trace_of_etcds_raft_library_passes_word_for_word(path: Path) -> None:
    failure = replay(path)
    assert failure is None, str(failure)


def test_traces_of_etcds_raft_library_were_found() -> None:
    if not foreign_traces():
        pytest.skip("no folder of traces: set PETCD_RAFT_TRACES (golden scripts ran anyway)")
    assert len(foreign_traces()) >= 29


def test_all_three_kinds_have_golden_scripts() -> None:
    kinds = {path.parent.name for path in find_traces(GOLDEN)}
    assert kinds == {"interaction", "confchange", "quorum"}


def test_a_script_that_says_otherwise_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (GOLDEN / "interaction" / "single_voter_commits_alone.txt").read_text()
    (tmp_path / "wrong.txt").write_text(source.replace("Commit:4", "Commit:5"))
    (tmp_path / "right.txt").write_text(source)
    assert main([str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 passed, 1 failed"
    assert "-HardState Term:1 Vote:1 Commit:5" in lines
    assert "+HardState Term:1 Vote:1 Commit:4" in lines


def test_a_folder_without_traces_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("----\n")
    assert main([str(tmp_path)]) == 1
    assert main([str(tmp_path / "missing")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 0 failed"


@pytest.mark.parametrize("kind", ["interaction", "confchange", "quorum"])
def test_the_kind_is_known_by_the_commands_wherever_the_file_lies(
    kind: str, tmp_path: Path
) -> None:
    for path in find_traces(GOLDEN / kind):
        (tmp_path / path.name).write_text(path.read_text())
    assert main([str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("campaign 1\n", "no expected output"),
        ("campaign 1\n----\nok\n", "there is no node 1"),
        ("campaign one\n----\nok\n", "'one' is no number"),
        ("add-nodes 1 voters=(1\n----\nok\n", "cannot parse directive"),
        ("add-nodes 1 =1\n----\nok\n", "cannot parse directive"),
        ("propose 1\n----\nok\n", "expected a node and one word"),
        ("deliver-msgs 1 drop=1\n----\nok\n", "can't both deliver and drop"),
        ("deliver-msgs type=MsgNone\n----\nok\n", "unknown message type"),
        ("vote cfg=(1) votes=(maybe)\n----\nok\n", "unknown vote"),
        ("committed cfg=(1) idx=(0)\n----\nok\n", "cannot use 0 as idx"),
        ("committed cfg=(1) cfgj=(zero,1) idx=(1)\n----\nok\n", "cannot mix"),
        ("committed cfg=(1) index=(1)\n----\nok\n", "unknown arg"),
    ],
)
def test_a_wrong_script_fails_with_the_reason(source: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.txt").write_text(source)
    failure = replay(tmp_path / "wrong.txt")
    assert failure is not None
    assert why in str(failure)


def test_blank_lines_continued_lines_and_subtests_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "notation.txt"
    path.write_text(
        "subtest first\n\n# comment\nadd-nodes 2 \\\n  voters=(1, 2) \\\n  index=2\n"
        "----\n----\nnot\n\nwhat happens\n----\n----\n\nsubtest end\n"
    )
    assert replay(path) is not None
    assert rewrite(path)
    assert replay(path) is None
    assert "voters=(1 2)" in path.read_text()
    assert path.read_text().endswith("subtest end\n")
    assert not rewrite(path)


def test_output_with_blank_lines_is_written_between_doubled_separators(tmp_path: Path) -> None:
    path = tmp_path / "unknown.txt"
    path.write_text("simple\nv1\n----\n----\nold\n\nold\n----\n----\n\nleave-joint\n----\n\n")
    assert rewrite(path)
    assert replay(path) is None
    assert "can't leave a non-joint config" in path.read_text()
