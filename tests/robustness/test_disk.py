"""A disk that fills up: the process ends with one clear line, and nothing acknowledged is lost.

The disk is a small tmpfs, which only root can mount; elsewhere the test is skipped.
"""

import os
import re
import socket
import subprocess
import sys

import pytest

from petcd.client.connection import Connection
from petcd.client.errors import ClientError
from petcd.wire.kv import PutRequest, PutResponse, RangeRequest, RangeResponse

DISK_BYTES = 12 * 1024 * 1024
VALUE_BYTES = 100_000


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    options = f"size={DISK_BYTES}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def start(data_dir, port):
    listen = f"http://127.0.0.1:{port}"
    flags = {
        "--data-dir": str(data_dir),
        "--listen-client-urls": listen,
        "--advertise-client-urls": listen,
        "--listen-peer-urls": "http://127.0.0.1:0",
    }
    arguments = [word for pair in flags.items() for word in pair]
    return subprocess.Popen(
        [sys.executable, "-m", "petcd.cli.etcd", *arguments], stderr=subprocess.PIPE, text=True
    )


def connect(port, process):
    while process.poll() is None:
        try:
            sock = socket.create_connection(("127.0.0.1", port), timeout=1)
        except OSError:
            continue
        sock.setblocking(False)
        return sock, Connection(sock, "test")
    raise AssertionError(process.stderr.read())


def test_a_full_disk_ends_the_process_and_loses_nothing(small_disk):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(small_disk / "d", port)
    sock, connection = connect(port, process)
    acknowledged = 0
    with pytest.raises(ClientError):
        for number in range(1000):
            request = PutRequest(key=b"%d" % number, value=os.urandom(VALUE_BYTES))
            answer = connection.unary(b"/etcdserverpb.KV/Put", request.encode(), 10.0)
            assert PutResponse.decode(answer).header is not None
            acknowledged = number + 1
    sock.close()
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert acknowledged > 10
    # The log says what the system says; LMDB calls the same fault an input/output error.
    assert re.search("No space left on device|Input/output error", errors), errors
    assert "Traceback" not in errors
    subprocess.run(["mount", "-o", f"remount,size={4 * DISK_BYTES}", str(small_disk)], check=True)
    process = start(small_disk / "d", port)
    sock, connection = connect(port, process)
    everything = RangeRequest(key=b"\0", range_end=b"\0", count_only=True).encode()
    answer = connection.unary(b"/etcdserverpb.KV/Range", everything, 10.0)
    assert RangeResponse.decode(answer).count >= acknowledged
    for number in range(acknowledged):
        request = RangeRequest(key=b"%d" % number).encode()
        answer = connection.unary(b"/etcdserverpb.KV/Range", request, 10.0)
        assert len(RangeResponse.decode(answer).kvs[0].value) == VALUE_BYTES
    sock.close()
    process.terminate()
    process.communicate(timeout=20)
