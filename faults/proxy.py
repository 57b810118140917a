"""What lies between members: TCP proxies on loopback that can do what networks do.

A member has one address for all others, so its proxy learns from the first bytes of a connection
who calls: every request of Raft's traffic carries `X-Server-From`. Who does not say (a question
for the version or for the members) passes.

    a dials b:   a ====> proxy of b ====> b        bytes of a obey the link a -> b,
                   <====            <====          bytes of b obey the link b -> a

Members of etcd both dial and are dialled and stream both ways, so that a link, which is one
direction between two members, takes in its bytes of all connections of the two.

| a link may | and then |
| --- | --- |
| pass | bytes go on at once |
| be held | nothing arrives and nothing is lost: a black hole until all comes late |
| be cut | the connections of the two end, new ones end as soon as they say who calls |
| be slow | each chunk comes `delay_s` and up to `jitter_s` more later, in its order |
| be in pieces | chunks come as pieces of a few bytes, each written alone |
| be lossy | the connection breaks with `break_chance` at each chunk |

A member whose machine vanishes says no goodbye: its connections are lost, and whoever is at their
other end hears nothing any more, not even an end.

Bytes are never reordered, changed or left out: TCP would not let that happen either.
"""

import asyncio
import random
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

SENDER = re.compile(rb"(?i)\r\nX-Server-From: *([0-9a-f]+)\r\n")
HEAD_BYTES_MAX = 8_192  # a caller that has not said by then who it is will not do so
WAITING_BYTES_MAX = 4 << 20  # of one direction; beyond it the sender has to wait, as with TCP
CLOSING_S = 0.05  # sockets close in the turns of the loop that follow
PIECE_PERIOD_S = 0.000_2


class Link:
    """One direction between two members."""

    __slots__ = ("break_chance", "cut", "delay_s", "held", "jitter_s", "piece_bytes_max")

    def __init__(self) -> None:
        self.restore()

    def restore(self) -> None:
        """Everything passes again."""
        self.held = False
        self.cut = False
        self.delay_s = 0.0
        self.jitter_s = 0.0
        self.piece_bytes_max = 0  # 0: chunks stay whole
        self.break_chance = 0.0


PASSING = Link()
LOST = Link()
LOST.held = True


class Network:
    """All links of a cluster, by names. `names` knows members by the ids that they send."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.links: dict[tuple[str, str], Link] = {}
        self.names: dict[int, str] = {}
        self.proxies: list[Proxy] = []

    def link(self, source: str, target: str) -> Link:
        return self.links.setdefault((source, target), Link())

    def both(self, one: str, other: str) -> tuple[Link, Link]:
        return self.link(one, other), self.link(other, one)

    def changed(self) -> None:
        """Must be called after links were changed: ends what is cut, sends what is released."""
        for proxy in self.proxies:
            for connection in list(proxy.connections):
                connection.link_changed()

    def lose(self, member: str) -> None:
        """Its connections are lost for good; new ones are not."""
        for proxy in self.proxies:
            for connection in proxy.connections:
                if member in (proxy.target, self.names.get(connection.sender_id)):
                    connection.is_lost = True

    def restore(self) -> None:
        for link in self.links.values():
            link.restore()
        self.changed()

    async def close(self) -> None:
        for proxy in self.proxies:
            await proxy.stop()
        await asyncio.sleep(CLOSING_S)


class Proxy:
    """The address of one member for all the others."""

    def __init__(self, network: Network, target: str, port: int, target_port: int) -> None:
        self.network = network
        self.target = target
        self.port = port
        self.target_port = target_port
        self.connections: set[Connection] = set()
        self.server: asyncio.Server | None = None
        network.proxies.append(self)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(
            lambda: Connection(self).caller, "127.0.0.1", self.port
        )

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
        for connection in list(self.connections):
            connection.abort()


class End(asyncio.Protocol):
    """One of the two sockets of a connection."""

    def __init__(self, connection: "Connection", is_caller: bool) -> None:
        self.connection = connection
        self.is_caller = is_caller
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.is_caller:
            self.connection.begin()

    def data_received(self, data: bytes) -> None:
        flow = self.connection.request if self.is_caller else self.connection.response
        flow.take(data)

    def eof_received(self) -> bool:
        return False  # the transport closes itself, then connection_lost

    def connection_lost(self, exc: Exception | None) -> None:
        flow = self.connection.request if self.is_caller else self.connection.response
        flow.take(None)


class Connection:
    """A caller's connection to a member and what it says in both directions."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.sender_id = 0  # not known
        self.is_lost = False
        self.head: bytes | None = b""  # what came so far, while the sender is not known
        self.caller, self.called = End(self, True), End(self, False)
        self.request = Flow(self, self.caller, self.called, self.request_link)
        self.response = Flow(self, self.called, self.caller, self.response_link)

    def begin(self) -> None:
        self.proxy.connections.add(self)
        loop = asyncio.get_running_loop()
        dialling = loop.create_task(self.dial())
        dialling.add_done_callback(lambda task: task.exception())

    async def dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self.called, "127.0.0.1", self.proxy.target_port)
        except OSError:
            self.abort()
            return
        if self not in self.proxy.connections:
            self.abort()  # cut meanwhile
        self.request.run()

    def identify(self, data: bytes) -> None:
        """Looks for the sender in the first bytes of a request."""
        if self.head is None:
            return
        self.head += data
        if found := SENDER.search(self.head):
            self.sender_id = int(found[1], 16)
        if found or len(self.head) > HEAD_BYTES_MAX:
            self.head = None
            self.link_changed()

    def request_link(self) -> Link:
        if self.is_lost:
            return LOST
        sender = self.proxy.network.names.get(self.sender_id)
        return self.proxy.network.link(sender, self.proxy.target) if sender else PASSING

    def response_link(self) -> Link:
        if self.is_lost:
            return LOST
        sender = self.proxy.network.names.get(self.sender_id)
        return self.proxy.network.link(self.proxy.target, sender) if sender else PASSING

    def link_changed(self) -> None:
        if self.request_link().cut or self.response_link().cut:
            self.abort()
            return
        self.request.run()
        self.response.run()

    def abort(self) -> None:
        self.proxy.connections.discard(self)
        for end in (self.caller, self.called):
            if end.transport is not None:
                end.transport.abort()
        self.request.end()
        self.response.end()


