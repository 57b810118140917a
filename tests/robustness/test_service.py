"""A member as systemd runs it: settings from the environment file, news through the socket."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from bench.servers import free_ports
from petcd.cli.render import Place, environment_file

COMMAND = [sys.executable, "-m", "petcd.cli.etcd"]
WAIT_S = 30.0


class Unit:
    """One process with its environment file, and the socket to which it reports."""

    def __init__(self, tmp_path, text, **more):
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        settings = dict("".join(shlex.split(line)).split("=", 1) for line in lines)
        address = str(tmp_path / f"notify-{settings['ETCD_NAME']}")
        self.reports = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.reports.settimeout(WAIT_S)
        self.reports.bind(address)
        environment = {**os.environ, **settings, "NOTIFY_SOCKET": address, **more}
        self.process = subprocess.Popen(COMMAND, env=environment, stderr=subprocess.DEVNULL)

    def report(self):
        return self.reports.recv(100).decode()

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_S)
        self.reports.close()
        return code


@pytest.fixture
def start(tmp_path):
    units = []

    def start(text, **more):
        units.append(Unit(tmp_path, text, **more))
        return units[-1]

    yield start
    for unit in units:
        unit.end()


def test_a_member_is_ready_when_it_serves_and_says_when_it_stops(start, tmp_path):
    client, peer = free_ports(2)
    place = Place("solo", "127.0.0.1", client, peer)
    unit = start(environment_file(place, [place], str(tmp_path / "data"), "t"))
    assert unit.report() == "READY=1"
    with urllib.request.urlopen(f"http://127.0.0.1:{client}/health", timeout=5) as answer:
        assert answer.status == 200
    unit.process.send_signal(signal.SIGTERM)
    assert unit.report() == "STOPPING=1"
    assert unit.end() == 0


def test_a_watchdog_gets_its_signs_of_life(start, tmp_path):
    client, peer = free_ports(2)
    place = Place("solo", "127.0.0.1", client, peer)
    text = environment_file(place, [place], str(tmp_path / "data"), "t")
    unit = start(text, WATCHDOG_USEC="100000")
    assert [unit.report() for _ in range(4)] == ["READY=1", *["WATCHDOG=1"] * 3]


def test_a_supervisor_that_went_away_does_not_stop_the_member(start, tmp_path):
    client, peer = free_ports(2)
    place = Place("solo", "127.0.0.1", client, peer)
    text = environment_file(place, [place], str(tmp_path / "data"), "t")
    unit = start(text, WATCHDOG_USEC="50000")
    assert unit.report() == "READY=1"
    unit.reports.close()
    os.remove(tmp_path / "notify-solo")
    with urllib.request.urlopen(f"http://127.0.0.1:{client}/health", timeout=5) as answer:
        assert answer.status == 200


def test_three_environment_files_start_three_members_the_first_ready_with_the_second(
    start, tmp_path
):
    ports = free_ports(6)
    places = [
        Place(f"etcd-0-{n}", "127.0.0.1", ports[2 * k], ports[2 * k + 1])
        for k, n in enumerate((8, 14, 17))
    ]
    texts = [
        environment_file(each, places, str(tmp_path / each.name), "etcd-token") for each in places
    ]
    first = start(texts[0])
    first.reports.settimeout(1.0)
    with pytest.raises(TimeoutError):
        first.report()  # alone it is no majority
    first.reports.settimeout(WAIT_S)
    second = start(texts[1])
    assert [first.report(), second.report()] == ["READY=1"] * 2
    third = start(texts[2])
    assert third.report() == "READY=1"
    url = f"http://127.0.0.1:{places[2].client_port}/v2/members"
    with urllib.request.urlopen(url, timeout=5) as answer:
        members = json.loads(answer.read())["members"]
    assert {member["name"] for member in members} == {each.name for each in places}
