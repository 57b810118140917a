"""`./dev`: what it says, and when it believes that something has to be installed."""

import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def dev() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("dev_under_test", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader("dev_under_test", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def told(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "dev"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("help",)])
def test_it_teaches_its_commands_from_any_directory(tmp_path: Path, arguments: tuple[str]) -> None:
    lesson = told(*arguments, cwd=tmp_path)
    assert lesson.returncode == 0 and not lesson.stderr
    for command in ("run", "exec", "test", "lint", "bench", "clean"):
        assert f"\n  {command}" in lesson.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dance",), "cannot do 'dance'"),
        (("exec",), "exec what?"),
        (("lint", "src"), "takes no arguments"),
        (("traces",), "needs one argument"),
        (("compile", "--all"), "no arguments but --sim, got '--all'"),
    ],
)
def test_a_wrong_call_gets_one_line(arguments: tuple[str, ...], words: str) -> None:
    answer = told(*arguments)
    assert answer.returncode in (1, 2) and not answer.stdout
    assert words in answer.stderr and answer.stderr.count("\n") == 1


def test_a_command_whose_files_are_missing_is_not_offered(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    (tmp_path / "dev").touch()
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    assert "bench" not in dev.lesson() and "  run" in dev.lesson()
    assert dev.main(["bench"]) == 2
    assert "bench/__main__.py is not there yet" in capsys.readouterr().err


def test_a_changed_requirement_asks_for_a_new_installation(
    dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.touch()
    monkeypatch.setattr(dev, "VENV", tmp_path)
    monkeypatch.setattr(dev, "PYTHON", python)
    assert not dev.installed("runtime")
    dev.stamp_file("runtime").write_text(dev.stamp_of("runtime"))
    assert dev.installed("runtime") and not dev.installed("dev")
    monkeypatch.setattr(dev, "requirements", lambda group: ["something-new"])
    assert not dev.installed("runtime")


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("WARNING: ... NewConnectionError(...)\nERROR: No matching", "is there a network?"),
        ("ERROR: Could not find (from versions: none)\n", "is there a network?"),
        ("  ERROR: Cannot uninstall x\nmore\n", "Cannot uninstall x"),
        ("the last line tells\n", "the last line tells"),
        ("", "no reason given"),
    ],
)
def test_a_failed_installation_is_told_in_one_line(dev: ModuleType, log: str, words: str) -> None:
    complaint = dev.pip_complaint(log)
    assert words in complaint and "\n" not in complaint and "pip.log" in complaint


@pytest.mark.parametrize(
    ("arguments", "made_of"),
    [
        (["--seed", "7"], ["compiled-sim", "compiled"]),
        (["--museum"], []),
        (["--bug=some"], []),
    ],
)
def test_the_simulator_is_the_compiled_one_but_for_the_museum(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, arguments: list[str], made_of: list[str]
) -> None:
    calls: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(dev, "become", lambda *call: calls.append(call))
    monkeypatch.setattr(dev, "ensure", lambda *groups: None)
    monkeypatch.setattr(dev, "compiled", lambda *what: True)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    dev.sim(arguments)
    [(command, env)] = calls
    assert command[1:] == ["-P", "-m", "sim", *arguments]
    assert env["PYTHONPATH"].split(":") == [*(str(dev.CACHE / name) for name in made_of), str(ROOT)]


def test_what_is_compiled_is_used_until_a_source_changes(
    dev: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "COMPILED_SIM", tmp_path / "made")
    for folder in ("src", "sim", "made"):
        (tmp_path / folder).mkdir()
    (tmp_path / "setup.py").touch()
    assert not dev.compiled_sim()
    (tmp_path / "made" / "stamp").write_text(dev.sources_stamp("src", "sim"))
    assert dev.compiled_sim()
    (tmp_path / "sim" / "world.py").touch()
    assert not dev.compiled_sim()
