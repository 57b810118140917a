"""Messages to systemd through a socket of our own."""

import os
import socket
import subprocess

import pytest

from petcd.cli.systemd import READY, STOPPING, Notifier


@pytest.fixture
def supervisor():
    """(socket that receives, what NOTIFY_SOCKET shall be)"""
    made = []

    def make(address):
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.settimeout(5)
        receiver.bind("\0" + address[1:] if address.startswith("@") else address)
        made.append(receiver)
        return receiver

    yield make
    for receiver in made:
        receiver.close()


@pytest.mark.parametrize("abstract", [False, True])
def test_states_arrive_at_a_path_and_at_an_abstract_name(supervisor, tmp_path, abstract):
    address = f"@petcd-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    receiver = supervisor(address)
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.send(READY)
    notifier.send(STOPPING)
    assert [receiver.recv(100), receiver.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_the_message_is_the_one_that_systemd_notify_sends(supervisor, tmp_path):
    address = str(tmp_path / "notify")
    receiver = supervisor(address)
    command = ["systemd-notify", "--ready", "--no-block"]
    environment = {**os.environ, "NOTIFY_SOCKET": address}
    try:
        subprocess.run(command, env=environment, check=True, timeout=20, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("there is no systemd-notify that runs here")
    assert READY.encode() in receiver.recv(1000).splitlines()


def test_without_a_supervisor_nothing_happens():
    Notifier({}).send(READY)


def test_a_supervisor_that_is_gone_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError):
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send(READY)


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_signs_of_life_come_twice_in_the_time_that_is_allowed(environment, seconds):
    assert Notifier(environment).watchdog_s == seconds
