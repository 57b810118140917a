"""What is refused without a leader, and on a learner."""

import pytest

from petcd.api.v3.gate import ELECTIONS_WITHOUT_LEADER, Gate
from petcd.transport.router import BIDI, UNARY, Method, Router
from petcd.wire.kv import RangeRequest

ELECTION_S = 1.0


class FakeRaft:
    is_learner = False


class FakeMember:
    def __init__(self):
        self.leader_id = 1
        self.node = self
        self.raft = FakeRaft()


class FakeHost:
    def __init__(self):
        self.member = FakeMember()
        self.now_s = 0.0

    def monotonic_s(self):
        return self.now_s


class FakeCall:
    def __init__(self, **metadata):
        self._metadata = {key.encode(): value.encode() for key, value in metadata.items()}
        self.answer = None
        self.has_ended = False

    def metadata(self):
        return self._metadata

    def fail(self, code, text):
        self.answer = text
        self.has_ended = True

    finish = fail


class Rig:
    def __init__(self):
        self.host = FakeHost()
        self.served = []
        router = Router()
        for path in (b"/etcdserverpb.KV/Put", b"/etcdserverpb.KV/Range"):
            router.add(Method(path, UNARY, lambda call, body: self.served.append(call)))
        router.add(Method(b"/etcdserverpb.Maintenance/Status", UNARY, self._serve_unary))
        router.add(Method(b"/etcdserverpb.Watch/Watch", BIDI, self.served.append))
        router.add(Method(b"/etcdserverpb.Maintenance/Snapshot", BIDI, self.served.append))
        self.router = router
        self.gate = Gate(self.host, router, ELECTION_S)
        self.plain = router.find(b"/etcdserverpb.KV/Put").handler

    def _serve_unary(self, call, body):
        self.served.append(call)

    def call(self, name, body=b"", **metadata):
        """The refusal's text; None when it was served."""
        call = FakeCall(**metadata)
        method = self.router.find(b"/etcdserverpb." + name)
        method.handler(call, body) if method.kind == UNARY else method.handler(call)
        assert (call in self.served) == (call.answer is None)
        return call.answer

    def set(self, leader_id=1, is_learner=False, now_s=0.0):
        self.host.member.leader_id = leader_id
        self.host.member.raft.is_learner = is_learner
        self.host.now_s = now_s
        self.gate.look()


@pytest.fixture
def rig():
    return Rig()


def test_with_a_leader_everything_is_served_by_its_own_handler(rig):
    assert rig.call(b"KV/Put", hasleader="true") is None
    assert rig.call(b"Watch/Watch", hasleader="true") is None
    rig.set(leader_id=0)
    rig.set(leader_id=2)
    assert rig.router.find(b"/etcdserverpb.KV/Put").handler is rig.plain


def test_without_a_leader_those_who_need_one_are_refused(rig):
    rig.set(leader_id=0)
    for name in (b"KV/Put", b"Watch/Watch"):
        assert rig.call(name, hasleader="true") == "etcdserver: no leader"
        assert rig.call(name) is None
        assert rig.call(name, hasleader="false") is None


def test_open_streams_that_need_a_leader_end_when_none_comes(rig):
    needs, easy = FakeCall(hasleader="true"), FakeCall()
    for call in (needs, easy):
        rig.router.find(b"/etcdserverpb.Watch/Watch").handler(call)
    limit_s = ELECTIONS_WITHOUT_LEADER * ELECTION_S
    rig.set(leader_id=0, now_s=10.0)
    rig.set(leader_id=0, now_s=10.0 + limit_s - 0.1)
    assert needs.answer is None
    rig.set(leader_id=3, now_s=13.0)
    rig.set(leader_id=0, now_s=13.1)
    rig.set(leader_id=0, now_s=13.1 + limit_s - 0.1)
    assert needs.answer is None
    rig.set(leader_id=0, now_s=13.1 + limit_s)
    assert needs.answer == "etcdserver: no leader" and easy.answer is None


def test_a_learner_serves_status_serializable_reads_and_snapshots(rig):
    rig.set(is_learner=True)
    refused = "etcdserver: rpc not supported for learner"
    assert rig.call(b"KV/Put") == refused
    assert rig.call(b"KV/Range", RangeRequest(key=b"k").encode()) == refused
    assert rig.call(b"Watch/Watch") == refused
    assert rig.call(b"KV/Range", RangeRequest(key=b"k", serializable=True).encode()) is None
    assert rig.call(b"Maintenance/Status") is None
    assert rig.call(b"Maintenance/Snapshot") is None
    rig.set()
    assert rig.call(b"KV/Put") is None


def test_streams_that_ended_are_forgotten(rig):
    handler = rig.router.find(b"/etcdserverpb.Watch/Watch").handler
    for _ in range(1_000):
        call = FakeCall(hasleader="true")
        handler(call)
        call.has_ended = True
    assert len(rig.gate._streams) < 200
