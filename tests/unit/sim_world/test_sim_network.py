"""The simulated network: order, loss, copies, cuts, snapshots and short requests."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from petcd.peer.stream_kind import MESSAGE
from petcd.peer.stream_reader import DIAL_EVERY_S
from petcd.raft.types import Entry, EntryType, Message, MessageType
from sim.loop import Process, Schedule
from sim.network import Port, Weather, Wires, is_refused


class Inbox:
    """Takes everything down."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.lost: list[int] = []
        self.snapshots: list[Any] = []
        self.sent: list[tuple[int, bool]] = []
        self.removed: set[int] = set()

    def received(self, message: Message) -> None:
        self.messages.append(message)

    def unreachable(self, member_id: int) -> None:
        self.lost.append(member_id)

    def snapshot_sent(self, member_id: int, ok: bool) -> None:
        self.sent.append((member_id, ok))

    def snapshot_received(self, message: Message, snapshot: Any) -> None:
        self.snapshots.append(snapshot)

    def is_removed(self, member_id: int) -> bool:
        return member_id in self.removed


class Pair:
    """Members 1 and 2."""

    def __init__(self) -> None:
        self.schedule = Schedule()
        self.wires = Wires(Random(1))
        self.inboxes = {1: Inbox(), 2: Inbox()}
        self.ports = {}
        for number in (1, 2):
            port = self.ports[number] = Port(self.wires, number, Process(self.schedule, number))
            port.events = self.inboxes[number]
            port.add(3 - number, ("http://x",))

    def send(self, count: int) -> list[int]:
        """Send numbered heartbeats from 1 to 2; the numbers that arrived, in order."""
        for number in range(count):
            self.ports[1].send([Message(MessageType.HEARTBEAT, 2, 1, commit=number)])
            self.schedule.run(self.schedule.now_s + 0.0001)
        self.schedule.run(self.schedule.now_s + 5.0)
        return [message.commit for message in self.inboxes[2].messages]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_in_fair_weather_everything_arrives_in_order(pair: Pair) -> None:
    assert pair.send(100) == list(range(100))


def test_a_link_may_reorder(pair: Pair) -> None:
    pair.wires.weather = Weather(jitter_s=0.1, reordered=True)
    arrived = pair.send(100)
    assert arrived != sorted(arrived) and sorted(arrived) == list(range(100))


def test_a_link_may_lose_and_repeat(pair: Pair) -> None:
    pair.wires.weather = Weather(lost=0.3, doubled=0.3)
    arrived = pair.send(200)
    assert 100 < len(set(arrived)) < 180
    assert len(arrived) > len(set(arrived))


def test_a_cut_link_is_cut_in_one_direction(pair: Pair) -> None:
    pair.wires.cut_links({(1, 2)}, 0.0)
    assert pair.send(3) == []
    pair.ports[2].send([Message(MessageType.HEARTBEAT, 1, 2)])
    pair.schedule.run(pair.schedule.now_s + 1.0)
    assert len(pair.inboxes[1].messages) == 1
    assert pair.ports[1].active_since_s(2) is None
    pair.wires.cut_links(set(), pair.schedule.now_s)
    assert pair.ports[1].active_since_s(2) == pytest.approx(pair.schedule.now_s)


def test_a_peer_that_does_not_run_is_reported(pair: Pair) -> None:
    pair.ports[2].close()
    pair.send(1)
    assert pair.inboxes[1].lost == [2]


def test_what_is_under_way_dies_with_the_receiver(pair: Pair) -> None:
    pair.ports[1].send([Message(MessageType.HEARTBEAT, 2, 1)])
    pair.ports[2].process.end()
    pair.schedule.run(1.0)
    assert pair.inboxes[2].messages == []


def test_a_second_copy_shares_nothing_with_the_first(pair: Pair) -> None:
    pair.wires.weather = Weather(doubled=1.0)
    message = Message(MessageType.APP, 2, 1, entries=[Entry(EntryType.NORMAL, 1, 1, b"data")])
    pair.ports[1].send([message])
    pair.schedule.run(1.0)
    one, other = pair.inboxes[2].messages
    assert one == other == message
    assert one is not other and one.entries is not other.entries
    assert one.entries[0] is not other.entries[0]


