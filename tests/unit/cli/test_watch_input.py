"""What a watch command line asks for."""

import pytest

from petcd.cli.ctl.exits import CommandError
from petcd.cli.ctl.watch_input import FLAGS, InvalidWatch, WatchLine, keys_from, watch_line
from petcd.cli.flags import FlagSet


def line(*words: str, env: list[str] | None = None) -> WatchLine:
    flags = FlagSet(FLAGS)
    flags.parse(words)
    return watch_line(flags, env or [])


@pytest.mark.parametrize(
    ("words", "key", "end"),
    [
        (("a",), b"a", b""),
        (("a", "b"), b"a", b"b"),
        (("a", "b", "c"), b"a", b""),
        (("--prefix", "a"), b"a", b"b"),
        (("--prefix", ""), b"\0", b"\0"),
        (("",), b"", b""),
    ],
)
def test_keys_make_a_range(words, key: bytes, end: bytes) -> None:
    request = line(*words).request
    assert (request.key, request.range_end) == (key, end)


def test_options_are_carried_over() -> None:
    request = line("a", "--rev", "7", "--prev-kv", "--progress-notify").request
    assert (request.start_revision, request.prev_kv, request.progress_notify) == (7, True, True)


def test_a_command_follows_two_dashes() -> None:
    found = line("a", "--rev=3", "--", "echo", "--rev", "echo")
    assert (found.request.key, found.command) == (b"a", ["echo", "--rev", "echo"])


def test_keys_may_come_from_the_environment() -> None:
    found = line("--", "echo", env=["k", "z"])
    assert (found.request.key, found.request.range_end) == (b"k", b"z")
    assert found.command == ["echo"]


@pytest.mark.parametrize(
    ("words", "env", "complaint"),
    [
        ((), [], "bad number of arguments"),
        (("--rev=1",), [], "bad number of arguments"),
        (("--",), [], "bad number of arguments (found separator --, but no commands)"),
        (("a", "--"), [], "bad number of arguments (found separator --, but no commands)"),
        (("a",), ["k"], "bad number of arguments (found conflicting environment key)"),
        (("a", "--", "x"), ["k"], "bad number of arguments (found conflicting environment key)"),
    ],
)
def test_a_wrong_number_of_words_is_refused(words, env, complaint: str) -> None:
    with pytest.raises(CommandError) as caught:
        line(*words, env=env)
    assert (str(caught.value), caught.value.code) == (complaint, 128)


def test_an_end_and_a_prefix_contradict_each_other() -> None:
    with pytest.raises(InvalidWatch, match="mutually exclusive"):
        line("a", "b", "--prefix")


def test_an_end_in_the_environment_needs_a_key() -> None:
    assert keys_from({}) == []
    assert keys_from({"ETCDCTL_WATCH_KEY": "k"}) == ["k"]
    with pytest.raises(CommandError, match=r'WATCH_KEY is empty but got .*RANGE_END="z"'):
        keys_from({"ETCDCTL_WATCH_RANGE_END": "z"})
