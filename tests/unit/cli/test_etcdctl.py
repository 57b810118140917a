"""The program: what happens before any server is asked."""

import json

import pytest

from petcd.version import ETCD_VERSION


def test_version_is_two_lines(etcdctl) -> None:
    assert etcdctl("version").out == f"etcdctl version: {ETCD_VERSION}\nAPI version: 3.5\n"


def test_without_a_command_the_help_is_shown(etcdctl) -> None:
    ran = etcdctl()
    assert ran.code == 0 and ran.out.startswith("NAME:\n    etcdctl - ")


@pytest.mark.parametrize("words", [("get", "-h"), ("help", "get"), ("get", "a", "b", "--help")])
def test_help_of_a_command_goes_to_stdout(etcdctl, words) -> None:
    ran = etcdctl(*words)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("NAME:\n    get - ")


def test_an_unknown_topic_is_named(etcdctl) -> None:
    ran = etcdctl("help", "nope")
    assert (ran.code, ran.err) == (0, "Unknown help topic [`nope`]\n")


def test_an_unknown_command_ends_with_1(etcdctl) -> None:
    ran = etcdctl("endpont")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        'Error: unknown command "endpont" for "etcdctl"\n\nDid you mean this?\n\tendpoint\n\n'
        "Run 'etcdctl --help' for usage.\n"
        'Error: unknown command "endpont" for "etcdctl"\n\nDid you mean this?\n\tendpoint\n\n'
    )


def test_a_bad_flag_shows_the_help_and_ends_with_1(etcdctl) -> None:
    ran = etcdctl("get", "--nope")
    assert (ran.code, ran.err) == (
        1,
        "Error: unknown flag: --nope\n\nError: unknown flag: --nope\n",
    )
    assert ran.out.startswith("NAME:\n    get - ")


@pytest.mark.parametrize("api", ["1", "4"])
def test_a_command_set_that_is_not_there_is_refused(etcdctl, api: str) -> None:
    ran = etcdctl("get", "a", API=api)
    assert (ran.code, ran.err) == (1, f"unsupported API version: {api}\n")


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("get",), 128, "get command needs one argument as key and an optional argument"),
        (("put", "a"), 128, "put command needs 1 argument and input from stdin or 2 arguments"),
        (("put", "a", "b", "--lease=zz"), 128, "bad lease ID (strconv.ParseInt"),
        (("get", "a", "--consistency=x"), 4, 'unknown consistency flag "x"'),
        (("get", "a", "-w", "nope"), 4, "unsupported output format"),
        (("compaction", "x"), 1, 'strconv.ParseInt: parsing "x": invalid syntax'),
        (("watch",), 128, "bad number of arguments"),
        (("txn", "x"), 128, "txn command does not accept argument"),
        (("txn",), 3, "EOF"),
        (("check", "perf", "--load=q"), 4, "unknown load option q"),
        (("get", "a", "--cacert="), 128, "empty string is passed to --cacert option"),
        (("get", "a", "--endpoints=https://h:1"), 128, "TLS"),
        (("get", "a", "--cert=x"), 128, "TLS"),
        (("get", "a", "-d", "no..domain"), 1, "dns lookup errors: "),
        (("defrag", "--data-dir=x"), 1, "no member's data in x"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(etcdctl, words, code: int, complaint: str) -> None:
    ran = etcdctl(*words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert ran.err.startswith("Error: ") and complaint in ran.err


def test_a_flag_and_its_variable_together_are_refused(etcdctl) -> None:
    ran = etcdctl("get", "a", "-w", "json", WRITE_OUT="json")
    line = json.loads(ran.err)
    assert ran.code == 1
    assert (line["level"], line["environment-variable"]) == ("fatal", "ETCDCTL_WRITE_OUT")


def test_settings_are_shown_with_debug(etcdctl) -> None:
    ran = etcdctl("get", "a", "--debug", "-w", "nope", ENDPOINTS="b:1,c:2", HEX="true")
    shown = ran.err.splitlines()
    assert "ETCDCTL_ENDPOINTS=[b:1,c:2]" in shown
    assert "ETCDCTL_HEX=true" in shown
    assert shown[:-1] == sorted(shown[:-1])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NOPE", "1", "unrecognized environment variable"),
        ("PREFIX", "true", "unrecognized environment variable"),
        ("HEX", "", "unrecognized environment variable"),
        ("HEX", "maybe", "environment variable cannot be read, using the default"),
        ("DIAL_TIMEOUT", "x", "environment variable cannot be read, using the default"),
    ],
)
def test_a_variable_that_says_nothing_is_warned_about(etcdctl, name, value, message) -> None:
    first, last = etcdctl("get", "a", "-w", "nope", **{name: value}).err.splitlines()
    assert json.loads(first)["msg"] == message
    assert last == "Error: unsupported output format"