def test_some_messages_go_through_their_encoding(pair: Pair) -> None:
    pair.wires.encode = lambda message: b"%d" % message.commit
    pair.wires.decode = lambda data: Message(MessageType.HEARTBEAT, 2, 1, commit=1000 + int(data))
    arrived = pair.send(100)
    assert 3 < sum(commit >= 1000 for commit in arrived) < 20


def test_one_who_was_removed_is_not_listened_to(pair: Pair) -> None:
    pair.inboxes[2].removed.add(1)
    assert pair.send(3) == []


def test_a_stranger_is_answered_once_it_has_introduced_itself(pair: Pair) -> None:
    """As one that was added while this member was away, and has become the leader."""
    pair.ports[2].remove(1)
    answer = Message(MessageType.HEARTBEAT_RESP, 1, 2)
    pair.ports[2].send([answer])
    pair.schedule.run(1.0)
    assert pair.inboxes[2].lost == [1] and not pair.inboxes[1].messages
    pair.send(1)
    pair.ports[2].send([answer])
    pair.schedule.run(pair.schedule.now_s + 1.0)
    assert pair.inboxes[2].lost == [1] and len(pair.inboxes[1].messages) == 1


def test_a_snapshot_arrives_or_the_sender_hears_that_it_did_not(pair: Pair) -> None:
    snapshot = object()
    message = Message(MessageType.SNAP, 2, 1)
    pair.ports[1].send_snapshot(message, snapshot, 1_000_000)
    pair.schedule.run(2.0)
    assert pair.inboxes[2].snapshots == [snapshot] and pair.inboxes[1].sent == [(2, True)]
    pair.wires.cut_links({(1, 2)}, 2.0)
    pair.ports[1].send_snapshot(message, snapshot, 1_000_000)
    pair.schedule.run(4.0)
    assert pair.inboxes[2].snapshots == [snapshot] and pair.inboxes[1].sent[1] == (2, False)


def test_a_short_request_is_answered_or_times_out(pair: Pair) -> None:
    pair.ports[2].answer = lambda target, body, respond: respond(200, target.encode() + body)
    answers: list[tuple[int, bytes]] = []

    def ask() -> None:
        pair.ports[1].ask(2, "/x", b"y", 1.0, lambda status, body: answers.append((status, body)))

    ask()
    pair.schedule.run(2.0)
    pair.wires.cut_links({(2, 1)}, 2.0)
    ask()
    pair.schedule.run(4.0)
    assert answers == [(200, b"/xy"), (0, b"")]


def test_what_arrives_as_no_message_ends_the_connection_for_a_while(pair: Pair) -> None:
    pair.wires.weather = Weather(garbled=0.02)
    arrived = pair.send(3000)
    assert pair.wires.resets > 3
    lost = [number for number in range(3000) if number not in set(arrived)]
    runs = [number for number in lost if number - 1 not in lost]
    assert arrived == sorted(arrived)
    # A message is sent every tenth of a millisecond, and none while nobody has dialled again.
    least = DIAL_EVERY_S / 0.0001 - 1
    assert all(set(range(run, min(3000, int(run + least)))) <= set(lost) for run in runs)
    assert pair.wires.connected_since_s(1, 2) is not None


def test_a_reader_may_refuse_what_is_no_message_and_nothing_else_may_come_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entries = [Entry(EntryType.NORMAL, 3, 8, b"data")]
    heartbeat = Message(MessageType.HEARTBEAT, 2, 1, term=3, commit=9)
    append = Message(MessageType.APP, 2, 1, 3, 3, 7, entries, 7)
    for message in (heartbeat, append):
        told = [is_refused(message, Random(seed)) for seed in range(500)]
        assert 250 < sum(told) < 500

    class Careless:
        def __init__(self, local_id: int, remote_id: int) -> None:
            """It reads what the one sends to the other."""

        def feed(self, data: bytes) -> list[Message]:
            raise IndexError("a byte that is not there")

    monkeypatch.setattr("sim.network.MESSAGE", replace(MESSAGE, reader=Careless))
    with pytest.raises(IndexError):
        is_refused(heartbeat, Random(1))