class Flow:
    """The bytes of one direction on their way; None stands for the end of the connection."""

    def __init__(
        self, connection: Connection, source: End, target: End, link: Callable[[], Link]
    ) -> None:
        self.connection = connection
        self.source = source
        self.target = target
        self.link = link
        self.waiting: deque[tuple[float, bytes | None]] = deque()  # when it is due, what
        self.waiting_bytes = 0
        self.timer: asyncio.TimerHandle | None = None
        self.last_due = 0.0
        self.is_over = False
        self.is_full = False

    def take(self, data: bytes | None) -> None:
        """Bytes have come from the source."""
        if self.is_over:
            return
        if data is not None and self.source.is_caller:
            self.connection.identify(data)
        link, chance = self.link(), self.connection.proxy.network.chance
        if link.break_chance and chance.random() < link.break_chance:
            self.connection.abort()
            return
        now = asyncio.get_running_loop().time()
        due = now + link.delay_s + (chance.uniform(0, link.jitter_s) if link.jitter_s else 0.0)
        for piece in pieces(data, link.piece_bytes_max, chance):
            self.last_due = max(self.last_due, due)
            self.waiting.append((self.last_due, piece))
            self.waiting_bytes += len(piece or b"")
            due = self.last_due + PIECE_PERIOD_S if link.piece_bytes_max else due
        self.run()

    def run(self) -> None:
        """Hands on what is due."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.is_over or self.target.transport is None or self.link().held:
            self.hold_back()
            return
        if self.target.transport.is_closing():
            self.end()  # nobody is there any more who could take it
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self.waiting and self.waiting[0][0] <= now:
            data = self.waiting.popleft()[1]
            if data is None:
                self.close()
                return
            self.waiting_bytes -= len(data)
            self.target.transport.write(data)
        if self.waiting:
            self.timer = loop.call_at(self.waiting[0][0], self.run)
        self.hold_back()

    def hold_back(self) -> None:
        """Reads no more from the source while too much waits here."""
        transport = self.source.transport
        is_full = self.waiting_bytes > WAITING_BYTES_MAX
        if transport is None or is_full == self.is_full or transport.is_closing():
            return
        self.is_full = is_full
        if is_full:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def close(self) -> None:
        """The source has closed, and the target has all of it."""
        self.end()
        if self.target.transport is not None:
            self.target.transport.close()
        if self.connection.request.is_over and self.connection.response.is_over:
            self.connection.proxy.connections.discard(self.connection)

    def end(self) -> None:
        self.is_over = True
        self.waiting.clear()
        self.waiting_bytes = 0
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def pieces(data: bytes | None, bytes_max: int, chance: random.Random) -> Iterator[bytes | None]:
    """The data in pieces of 1 to `bytes_max` bytes, or whole when that is 0."""
    if data is None or not bytes_max:
        yield data
        return
    position = 0
    while position < len(data):
        end = position + chance.randint(1, bytes_max)
        yield data[position:end]
        position = end
