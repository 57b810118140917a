"""The same calls of the v2 API on petcd and on the real etcd: status, headers and body agree."""

import contextlib
import http.client
import json
import re
import subprocess
from collections.abc import Iterator

import pytest
from etcdctl_runs import program
from peers import start
from v2_calls import DIFFERENCES, NEW_MEMBER, SCRIPT, Player, delete, get, put

pytestmark = pytest.mark.real_etcd


@pytest.fixture(scope="module")
def players() -> Iterator[dict[str, Player]]:
    """One server of each kind; the groups of the script follow each other on them."""
    with contextlib.ExitStack() as stack:
        found = {}
        for kind in ("petcd", "etcd"):
            peer = stack.enter_context(contextlib.closing(start(kind, "--enable-v2=true")))
            found[kind] = Player(peer.server.port)
        yield found


@pytest.mark.parametrize("group", SCRIPT)
def test_every_call_is_answered_as_by_etcd(players, group):
    differences = []
    for call in SCRIPT[group]:
        petcd, etcd = players["petcd"].play(call), players["etcd"].play(call)
        for what in petcd._fields:
            ours, theirs = getattr(petcd, what), getattr(etcd, what)
            if ours != theirs:
                differences.append(
                    f"{str(call)[:120]}: {what}\n  petcd {ours!s:.600}\n  etcd  {theirs!s:.600}"
                )
    assert not differences, "\n" + "\n".join(differences)


def test_the_differences_are_those_that_the_page_names(players):
    for call, petcd, etcd in DIFFERENCES:
        statuses = players["petcd"].ask(call)[0], players["etcd"].ask(call)[0]
        assert statuses == (petcd, etcd), str(call)
    assert players["petcd"].base == 1
    assert players["etcd"].base == 3


def test_a_watch_from_the_past_goes_on_with_what_is_new(players):
    player = players["petcd"]
    index = int(player.ask(put("/s", "value=1"))[1]["x-etcd-index"])
    player.ask(put("/s", "value=2"))
    connection = http.client.HTTPConnection("127.0.0.1", player.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", f"/v2/keys/s?wait=true&stream=true&waitIndex={index}")
        response = connection.getresponse()
        for value in (b'"value":"1"', b'"value":"2"'):
            assert value in response.readline()
        player.ask(put("/s", "value=3"))
        assert b'"value":"3"' in response.readline()
        player.ask(delete("/s"))
        assert b'"action":"delete"' in response.readline()


def test_headers_of_a_watch_come_before_its_event(players):
    for player in players.values():
        status, headers, body = player.ask(get("/h?wait=true", during=(put("/h", "value=x"),)))
        assert (status, headers["content-type"]) == (200, "application/json")
        # The head tells the index at which the watch began, not that of its event.
        event_index = int(player.ask(get("/h"))[1]["x-etcd-index"])
        assert int(headers["x-etcd-index"]) == event_index - 1
        assert body.endswith(b"}\n")


def test_a_watch_from_what_is_forgotten_is_refused(players):
    """etcd forgets after 1000 events, petcd what is compacted."""
    for _ in range(1001):
        players["etcd"].ask(put("/many", "value=x"))
    now = players["petcd"].index()
    command = [*program("petcd"), "--endpoints", f"127.0.0.1:{players['petcd'].port}"]
    subprocess.run([*command, "compaction", str(now)], check=True, stdout=subprocess.DEVNULL)
    for player in players.values():
        status, headers, body = player.ask(get("/many?wait=true&waitIndex=1"))
        error = json.loads(body)
        assert (status, error["errorCode"]) == (400, 401)
        assert error["message"] == "The event in requested index is outdated and cleared"
        assert re.fullmatch(r"the requested history has been cleared \[\d+/1\]", error["cause"])
        assert error["index"] == player.index() == int(headers["x-etcd-index"])


def test_a_member_is_added_as_by_etcd(players):
    """Last, for a cluster of two needs both."""
    petcd, etcd = (players[kind].play(NEW_MEMBER) for kind in ("petcd", "etcd"))
    assert petcd.status == 201
    assert petcd == etcd
