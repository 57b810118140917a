"""Streams: bytes as they are, order kept."""

import io

from petcd.cli.ctl.console import Console, encoded
from petcd.cli.ctl.password import ask_password


def test_bytes_that_are_no_text_go_out_as_they_came() -> None:
    assert encoded("\udcff") == b"\xff"
    assert encoded(b"\xff") == b"\xff"
    assert encoded(7) == b"7"
    assert encoded("\ud800") == "\ufffd".encode()


def test_stdout_is_seen_before_what_follows_on_stderr() -> None:
    raw = io.BytesIO()
    console = Console(io.BytesIO(), io.BufferedWriter(raw), raw)
    console.line("one", b"two", 3)
    console.error_line("four")
    assert raw.getvalue() == b"one two 3\nfour\n"


def test_a_password_is_a_line_of_stdin() -> None:
    out = io.BytesIO()
    assert ask_password(Console(io.BytesIO(b"secret\nmore"), out, io.BytesIO())) == "secret"
    assert out.getvalue() == b"Password: \n"
    assert ask_password(Console(io.BytesIO(), io.BytesIO(), io.BytesIO())) == ""
