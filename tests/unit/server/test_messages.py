"""What leaves before the sync and what after it; what comes in and what is dropped."""

import pytest

from petcd.raft.kinds import MessageType
from petcd.raft.ready import Ready
from petcd.raft.types import Entry, Message
from petcd.server.log import Logger
from petcd.server.messages import INBOX_MAX, Mailbox, latest_acknowledgements
from petcd.wire.hot import internal_request

APP, APP_RESP = MessageType.APP, MessageType.APP_RESP
US, PEER, GONE = 1, 2, 3


class FakeMembership:
    def __init__(self):
        self.removed = {GONE}

    def is_removed(self, member_id):
        return member_id in self.removed


class FakeMember:
    def __init__(self):
        self.id = US
        self.is_leader = False
        self.membership = FakeMembership()
        self.stepped = []
        self.node = self
        self.reports = []

    def step(self, message):
        self.stepped.append(message)

    def report_unreachable(self, peer):
        self.reports.append(("unreachable", peer))

    def report_snapshot(self, peer, status):
        self.reports.append(("snapshot", peer))


class FakeNetwork:
    def __init__(self):
        self.sent = []

    def send(self, messages):
        self.sent += messages


class Rig:
    def __init__(self):
        self.member = FakeMember()
        self.network = FakeNetwork()
        self.turns = []
        lines = Logger("fatal", "json", ())
        self.heartbeats = []
        self.mailbox = Mailbox(
            self.member,
            self.network,
            lambda: self.turns.append(1),
            lines,
            lambda to, term: self.heartbeats.append((to, term)),
        )

    def ready(self, *kinds):
        ready = Ready([], [])
        ready.messages = [Message(kind, PEER, US, term=1) for kind in kinds]
        return ready

    def kinds_sent(self):
        kinds = [message.type for message in self.network.sent]
        self.network.sent.clear()
        return kinds


@pytest.fixture
def rig():
    return Rig()


EVERYTHING = (
    MessageType.APP,
    MessageType.APP_RESP,
    MessageType.VOTE,
    MessageType.VOTE_RESP,
    MessageType.HEARTBEAT,
    MessageType.PRE_VOTE_RESP,
)
PROMISES = [MessageType.APP_RESP, MessageType.VOTE_RESP, MessageType.PRE_VOTE_RESP]


def test_who_does_not_lead_sends_nothing_before_the_sync(rig):
    ready = rig.ready(*EVERYTHING)
    rig.mailbox.send_before_sync(ready)
    assert rig.kinds_sent() == []
    rig.mailbox.send_after_sync(ready)
    assert rig.kinds_sent() == list(EVERYTHING)


def test_a_leader_waits_with_promises_only(rig):
    rig.member.is_leader = True
    ready = rig.ready(*EVERYTHING)
    ready.must_sync = True
    rig.mailbox.send_before_sync(ready)
    assert rig.kinds_sent() == [kind for kind in EVERYTHING if kind not in PROMISES]
    rig.mailbox.send_after_sync(ready)
    assert rig.kinds_sent() == PROMISES


def test_it_is_told_of_each_heartbeat_that_leaves(rig):
    ready = Ready([], [])
    beats = [Message(MessageType.HEARTBEAT, to, US, 7) for to in (PEER, GONE)]
    ready.messages = [*beats, Message(APP, PEER, US, 7)]
    rig.mailbox.send_after_sync(ready)
    assert rig.heartbeats == [(PEER, 7)]


def test_nothing_is_sent_to_a_removed_member(rig):
    ready = Ready([], [])
    ready.messages = [Message(APP, GONE, US), Message(APP, PEER, US)]
    rig.mailbox.send_after_sync(ready)
    assert [message.to for message in rig.network.sent] == [PEER]


def test_whom_the_turn_removes_is_told_what_was_held_back_for_him(rig):
    rig.member.is_leader = True
    ready = Ready([], [])
    ready.messages = [Message(APP, GONE, US), Message(APP, PEER, US)]
    rig.mailbox.send_before_sync(ready)
    assert rig.network.sent == []
    rig.member.membership.removed.add(PEER)
    rig.mailbox.send_held()
    assert [message.to for message in rig.network.sent] == [PEER]


def test_a_removed_member_is_not_listened_to(rig):
    rig.mailbox.received(Message(APP, US, GONE))
    assert rig.turns == []
    rig.mailbox.step_received()
    assert rig.member.stepped == []


def test_messages_wait_for_the_turn_and_keep_their_order(rig):
    messages = [Message(APP, US, PEER, index=i) for i in range(3)]
    for message in messages:
        rig.mailbox.received(message)
    assert rig.turns and rig.member.stepped == []
    rig.mailbox.step_received()
    assert rig.member.stepped == messages
    rig.mailbox.step_received()
    assert len(rig.member.stepped) == 3


def test_a_message_to_somebody_else_is_dropped(rig):
    rig.mailbox.received(Message(APP, 77, PEER))
    rig.mailbox.step_received()
    assert rig.member.stepped == []


def test_more_messages_than_can_wait_are_dropped(rig):
    for index in range(INBOX_MAX + 10):
        rig.mailbox.received(Message(APP, US, PEER, index=index))
    rig.mailbox.step_received()
    assert len(rig.member.stepped) == INBOX_MAX


def test_news_of_the_network_reach_raft_in_the_turn(rig):
    rig.mailbox.unreachable(PEER)
    rig.mailbox.snapshot_sent(PEER, False)
    assert rig.member.reports == []
    rig.mailbox.step_received()
    assert rig.member.reports == [("unreachable", PEER), ("snapshot", PEER)]


def forwarded(sender, request_id):
    entry = Entry(0, 0, 0, internal_request(request_id, 4, b""))
    return Message(MessageType.PROP, US, sender, entries=[entry])


def test_a_copy_of_forwarded_proposals_is_dropped(rig):
    for message in (forwarded(PEER, 7), forwarded(PEER, 7), forwarded(PEER, 8), forwarded(4, 7)):
        rig.mailbox.received(message)
    rig.mailbox.step_received()
    assert [m.from_ for m in rig.member.stepped] == [PEER, PEER, 4]


def test_proposals_that_nobody_can_name_are_all_taken(rig):
    for _ in range(2):
        strange = Message(MessageType.PROP, US, PEER, entries=[Entry(0, 0, 0, b"\xff")])
        rig.mailbox.received(strange)
    rig.mailbox.step_received()
    assert len(rig.member.stepped) == 2


def acknowledgement(index, to=PEER, term=1, reject=False):
    return Message(APP_RESP, to, US, term, index=index, reject=reject)


def test_of_several_acknowledgements_the_last_is_enough():
    first, other, last = acknowledgement(5), acknowledgement(4, to=9), acknowledgement(7)
    assert latest_acknowledgements([first, other, last]) == [other, last]


@pytest.mark.parametrize(
    "earlier",
    [acknowledgement(9), acknowledgement(5, reject=True), acknowledgement(5, term=0)],
    ids=["of more", "a refusal", "of another term"],
)
def test_what_a_later_acknowledgement_does_not_say_is_kept(earlier):
    last = acknowledgement(7)
    assert latest_acknowledgements([earlier, last]) == [earlier, last]
