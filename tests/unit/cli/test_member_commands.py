"""`etcdctl member` add, remove, update, promote, and `move-leader`, against a server of answers."""

import json

import pytest

from petcd.client import methods
from petcd.wire import cluster as c
from petcd.wire.header import ResponseHeader
from petcd.wire.maintenance import MoveLeaderRequest, MoveLeaderResponse, StatusResponse

HEADER = ResponseHeader(cluster_id=0xC1, member_id=0xA1, raft_term=2)
OLD = c.Member(ID=0xA1, name="m1", peerURLs=["http://h:1"], clientURLs=["http://h:2"])
NEW = c.Member(ID=0xB2, peerURLs=["http://n:1", "http://n:2"], isLearner=True)


class Answering:
    """A handler that keeps the request and gives one answer."""

    def __init__(self, request: type, answer) -> None:
        self.request = request
        self.answer = answer
        self.asked: list = []

    def __call__(self, call, body: bytes) -> None:
        self.asked.append(self.request.decode(body))
        call.reply(self.answer.encode())


@pytest.fixture
def added() -> Answering:
    return Answering(
        c.MemberAddRequest, c.MemberAddResponse(header=HEADER, member=NEW, members=[OLD, NEW])
    )


@pytest.fixture
def add(serve, etcdctl, added):
    server = serve().unary(methods.MEMBER_ADD, added).start()
    return lambda *words: etcdctl("member", "add", *words, ENDPOINTS=server.endpoint.text)


def test_an_added_member_is_told_how_to_start(add, added) -> None:
    ran = add("m2", "--peer-urls=http://n:2,http://n:1", "--learner")
    assert added.asked == [
        c.MemberAddRequest(peerURLs=["http://n:1", "http://n:2"], isLearner=True)
    ]
    assert ran.out == (
        "Member               b2 added to cluster               c1\n\n"
        'ETCD_NAME="m2"\n'
        'ETCD_INITIAL_CLUSTER="m1=http://h:1,m2=http://n:1,m2=http://n:2"\n'
        'ETCD_INITIAL_ADVERTISE_PEER_URLS="http://n:2,http://n:1"\n'
        'ETCD_INITIAL_CLUSTER_STATE="existing"\n'
    )
    assert (ran.code, ran.err) == (0, "")


def test_json_shows_the_answer_alone(add) -> None:
    ran = add("m2", "--peer-urls=http://n:1", "-w", "json")
    assert json.loads(ran.out)["member"]["ID"] == 0xB2


@pytest.mark.parametrize("style", ["table", "fields"])
def test_formats_that_cannot_show_a_change_say_so_after_it(add, added, style: str) -> None:
    ran = add("m2", "--peer-urls=http://n:1", "-w", style)
    assert (ran.code, ran.err) == (4, f"Error: {style} not supported as output format\n")
    assert added.asked


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ((), 128, "member name not provided"),
        (("m2",), 128, "member peer urls not provided"),
        (("m2", "HTTP://x"), 128, "too many arguments, did you mean --peer-urls=HTTP://x"),
        (("m2", "--peer-urls=n:1"), 1, "URL scheme must be http, https, unix, or unixs: n:1"),
        (
            ("m2", "--peer-urls=http://a:1:2"),
            1,
            'URL address does not have the form "host:port": http://a:1:2',
        ),
        (("m2", "--peer-urls=http://a:1/b"), 1, "URL must not contain a path: http://a:1/b"),
        (
            ("m2", "--peer-urls=http://a:1,http://a:1x"),
            1,
            'parse "http://a:1x": invalid port ":1x" after host',
        ),
    ],
)
def test_what_cannot_be_added_is_refused_before_anybody_is_asked(
    add, added, words, code, complaint
) -> None:
    ran = add(*words)
    assert (ran.code, ran.err) == (code, f"Error: {complaint}\n")
    assert not added.asked


@pytest.mark.parametrize(
    ("words", "path", "request_of", "answer", "done"),
    [
        (
            ("remove", "b2"),
            methods.MEMBER_REMOVE,
            c.MemberRemoveRequest(ID=0xB2),
            c.MemberRemoveResponse(header=HEADER),
            "removed from",
        ),
        (
            ("update", "b2", "--peer-urls=http://n:9"),
            methods.MEMBER_UPDATE,
            c.MemberUpdateRequest(ID=0xB2, peerURLs=["http://n:9"]),
            c.MemberUpdateResponse(header=HEADER),
            "updated in",
        ),
        (
            ("promote", "b2"),
            methods.MEMBER_PROMOTE,
            c.MemberPromoteRequest(ID=0xB2),
            c.MemberPromoteResponse(header=HEADER),
            "promoted in",
        ),
    ],
)
def test_a_member_is_changed_by_its_id(
    serve, etcdctl, words, path, request_of, answer, done
) -> None:
    asked = Answering(type(request_of), answer)
    server = serve().unary(path, asked).start()
    ran = etcdctl("member", *words, ENDPOINTS=server.endpoint.text)
    assert ran.out == f"Member               b2 {done} cluster               c1\n", ran.err
    assert asked.asked == [request_of]


@pytest.mark.parametrize("command", ["remove", "update", "promote"])
def test_a_bad_id_is_refused(etcdctl, command: str) -> None:
    assert etcdctl("member", command).err == "Error: member ID is not provided\n"
    ran = etcdctl("member", command, "xyz")
    assert ran.code == 128
    assert ran.err == (
        'Error: bad member ID arg (strconv.ParseUint: parsing "xyz": invalid syntax), '
        "expecting ID in Hex\n"
    )


def test_the_lead_is_moved_by_the_leader_among_the_endpoints(serve, etcdctl) -> None:
    moved = Answering(MoveLeaderRequest, MoveLeaderResponse(header=HEADER))

    def server(member_id: int):
        status = StatusResponse(header=ResponseHeader(member_id=member_id), leader=0xA1)
        made = serve().unary(methods.STATUS, Answering(type(status), status))
        return made.unary(methods.MOVE_LEADER, moved).start()

    follower, leader = server(0xB2), server(0xA1)
    ran = etcdctl("move-leader", "b2", ENDPOINTS=follower.endpoint.text)
    where = follower.endpoint.text
    assert (ran.code, ran.err) == (128, f"Error: no leader endpoint given at [{where}]\n")
    both = f"{follower.endpoint.text},{leader.endpoint.text}"
    ran = etcdctl("move-leader", "b2", ENDPOINTS=both)
    assert ran.out == "Leadership transferred from a1 to b2\n"
    assert moved.asked == [MoveLeaderRequest(targetID=0xB2)]
