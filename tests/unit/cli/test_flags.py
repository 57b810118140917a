"""Flags as pflag reads them."""

import pytest

from petcd.cli.flags import BOOL, DURATION, HELP, INT, STRING, STRINGS, Flag, FlagError, FlagSet

FLAGS = [
    Flag("write-out", STRING, "simple", "", "w"),
    Flag("hex", BOOL, False, "", "x"),
    Flag("limit", INT, 0, ""),
    Flag("wait", DURATION, 5_000_000_000, ""),
    Flag("endpoints", STRINGS, ["a", "b"], ""),
    HELP,
]


def parsed(*words: str) -> FlagSet:
    flags = FlagSet(FLAGS)
    flags.parse(words)
    return flags


def test_defaults_hold_until_something_is_given() -> None:
    flags = parsed()
    assert flags.string("write-out") == "simple"
    assert not flags.boolean("hex")
    assert flags.seconds("wait") == 5.0
    assert flags.strings("endpoints") == ["a", "b"]
    assert flags.given == set()


@pytest.mark.parametrize(
    "words",
    [
        ("--write-out=json",),
        ("--write-out", "json"),
        ("-w", "json"),
        ("-wjson",),
        ("-w=json",),
        ("-xw", "json"),
        ("-xwjson",),
        ("--write-out=simple", "--write-out=json"),
    ],
)
def test_a_value_may_be_written_in_many_ways(words) -> None:
    assert parsed(*words).string("write-out") == "json"


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (("--hex",), True),
        (("-x",), True),
        (("--hex=true",), True),
        (("--hex=0",), False),
        (("-x=false",), False),
    ],
)
def test_a_boolean_takes_its_value_only_with_an_equals_sign(words, value: bool) -> None:
    flags = parsed(*words, "false")
    assert flags.boolean("hex") is value
    assert flags.args == ["false"]


def test_flags_and_arguments_may_be_mixed() -> None:
    flags = parsed("a", "--limit", "0x10", "b", "-", "--wait=1m", "c")
    assert flags.args == ["a", "b", "-", "c"]
    assert (flags.integer("limit"), flags.seconds("wait")) == (16, 60.0)
    assert flags.dash is None


def test_two_dashes_end_the_flags() -> None:
    flags = parsed("a", "--", "--limit", "-x", "--")
    assert flags.args == ["a", "--limit", "-x", "--"]
    assert flags.dash == 1


def test_a_list_replaces_its_default_and_then_grows() -> None:
    assert parsed("--endpoints=c,d", "--endpoints", "e").strings("endpoints") == ["c", "d", "e"]
    assert parsed('--endpoints="a,b",c').strings("endpoints") == ["a,b", "c"]
    assert parsed("--endpoints=").strings("endpoints") == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--nope",), "unknown flag: --nope"),
        (("--nope=1",), "unknown flag: --nope"),
        (("-q",), "unknown shorthand flag: 'q' in -q"),
        (("-xq5",), "unknown shorthand flag: 'q' in -q5"),
        (("--limit",), "flag needs an argument: --limit"),
        (("-w",), "flag needs an argument: 'w' in -w"),
        (("--=",), "bad flag syntax: --="),
        (("---x",), "bad flag syntax: ---x"),
        (
            ("--limit=x",),
            'invalid argument "x" for "--limit" flag: strconv.ParseInt: parsing "x": '
            "invalid syntax",
        ),
        (
            ("-x=maybe",),
            'invalid argument "maybe" for "-x, --hex" flag: strconv.ParseBool: parsing "maybe": '
            "invalid syntax",
        ),
        (
            ("--wait=5",),
            'invalid argument "5" for "--wait" flag: time: missing unit in duration "5"',
        ),
    ],
)
def test_a_bad_command_line_is_named_as_pflag_does(words, complaint: str) -> None:
    with pytest.raises(FlagError) as caught:
        parsed(*words)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("flag", "value", "shown"),
    [
        (FLAGS[1], True, "true"),
        (FLAGS[3], 90_000_000_000, "1m30s"),
        (FLAGS[4], ["a", "b,c", 'd"e'], '[a,"b,c","d""e"]'),
        (FLAGS[2], 7, "7"),
    ],
)
def test_values_are_shown_as_go_shows_them(flag: Flag, value, shown: str) -> None:
    assert flag.shown(value) == shown
