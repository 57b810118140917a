"""A long body goes out in portions, as fast as its client takes them."""

from types import SimpleNamespace

from petcd.api.v2.answers import PORTION_BYTES, WHOLE_BYTES_MAX, Answers


class Client:
    """A responder whose client takes bytes only when a test says so."""

    def __init__(self) -> None:
        self.closed = False
        self.on_drain = None
        self.length = 0  # as announced, -1 for unknown
        self.waiting = bytearray()
        self.taken = bytearray()
        self.ended = 0

    @property
    def queued_bytes(self) -> int:
        return len(self.waiting)

    def send(self, status, headers, body) -> None:
        self.length = len(body)
        self.waiting += body
        self.ended += 1

    def start(self, status, headers) -> None:
        self.length = -1

    def write(self, data) -> None:
        assert not self.closed
        self.waiting += data

    def end(self) -> None:
        self.ended += 1

    def take(self) -> None:
        self.taken += self.waiting
        self.waiting.clear()
        if self.on_drain is not None:
            self.on_drain()


def answers() -> Answers:
    raft = SimpleNamespace(term=1)
    membership = SimpleNamespace(cluster_id=1)
    node = SimpleNamespace(raft=raft)
    member = SimpleNamespace(membership=membership, applied_index=1, node=node)
    return Answers(SimpleNamespace(member=member))


def test_a_body_of_usual_length_is_sent_whole():
    client = Client()
    answers().send_parts(client, 200, 7, [], [b"x" * WHOLE_BYTES_MAX])
    assert (client.length, client.ended) == (WHOLE_BYTES_MAX, 1)


def test_a_longer_body_waits_for_its_client():
    client = Client()
    parts = [b"%d" % (number % 10) * 10_000 for number in range(300)]
    answers().send_parts(client, 200, 7, [], parts)
    assert client.length == -1
    takes = 0
    while not client.ended:
        assert PORTION_BYTES <= client.queued_bytes < PORTION_BYTES + 10_000
        client.take()
        takes += 1
    client.take()
    client.take()
    assert client.ended == 1
    assert client.taken == b"".join(parts)
    assert takes == len(client.taken) // PORTION_BYTES


def test_nothing_is_written_to_a_client_that_is_gone():
    client = Client()
    answers().send_parts(client, 200, 7, [], [b"x" * 100_000] * 30)
    client.closed = True
    before = client.queued_bytes
    client.on_drain()
    assert client.queued_bytes == before
