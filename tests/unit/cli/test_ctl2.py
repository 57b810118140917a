"""The commands of API 2: which set a line means, flags, and what needs no real server."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_http import Answers, Asked, FakeHttp, answer, answering

from petcd.cli.ctl.v3 import ROOT as SET_3
from petcd.cli.ctl2 import go_flags
from petcd.cli.ctl2.table import ROOT as SET_2
from petcd.cli.etcdctl import ONLY_IN_SET_2
from petcd.cli.flags import BOOL, INT, STRING, Flag, FlagError, FlagSet
from petcd.client import srv

http = pytest.fixture(answering, name="http")
Http = Callable[[Answers], FakeHttp]

NODE = '{"action":"set","node":{"key":"/a","value":"1","modifiedIndex":5,"createdIndex":4}}'


def one_member(asked: Asked) -> bytes:
    """A cluster that has published nothing that helps, and takes every write."""
    if "/v2/members" in asked.line:
        return answer("busy", "404 Not Found")
    return answer(NODE)


# -- which set ------------------------------------------------------------------------------------


def test_names_of_one_set_only_are_known_as_such() -> None:
    names_2 = {entry.name for entry in SET_2.entries}
    names_3 = {entry.name for entry in SET_3.entries}
    assert names_2 >= ONLY_IN_SET_2
    # These are in both or will be.
    both = {"get", "watch", "member", "user", "role", "auth"}
    assert names_2 - ONLY_IN_SET_2 == both
    assert not ONLY_IN_SET_2 & names_3


@pytest.mark.parametrize("words", [("ls",), ("-o", "json", "ls"), ("--no-sync", "-C", "x", "ls")])
def test_a_name_that_only_set_2_has_needs_no_variable(etcdctl, words) -> None:
    ran = etcdctl(*words, "--help")
    assert (ran.code, ran.out[:17]) == (0, "NAME:\n   etcdctl ")


def test_the_variable_decides_about_names_of_both(etcdctl) -> None:
    assert "--quorum, -q" in etcdctl("get", "--help", API="2").out
    assert "--consistency" in etcdctl("get", "--help", API="3").out
    assert "--consistency" in etcdctl("get", "--help").out


def test_the_variable_excludes_the_other_set(etcdctl) -> None:
    ran = etcdctl("put", "a", "b", API="2")
    assert (ran.code, ran.err) == (3, "No help topic for 'put'\n")
    ran = etcdctl("ls", API="3")
    assert ran.code == 1 and 'unknown command "ls"' in ran.err


def test_an_argument_that_looks_like_a_command_of_the_other_set_is_none(etcdctl) -> None:
    ran = etcdctl("get", "set", "--nope")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "Error: unknown flag: --nope")


@pytest.mark.parametrize("api", ["2", "3"])
def test_the_help_tells_of_both_sets(etcdctl, api: str) -> None:
    shown = etcdctl("--help", API=api).out
    assert "ETCDCTL_API=2" in shown and "API 3" in shown and "API 2" in shown


# -- flags ----------------------------------------------------------------------------------------


def read(*words: str) -> tuple[dict[str, object], list[str]]:
    flags = FlagSet(
        [
            Flag("ttl", INT, 0, ""),
            Flag("recursive", BOOL, False, "", "r"),
            Flag("with-value", STRING, "", ""),
        ]
    )
    go_flags.read(flags, go_flags.flags_first(flags, words))
    return dict(flags.values), flags.args


@pytest.mark.parametrize(
    ("words", "values", "args"),
    [
        (("/k", "v", "--ttl", "60"), {"ttl": 60}, ["/k", "v"]),
        (("/k", "-ttl=0x10", "v"), {"ttl": 16}, ["/k", "v"]),
        (("-r", "/k"), {"recursive": True}, ["/k"]),
        (("/k", "-r", "v"), {"recursive": True}, ["v", "/k"]),  # as in the original
        (("-r=false", "/k"), {"recursive": False}, ["/k"]),
        (("/k", "--nope"), {}, ["/k", "--nope"]),
        (("/k", "-1"), {}, ["/k", "-1"]),
        (("--", "/k", "-v"), {}, ["/k", "-v"]),
        (("/k", "--", "--ttl", "1"), {}, ["/k", "--", "--ttl", "1"]),
        (("/k", "-r", "--", "cmd"), {"recursive": True}, ["/k", "--", "cmd"]),
        (("-", "/k"), {}, ["-", "/k"]),
        (("--with-value", "", "/k"), {"with-value": ""}, ["/k"]),
    ],
)
def test_flags_are_read_as_gos_library_reads_them(words, values, args) -> None:
    assert read(*words) == (values, args)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--nope",), "flag provided but not defined: -nope"),
        (("---ttl",), "bad flag syntax: ---ttl"),
        (("-=",), "bad flag syntax: -="),
        (("--ttl",), "flag needs an argument: -ttl"),
        (("--ttl", "x"), 'invalid value "x" for flag -ttl: parse error'),
        (("--ttl=" + "9" * 20,), f'invalid value "{"9" * 20}" for flag -ttl: value out of range'),
        (("-r=x",), 'invalid boolean value "x" for -r: parse error'),
        (("-r", "--recursive"), "Cannot use two forms of the same flag: r recursive"),
    ],
)
def test_a_flag_that_cannot_be_read_is_complained_about(words, complaint: str) -> None:
    with pytest.raises(FlagError, match=f"^{complaint}$"):
        read(*words)


# -- endpoints ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        ({"ENDPOINTS": "{good}", "ENDPOINT": "bad:1", "PEERS": "bad:1"}, ()),
        ({"ENDPOINTS": "{good}"}, ("--endpoint", "bad:1")),
        ({"ENDPOINT": "{good}"}, ("--peers", "bad:1")),
        ({"PEERS": "bad:1"}, ("--endpoint", "{good}")),
        ({"ENDPOINTS": "bad:1"}, ("--endpoints", "{good}")),
        ({}, ("-C", "{good}")),
    ],
    ids=str,
)
def test_the_first_source_of_endpoints_that_says_something_counts(etcdctl, http, given) -> None:
    server = http(one_member)
    variables = {name: text.replace("{good}", server.url) for name, text in given[0].items()}
    words = [word.replace("{good}", server.url) for word in given[1]]
    ran = etcdctl(*words, "set", "/a", "1", API="2", **variables)
    assert (ran.code, ran.out) == (0, "1\n")


def test_endpoints_from_dns_come_first_and_insecure_ones_must_be_allowed(
    etcdctl, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = http(one_member)
    host, _, port = server.url.rpartition("/")[2].partition(":")

    def lookup(service: str, domain: str) -> list[srv.Target]:
        assert domain == "example.com"
        if service != "etcd-client-blue":
            raise srv.LookupFailed(f"lookup {service}: no such host")
        return [srv.Target(host, int(port), 0, 0)]

    monkeypatch.setattr(srv, "resolver", lambda: lookup)
    words = ("--no-sync", "-D", "example.com", "set", "/a", "1")
    allowed = {"INSECURE_DISCOVERY": "1", "DISCOVERY_SRV_NAME": "blue", "ENDPOINTS": "bad:1"}
    assert etcdctl(*words, API="2", **allowed).out == "1\n"
    ran = etcdctl(*words, API="2", DISCOVERY_SRV_NAME="blue", ENDPOINTS="http://127.0.0.1:1")
    assert (ran.code, ran.err.splitlines()[0]) == (
        4,
        f'ignoring discovered insecure endpoint "{server.url}"',
    )
    ran = etcdctl(*words, API="2")
    assert (ran.code, ran.err[:18]) == (1, "dns lookup errors:")


def test_nothing_published_is_explained(etcdctl, http: Http) -> None:
    server = http(lambda asked: answer('{"members":[]}'))
    ran = etcdctl("ls", ENDPOINTS=server.url)
    assert ran.code == 4
    assert ran.err == (
        "etcd cluster has no published client endpoints.\n"
        f"Try '--no-sync' if you want to access non-published client endpoints({server.url}).\n"
        "Error:  client: no endpoints available\n"
    )


def test_a_password_is_asked_for(etcdctl, http: Http) -> None:
    server = http(one_member)
    words = ("--no-sync", "-u", "me", "get", "/a")
    ran = etcdctl(*words, stdin=b"secret\n", API="2", ENDPOINTS=server.url)
    assert ran.out == "Password: \n1\n"
    assert "Authorization: Basic bWU6c2VjcmV0" in server.asked[0].head


def test_tls_files_that_are_not_there_are_told(etcdctl) -> None:
    ran = etcdctl("--ca-file", "/none", "--no-sync", "--endpoints", "https://127.0.0.1:1", "ls")
    assert ran.code == 4 and "connection refused" in ran.err


# -- members, users, roles ------------------------------------------------------------------------


def test_an_unhealthy_member_spoils_the_verdict(etcdctl, http: Http) -> None:
    sick = http(lambda asked: answer('{"health":"false"}', "503 Service Unavailable"))
    members = [
        {"id": "1", "name": "a", "clientURLs": [sick.url]},
        {"id": "2", "name": "b", "clientURLs": ["http://127.0.0.1:1"]},
        {"id": "3"},
        {"id": "4", "name": "d", "clientURLs": ["http://127.0.0.1:1", "(self)"]},
    ]

    def answers(asked: Asked) -> bytes:
        if asked.line == "GET /health":
            return answer('{"health":true}')
        return answer(json.dumps({"members": members}))

    server = http(answers)
    members[3]["clientURLs"] = ["http://127.0.0.1:1", server.url]
    ran = etcdctl("cluster-health", ENDPOINTS=server.url)
    refused = 'Get "http://127.0.0.1:1/health": dial tcp 127.0.0.1:1: connect: connection refused'
    assert ran.out.splitlines() == [
        f"member 1 is unhealthy: got unhealthy result from {sick.url}",
        f"failed to check the health of member 2 on http://127.0.0.1:1: {refused}",
        "member 2 is unreachable: [http://127.0.0.1:1] are all unreachable",
        "member 3 is unreachable: no available published client urls",
        f"failed to check the health of member 4 on http://127.0.0.1:1: {refused}",
        f"member 4 is healthy: got healthy result from {server.url}",
        "cluster is degraded",
    ]
    assert (ran.code, ran.err) == (5, "")


def test_a_member_without_a_name_has_not_started(etcdctl, http: Http) -> None:
    fields = {"id": "a1", "name": "", "peerURLs": ["http://x:1", "http://y:1"], "clientURLs": []}

    def answers(asked: Asked) -> bytes:
        listed = {"members": [fields]}
        return answer(json.dumps(fields if asked.line.endswith("leader") else listed))

    server = http(answers)
    ran = etcdctl("--no-sync", "member", "list", API="2", ENDPOINTS=server.url)
    assert ran.out == "a1[unstarted]: peerURLs=http://x:1,http://y:1\n"


USER = '{"user":"u","roles":["a","b"]}'
ROLE = '{"role":"r","permissions":{"kv":{"read":["/a"],"write":null}}}'


@pytest.mark.parametrize(
    ("words", "line", "body", "reply", "out"),
    [
        ("user add u:p", "PUT /v2/auth/users/u", '"password":"p"', USER, "User u created\n"),
        ("user get u", "GET /v2/auth/users/u", "", USER, "User: u\nRoles:   a b\n"),
        ("user list", "GET /v2/auth/users", "", '{"users":[{"user":"u"}]}', "u\n"),
        ("user remove u", "DELETE /v2/auth/users/u", "", "", "User u removed\n"),
        (
            "user grant u --roles a --roles b",
            "PUT /v2/auth/users/u",
            '"grant":["a","b"]',
            USER,
            "User u updated\n",
        ),
        ("user revoke u --roles a", "PUT /v2/auth/users/u", '"revoke":["a"]', USER, None),
        ("user passwd u", "PUT /v2/auth/users/u", '"password":"typed"', USER, None),
        ("role get r", "GET /v2/auth/roles/r", "", ROLE, "Role: r\nKV Read:\n\t/a\nKV Write:\n"),
        ("role list", "GET /v2/auth/roles", "", '{"roles":[{"role":"r"}]}', "r\n"),
        ("role remove r", "DELETE /v2/auth/roles/r", "", "", "Role r removed\n"),
        (
            "role grant r --path /b --readwrite",
            "PUT /v2/auth/roles/r",
            '"grant":{"kv":{"read":["/b"],"write":["/b"]}}',
            ROLE,
            "Role unchanged; already grantedRole r updated\n",
        ),
        (
            "role revoke r --path /b --write",
            "PUT /v2/auth/roles/r",
            '"revoke":{"kv":{"read":null,"write":["/b"]}}',
            ROLE,
            "Role unchanged; already revokedRole r updated\n",
        ),
        ("auth enable", "PUT /v2/auth/enable", "", "", "Authentication Enabled\n"),
        ("auth disable", "DELETE /v2/auth/enable", "", "", "Authentication Disabled\n"),
    ],
)
def test_access_control_is_asked_for_as_etcd_does(
    etcdctl, http: Http, words: str, line: str, body: str, reply: str, out: str | None
) -> None:
    server = http(lambda asked: answer(reply))
    ran = etcdctl("--no-sync", *words.split(), stdin=b"typed\n", API="2", ENDPOINTS=server.url)
    assert (ran.code, ran.err) == (0, "")
    assert server.asked[-1].line == line
    assert body in server.asked[-1].body
    assert out is None or ran.out == out


def test_what_access_control_refuses_is_said_in_the_servers_words(etcdctl, http: Http) -> None:
    server = http(lambda asked: answer('{"message":"auth: no"}', "409 Conflict"))
    ran = etcdctl("--no-sync", "auth", "enable", API="2", ENDPOINTS=server.url)
    assert (ran.code, ran.err) == (1, "auth: no\n")


def test_a_server_without_access_control_is_told_by_its_status(etcdctl, http: Http) -> None:
    server = http(lambda asked: answer("404 page not found", "404 Not Found"))
    ran = etcdctl("--no-sync", "user", "list", API="2", ENDPOINTS=server.url)
    assert (ran.code, ran.err) == (1, "unexpected status code 404\n")


# -- import ---------------------------------------------------------------------------------------


def snapshot(path: Path) -> Path:
    """The tree of an etcd 0.4 store."""
    never = "0001-01-01T00:00:00Z"

    def file(name: str, expires: str = never) -> dict[str, object]:
        return {"Path": name, "Value": f"of {name}", "ExpireTime": expires, "Children": None}

    def directory(name: str, **children: object) -> dict[str, object]:
        return {"Path": name, "Value": "", "ExpireTime": never, "Children": children}

    inner = directory("/d", b=file("/d/b", "2020-01-02T03:04:05.123456789Z"), _x=file("/d/_x"))
    hidden = directory("/_h", c=file("/_h/c", "2999-01-02T03:04:05+01:00"))
    root = directory("/", a=file("/a", "1999-01-01T00:00:00Z"), d=inner, _h=hidden)
    path.write_text(json.dumps({"Root": root, "CurrentIndex": 9}))
    return path


def test_import_writes_every_key_that_is_not_hidden(etcdctl, http: Http, tmp_path: Path) -> None:
    server = http(one_member)
    file = snapshot(tmp_path / "snap")
    words = ("import", "--snap", str(file), "--hidden", "/_h", "-c", "2")
    ran = etcdctl(*words, ENDPOINTS=server.url)
    assert ran.out == (
        f"starting to import snapshot {file} with 2 clients\nfinished importing 3 keys\n"
    )
    written = {asked.line: asked.body for asked in server.asked if asked.line.startswith("PUT")}
    assert written["PUT /v2/keys/a"] == "value=of+%2Fa"
    assert written["PUT /v2/keys/d/b"] == "ttl=300&value=of+%2Fd%2Fb"
    ttl = written["PUT /v2/keys/_h/c"].partition("&")[0]
    assert int(ttl.removeprefix("ttl=")) > 1e9
    assert len(written) == 3


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ((), 1, "no snapshot file provided (use --snap)"),
        (("--snap", "/none"), 1, "cannot read snapshot file /none"),
        (("--snap", "{bad}"), 1, "{bad} is no snapshot of etcd 0.4"),
        (("--snap", "{good}", "--hidden", "/x"), 4, "Error:  100: Key not found (/x) [0]"),
    ],
)
def test_import_needs_a_snapshot(etcdctl, tmp_path, words, code: int, complaint: str) -> None:
    (tmp_path / "bad").write_text('{"Root":[]}')
    places = {"{bad}": str(tmp_path / "bad"), "{good}": str(snapshot(tmp_path / "good"))}
    filled = [places.get(word, word) for word in words]
    ran = etcdctl("import", *filled)
    for name, path in places.items():
        complaint = complaint.replace(name, path)
    assert (ran.code, ran.err.splitlines()[-1]) == (code, complaint)
