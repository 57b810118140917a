"""Sizes that keep the code readable: functions up to 70 lines, files up to 600.

What is longer stands in the allowance with its length, which may shrink and never grow: whoever
splits such a function takes its line out here, whoever makes it longer is told.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
COUNTED = ("src", "bench", "sim", "faults", "tests")

ALLOWED_FILES: dict[str, int] = {}
ALLOWED_FUNCTIONS: dict[str, int] = {}


def counted_files() -> list[Path]:
    files = [path for folder in COUNTED for path in (ROOT / folder).rglob("*.py")]
    return sorted([*files, ROOT / "dev"])


def long_functions(source: str, where: str) -> dict[str, int]:
    """Functions over the limit as `file:name` -> lines."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                found[f"{where}:{node.name}"] = lines
    return found


def over_the_allowance(found: dict[str, int], allowed: dict[str, int]) -> list[str]:
    grown = [f"{name}: {n} lines" for name, n in found.items() if n > allowed.get(name, 0)]
    shrunk = [
        f"{name} may be {allowed[name]} lines and has {found.get(name, 'few')}: lower the allowance"
        for name in allowed
        if found.get(name, 0) < allowed[name]
    ]
    return grown + shrunk


def test_no_function_is_longer_than_70_lines() -> None:
    found: dict[str, int] = {}
    for path in counted_files():
        found |= long_functions(path.read_text(), str(path.relative_to(ROOT)))
    faults = over_the_allowance(found, ALLOWED_FUNCTIONS)
    assert not faults, "\n" + "\n".join(faults)


def test_no_file_is_longer_than_600_lines() -> None:
    lines = {str(p.relative_to(ROOT)): p.read_text().count("\n") for p in counted_files()}
    found = {name: count for name, count in lines.items() if count > FILE_LINES_MAX}
    faults = over_the_allowance(found, ALLOWED_FILES)
    assert not faults, "\n" + "\n".join(faults)


@pytest.mark.parametrize("lines", [FUNCTION_LINES_MAX, FUNCTION_LINES_MAX + 1])
def test_a_function_over_the_limit_is_caught(lines: int) -> None:
    source = "def f() -> None:\n" + "    pass\n" * (lines - 1)
    assert bool(long_functions(source, "x.py")) == (lines > FUNCTION_LINES_MAX)


def test_the_allowance_may_shrink_and_never_grow() -> None:
    assert over_the_allowance({"a": 80}, {"a": 80}) == []
    assert over_the_allowance({"a": 81}, {"a": 80}) == ["a: 81 lines"]
    assert "lower the allowance" in over_the_allowance({"a": 75}, {"a": 80})[0]
    assert "lower the allowance" in over_the_allowance({}, {"a": 80})[0]
