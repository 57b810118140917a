"""Tables in ASCII boxes."""

import pytest

from petcd.cli.text_table import render, wrap


def test_a_table_is_a_box_with_a_centred_header_and_right_aligned_cells() -> None:
    assert render(("id", "is x"), [["a", "true"], ["bbbbb", "false"]]) == (
        "+-------+-------+\n"
        "|  ID   | IS X  |\n"
        "+-------+-------+\n"
        "|     a |  true |\n"
        "| bbbbb | false |\n"
        "+-------+-------+\n"
    )


def test_a_table_without_rows_is_closed() -> None:
    assert render(("id",), []) == "+----+\n| ID |\n+----+\n+----+\n"


def test_long_cells_take_several_lines() -> None:
    text = render(("e", "errors"), [["x", "memberID:10276657743932975437 alarm:NOSPACE "]])
    assert text.splitlines()[3:5] == [
        "| x |  memberID:10276657743932975437 |",
        "|   |                 alarm:NOSPACE  |",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("short", ["short"]),
        ("a" * 40, ["a" * 40]),
        ("one two three four five six seven eight", ["one two three four five six", "seven eight"]),
    ],
)
def test_text_is_broken_between_words(text: str, lines: list[str]) -> None:
    assert wrap(text) == lines
