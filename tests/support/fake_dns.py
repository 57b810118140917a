"""A name server on loopback that knows a handful of SRV records."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socket import AF_INET, SOCK_DGRAM, socket

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Zone = dict[str, list[str]]
"""Full name -> records as `priority weight port target`."""


def answer(question: bytes, zone: Zone) -> bytes:
    query = dns.message.from_wire(question)
    reply = dns.message.make_response(query)
    name = query.question[0].name
    records = zone.get(str(name).rstrip(".").lower())
    if records is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    else:
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *records))
    return reply.to_wire()


@contextmanager
def name_server(zone: Zone) -> Iterator[tuple[str, int]]:
    """Answers until the block ends; yields its address."""
    with socket(AF_INET, SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                question, asker = sock.recvfrom(4096)
                if not question:
                    return
                sock.sendto(answer(question, zone), asker)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield sock.getsockname()
        finally:
            sock.sendto(b"", sock.getsockname())
            thread.join(10)
