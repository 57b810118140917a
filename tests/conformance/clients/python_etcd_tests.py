"""Runs the tests that python-etcd 0.4.5 ships, and prints which of them pass.

They start the first `etcd` of the PATH, in clusters, on fixed ports. Here they get free ports, and
they wait until a cluster has a leader instead of some seconds. What their files import only for
TLS and for old test runners is not there and not needed.

    python python_etcd_tests.py <members of a cluster> <first client port> <first peer port>
"""

import importlib.util
import sys
import time
import types
import unittest
import urllib.error
import urllib.request
from pathlib import Path

LEADER_TIMEOUT_S = 30
POLL_S = 0.05
CLIENT_PORT, PEER_PORT = 6001, 8001


class Passed(unittest.TestResult):
    """Prints the name of each test that passes on stdout, why others do not on stderr."""

    def addSuccess(self, test):
        print(test.id().partition("test_simple.")[2], flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        print(test.id(), self.failures[-1][1], file=sys.stderr)

    def addError(self, test, err):
        super().addError(test, err)
        print(test.id(), self.errors[-1][1], file=sys.stderr)


def stand_in(name, **content):
    """A module that is imported and not used."""
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module


def source_of(name, ports):
    """A test module with other ports in its text."""
    spec = importlib.util.find_spec(f"etcd.tests.integration.{name}")
    text = Path(spec.origin).read_text()
    for old, new in ports.items():
        text = text.replace(str(old), str(new))
    return text, spec.origin


def load(name, ports):
    text, path = source_of(name, ports)
    module = types.ModuleType(f"etcd.tests.integration.{name}")
    module.__package__ = "etcd.tests.integration"
    module.__file__ = path
    sys.modules[module.__name__] = module
    exec(compile(text, path, "exec"), vars(module))
    return module


def wait_for_leaders(ports):
    """Until every member knows a leader."""
    ending = time.monotonic() + LEADER_TIMEOUT_S
    for port in ports:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/members/leader", timeout=5)
                break
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > ending:
                    raise
                time.sleep(POLL_S)


def quicken(helpers, first_port):
    """No fixed pauses: wait for what they wait for."""
    helper = helpers.EtcdProcessHelper
    run, kill_one = helper.run, helper.kill_one

    def run_and_wait(self, number=1, proc_args=()):
        run(self, number, list(proc_args))
        wait_for_leaders(range(first_port, first_port + number))

    def kill_and_reap(self, slot):
        process = self.processes[slot][1]
        kill_one(self, slot)
        process.wait()

    helper.run, helper.kill_one = run_and_wait, kill_and_reap
    helpers.time = types.SimpleNamespace(sleep=lambda seconds: None)


def main():
    members, client_port, peer_port = map(int, sys.argv[1:])
    stand_in("nose")
    stand_in("nose.tools", nottest=lambda test: test)
    stand_in("OpenSSL", crypto=None)
    unittest.TestCase.assertEquals = unittest.TestCase.assertEqual  # its name until Python 3.12
    ports = {CLIENT_PORT + n: client_port + n for n in range(4)}
    quicken(load("helpers", {}), client_port)
    tests = load("test_simple", {**ports, PEER_PORT: peer_port})
    tests.EtcdIntegrationTest.cl_size = members
    suite = unittest.defaultTestLoader.loadTestsFromModule(tests)
    suite.run(Passed())


main()
