"""The `etcd` command as a user meets it: good and bad starts, signals, the terminal.

Every bad start ends with a message of one line that says what is wrong, never with a traceback,
and leaves what it found as it was.
"""

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

COMMAND = [sys.executable, "-m", "petcd.cli.etcd"]
START_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def flags(data_dir, port, peer_port=None):
    while peer_port is None or peer_port == port:
        peer_port = free_port()
    peer = f"http://127.0.0.1:{peer_port}"
    return [
        "--data-dir",
        str(data_dir),
        "--listen-client-urls",
        f"http://127.0.0.1:{port}",
        "--advertise-client-urls",
        f"http://127.0.0.1:{port}",
        "--listen-peer-urls",
        peer,
        "--initial-advertise-peer-urls",
        peer,
        "--initial-cluster",
        f"default={peer}",
    ]


def wait_until_healthy(port, process):
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None, process.stderr.read()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1) as answer:
                return json.loads(answer.read())
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the member did not become healthy")


class Started:
    def __init__(self, data_dir, *more, port=None):
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [*COMMAND, *flags(data_dir, self.port), *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.health = wait_until_healthy(self.port, self.process)

    def end(self, number=signal.SIGTERM):
        """(exit code, seconds it took, standard error)."""
        started = time.monotonic()
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, time.monotonic() - started, errors


def failed_start(*arguments, **environment):
    """(exit code, standard error) of a start that must fail."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_sigterm_stops_within_two_seconds_and_the_next_start_goes_on(tmp_path):
    first = Started(tmp_path / "d")
    body = b'{"health":"true","reason":""}'
    assert first.health == json.loads(body)
    code, took_s, errors = first.end()
    assert code == 0 and took_s < 2.0
    assert json.loads(errors.splitlines()[-1])["msg"] == "closed etcd server"
    second = Started(tmp_path / "d")
    code, took_s, errors = second.end(signal.SIGINT)
    assert code == 0 and took_s < 2.0
    starting = next(json.loads(line) for line in errors.splitlines())
    assert starting["applied-index"] > 0


def test_open_streams_do_not_hold_up_the_stop(tmp_path):
    started = Started(tmp_path / "d")
    idle = socket.create_connection(("127.0.0.1", started.port))
    idle.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    code, took_s, _ = started.end()
    idle.close()
    assert code == 0 and took_s < 2.0


def test_the_second_process_on_a_directory_is_told_who_has_it(tmp_path):
    first = Started(tmp_path / "d")
    code, errors = failed_start(*flags(tmp_path / "d", free_port()))
    assert code == 1
    assert f"is in use by process {first.process.pid}" in errors
    assert first.end()[0] == 0


def test_a_taken_port_is_named(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, errors = failed_start(*flags(tmp_path / "d", port))
        assert code == 1
        assert f"listen tcp 127.0.0.1:{port}: bind: address already in use" in errors
        code, errors = failed_start(*flags(tmp_path / "d", free_port(), port))
        assert code == 1 and f"127.0.0.1:{port}" in errors
    assert not (tmp_path / "d").exists()


def test_one_port_for_clients_and_peers_is_refused(tmp_path):
    port = free_port()
    words = flags(tmp_path / "d", port)
    words[words.index("--listen-peer-urls") + 1] = f"http://127.0.0.1:{port}"
    code, errors = failed_start(*words)
    assert code == 1 and "ddress already in use" in errors


def test_a_foreign_directory_is_left_alone(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.tex").write_text("mine")
    code, errors = failed_start(*flags(tmp_path / "d", free_port()))
    assert code == 1 and "thesis.tex" in errors
    assert os.listdir(tmp_path / "d") == ["thesis.tex"]


def test_a_file_in_place_of_the_directory_is_told(tmp_path):
    (tmp_path / "d").write_text("a file")
    code, errors = failed_start(*flags(tmp_path / "d", free_port()))
    assert code == 1 and str(tmp_path / "d") in errors


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into read-only directories")
def test_a_read_only_directory_is_told(tmp_path):
    (tmp_path / "ro").mkdir(mode=0o500)
    code, errors = failed_start(*flags(tmp_path / "ro" / "d", free_port()))
    assert code == 1 and "ermission denied" in errors


def test_a_directory_that_cannot_be_made_is_told():
    code, errors = failed_start(*flags("/proc/nowhere/d", free_port()))
    assert code == 1 and "/proc/nowhere" in errors


def test_damage_in_the_log_is_refused_with_file_and_offset(tmp_path):
    started = Started(tmp_path / "d")
    started.end()
    directory = tmp_path / "d" / "member" / "wal"
    segment = next(directory.iterdir())
    data = bytearray(segment.read_bytes())
    data[30] ^= 0xFF
    segment.write_bytes(data)
    code, errors = failed_start(*flags(tmp_path / "d", free_port()))
    assert code == 1
    assert "log damaged" in errors and segment.name in errors and "offset" in errors
    assert segment.read_bytes() == bytes(data)


def test_mistakes_on_the_command_line_exit_with_two_and_show_the_usage():
    code, errors = failed_start("--nonsense")
    assert code == 2
    assert errors.splitlines()[0] == "flag provided but not defined: -nonsense"
    assert "Usage:" in errors


def test_a_flag_and_its_variable_conflict():
    code, errors = failed_start("--name", "a", ETCD_NAME="b")
    assert code == 1 and "conflicting environment variable" in errors


def test_help_and_version_exit_with_zero():
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    assert "--listen-client-urls" in done.stdout and "Usage:" in done.stderr
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("etcd Version: 3.5.")
    assert lines[1].startswith("petcd Version: ")


def test_a_terminal_gets_a_banner_that_tells_what_to_try(tmp_path):
    port = free_port()
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *flags(tmp_path / "d", port)], stderr=follower, stdout=follower
    )
    os.close(follower)
    text = ""
    until = time.monotonic() + START_S
    while "Ctrl-C" not in text and time.monotonic() < until:
        if select.select([leader], [], [], 0.1)[0]:
            text += os.read(leader, 65536).decode()
    process.terminate()
    process.wait(20)
    os.close(leader)
    assert f"127.0.0.1:{port} put hello world" in text
    assert str(tmp_path / "d") in text


def test_the_data_directory_is_for_its_owner_alone(tmp_path):
    started = Started(tmp_path / "d")
    assert os.stat(tmp_path / "d").st_mode & 0o777 == 0o700
    for folder, _, names in os.walk(tmp_path / "d"):
        for name in names:
            assert os.stat(os.path.join(folder, name)).st_mode & 0o077 == 0, name
    started.end()
