"""Finding a command, and its help."""

import shlex

import pytest

from petcd.cli.commands import Command, Entry, Group, UnknownCommand, find
from petcd.cli.ctl.v3 import ROOT
from petcd.cli.flags import BOOL, STRING, Flag, FlagSet
from petcd.cli.help_text import Edition, help_of

TREE = Group(
    "prog",
    "",
    (
        Entry("get", "", "x:GET"),
        Entry("grow", "", "x:GROW"),
        Entry("put", "", "x:PUT"),
        Group(
            "lease",
            "",
            (Entry("grant", "", "x:GRANT"), Entry("revoke", "", "x:REVOKE")),
            (Flag("all", BOOL, False, ""),),
        ),
    ),
    (Flag("out", STRING, "", "", "o"), Flag("hex", BOOL, False, "")),
)


@pytest.mark.parametrize(
    ("line", "title", "left"),
    [
        ("", "prog", []),
        ("get a", "get", ["a"]),
        ("ge a b", "get", ["a", "b"]),
        ("p", "put", []),
        ("-o json get a", "get", ["-o", "json", "a"]),
        ("--out json --hex get a", "get", ["--out", "json", "--hex", "a"]),
        ("--out=json -ojson get", "get", ["--out=json", "-ojson"]),
        ("-h get", "get", ["-h"]),
        ("lease grant 5", "lease grant", ["5"]),
        ("l g 5", "lease grant", ["5"]),
        ("lease --all --hex gr 5", "lease grant", ["--all", "--hex", "5"]),
        ("lease", "lease", []),
        ("lease nothing", "lease", ["nothing"]),
        ("lease -- grant", "lease", ["--", "grant"]),
        ("-- get", "prog", ["--", "get"]),
        ("get get", "get", ["get"]),
        ("--hex", "prog", ["--hex"]),
    ],
)
def test_a_command_line_names_the_deepest_command(line: str, title: str, left: list[str]) -> None:
    found = find(TREE, line.split())
    assert (found.title(), found.words) == (title, left)


def test_an_empty_word_names_nothing() -> None:
    assert find(TREE, [""]).title() == "prog"


@pytest.mark.parametrize(
    ("word", "meant"),
    [("xyzzy", []), ("g", ["get", "grow"]), ("gte", ["get"]), ("PUT", ["get", "put"])],
)
def test_an_unknown_command_is_refused_with_what_may_be_meant(word: str, meant: list[str]) -> None:
    with pytest.raises(UnknownCommand) as caught:
        find(TREE, [word])
    first, *rest = str(caught.value).split("\n")
    assert first == f'unknown command "{word}" for "prog"'
    assert [line.strip() for line in rest if line.startswith("\t")] == meant


def test_flags_of_groups_are_inherited() -> None:
    found = find(TREE, ["lease", "grant"])
    assert [flag.name for flag in found.inherited()] == ["out", "hex", "all"]
    assert [flag.name for flag in find(TREE, ["lease"]).inherited()] == ["out", "hex"]


def leaves(group: Group, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for entry in group.entries:
        path = (*above, entry.name)
        found += leaves(entry, path) if isinstance(entry, Group) else [path]
    return found


@pytest.mark.parametrize("path", leaves(ROOT), ids=" ".join)
def test_every_command_loads_and_its_help_teaches(path: tuple[str, ...]) -> None:
    found = find(ROOT, path)
    assert isinstance(found.target, Entry)
    command = found.target.load()
    text = help_of(found, command, Edition("1", "2"))
    assert isinstance(command, Command) and found.target.summary
    for section in ("NAME", "USAGE", "OPTIONS", "GLOBAL OPTIONS"):
        assert f"{section}:\n" in text
    assert command.examples or path == ("version",)
    for line, _ in command.examples:
        shown = find(ROOT, shlex.split(line.partition("%")[2].partition("<")[0]))
        assert isinstance(shown.target, Entry), line
        FlagSet([*shown.inherited(), *shown.target.load().flags]).parse(shown.words)
    names = [flag.name for flag in (*found.inherited(), *command.flags)]
    assert len(names) == len(set(names))
    assert max(len(line) for line in text.splitlines()) <= 110


def test_the_help_of_the_program_names_every_command() -> None:
    text = help_of(find(ROOT, []), None, Edition("1", "2"))
    for path in leaves(ROOT):
        assert f"    {' '.join(path)} " in text
