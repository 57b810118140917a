"""What a directory holds as JSON: pieces in order, in chunks that are joined beforehand.

    piece    order                      of
    OPEN     a\\0b                       directory a/b: its members in front of "nodes"
    LEAF     a\\0b\\0name                 a file, or a directory that is shown without its nodes
    CLOSE    a\\0b\\0\\xff                 directory a/b: its members behind "nodes"

Sorted by order this is the listing, sorted by name at every level; what stands between two pieces
(a comma, a bracket) follows from their kinds. Changing a piece costs the joining of its chunk, and
an answer takes one part for each chunk, however many pieces there are.

Invariants: no chunk is empty unless it is the only one; `firsts[i]` is not above the first order of
chunk i, and above the last one of chunk i - 1; `joined` is None or the chunk's pieces and what
stands between them.

It does not know of nodes and keys: `listing` does.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

OPEN, LEAF, CLOSE = 0, 1, 2
NONE = -1

# A chunk is split in two when it has more pieces, or several that take more memory together.
CHUNK_PIECES_MAX = 512
CHUNK_BYTES_MAX = 256 << 10
# What a piece takes beside its bytes, which are there twice, and those of its order.
_PIECE_OVERHEAD_BYTES = 80
# What joining costs: one for a piece and one for so much memory.
_BYTES_PER_COST = 1024

# Between a piece of the first kind and one of the second: [first * 3 + second].
_BETWEEN = (
    *(b',"nodes":[', b',"nodes":[', b""),
    *(b",", b",", b"]"),
    *(b",", b",", b"]"),
)


class Timed:
    """A piece in which a time to live runs: `before` ends with the expiration."""

    __slots__ = ("after", "before", "expiration_ns")

    def __init__(self, before: bytes, expiration_ns: int, after: bytes) -> None:
        self.before = before
        self.expiration_ns = expiration_ns
        self.after = after

    def __len__(self) -> int:
        return len(self.before) + len(self.after)

    def at(self, now_ns: int) -> bytes:
        """The piece with the seconds that are left at a time in ns since 1970, rounded up."""
        ttl_s = -((now_ns - self.expiration_ns) // 1_000_000_000)
        if ttl_s > 0:
            return b'%b,"ttl":%d%b' % (self.before, ttl_s, self.after)
        return self.before + self.after


Piece = bytes | Timed


def order_of(path: bytes) -> bytes:
    """The order of a path of names with slashes between them: a slash is below everything."""
    if b"\0" in path or b"\1" in path:
        path = path.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")
    return path.replace(b"/", b"\0")


def close_order(order: bytes) -> bytes:
    """Where a directory ends; no name holds byte 255, since all are UTF-8."""
    return order + b"\0\xff"


class Chunk:
    """A run of pieces: three lists side by side."""

    __slots__ = ("joined", "kinds", "memory_bytes", "orders", "pieces", "timed")

    def __init__(self, orders: list[bytes], kinds: bytearray, pieces: list[Piece]) -> None:
        self.orders = orders
        self.kinds = kinds
        self.pieces = pieces
        self.joined: bytes | None = None
        self.timed = 0  # how many pieces are Timed
        self.memory_bytes = 0
        for order, piece in zip(orders, pieces, strict=True):
            self._count(order, piece, 1)

    def _count(self, order: bytes, piece: Piece, times: int) -> None:
        self.memory_bytes += times * (_PIECE_OVERHEAD_BYTES + len(order) + 2 * len(piece))
        if isinstance(piece, Timed):
            self.timed += times

    def set(self, order: bytes, kind: int, piece: Piece) -> int:
        """Insert a piece, or put it in the place of the one of its order; the kind of that."""
        at = bisect_left(self.orders, order)
        before = NONE
        if at < len(self.orders) and self.orders[at] == order:
            before = self.kinds[at]
            self._count(order, self.pieces[at], -1)
            self.pieces[at] = piece
            self.kinds[at] = kind
        else:
            self.orders.insert(at, order)
            self.kinds.insert(at, kind)
            self.pieces.insert(at, piece)
        self._count(order, piece, 1)
        self.joined = None
        return before

    def cut(self, low: int, high: int) -> Chunk:
        """Take the pieces from `low` to before `high` out; they are a chunk of their own."""
        gone = Chunk(self.orders[low:high], self.kinds[low:high], self.pieces[low:high])
        del self.orders[low:high], self.kinds[low:high], self.pieces[low:high]
        self.memory_bytes -= gone.memory_bytes
        self.timed -= gone.timed
        self.joined = None
        return gone

    def join(self, now_ns: int) -> int:
        """Make `joined`; returns what it cost."""
        pieces, kinds = self.pieces, self.kinds
        texts: list[bytes] = []
        for piece in pieces:
            texts.append(piece if isinstance(piece, bytes) else piece.at(now_ns))
        if kinds.count(LEAF) == len(kinds):
            self.joined = b",".join(texts)
        else:
            spaced = texts[:1]
            for at in range(1, len(texts)):
                spaced.append(_BETWEEN[kinds[at - 1] * 3 + kinds[at]])
                spaced.append(texts[at])
            self.joined = b"".join(spaced)
        return len(pieces) + self.memory_bytes // _BYTES_PER_COST


class Pieces:
    """See the module's text."""

    __slots__ = ("_chunks", "_firsts", "memory_bytes")

    def __init__(self) -> None:
        self.memory_bytes = 0  # about what all this takes
        self._chunks = [Chunk([], bytearray(), [])]
        self._firsts = [b""]

    # -- changing -----------------------------------------------------------------------------

    def put(self, order: bytes, kind: int, piece: Piece) -> int:
        """Insert a piece, or put it in the place of the one of its order; the kind of that."""
        at = bisect_right(self._firsts, order) - 1
        chunk = self._chunks[at]
        self.memory_bytes -= chunk.memory_bytes
        before = chunk.set(order, kind, piece)
        self.memory_bytes += chunk.memory_bytes
        count = len(chunk.orders)
        if count > CHUNK_PIECES_MAX or (chunk.memory_bytes > CHUNK_BYTES_MAX and count > 1):
            upper = chunk.cut(count // 2, count)
            self._chunks.insert(at + 1, upper)
            self._firsts.insert(at + 1, upper.orders[0])
        return before

    def discard(self, order: bytes) -> None:
        """Take the piece of an order out, if there is one."""
        self.discard_range(order, order + b"\0")

    def discard_range(self, start: bytes, end: bytes) -> None:
        """Take out the pieces with start <= order < end."""
        chunks, firsts = self._chunks, self._firsts
        at = bisect_right(firsts, start) - 1
        while at < len(chunks) and firsts[at] < end:
            orders = chunks[at].orders
            low, high = bisect_left(orders, start), bisect_left(orders, end)
            if low < high:
                self.memory_bytes -= chunks[at].cut(low, high).memory_bytes
            if orders or len(chunks) == 1:
                at += 1
            else:
                del chunks[at], firsts[at]
        firsts[0] = b""

    def shed(self, chunks: int) -> bool:
        """Free some chunks of a listing that nobody needs any more; False when none are left."""
        del self._chunks[-chunks:]
        return bool(self._chunks)

    # -- reading ------------------------------------------------------------------------------

    def kind_at(self, order: bytes) -> int:
        """The kind of the piece of an order; NONE without one."""
        chunk = self._chunks[bisect_right(self._firsts, order) - 1]
        at = bisect_left(chunk.orders, order)
        return chunk.kinds[at] if at < len(chunk.orders) and chunk.orders[at] == order else NONE

    def is_empty_directory(self, order: bytes) -> bool:
        """Whether a directory is opened at an order and closed by the very next piece."""
        if self.kind_at(order) != OPEN:
            return False
        number = bisect_right(self._firsts, order) - 1
        at = bisect_left(self._chunks[number].orders, order) + 1
        if at == len(self._chunks[number].orders):
            number, at = number + 1, 0
        return self._chunks[number].kinds[at] == CLOSE

    def __len__(self) -> int:
        total = 0
        for chunk in self._chunks:
            total += len(chunk.orders)
        return total

    def forget_times(self) -> None:
        """Times to live have gone on: join anew where there are any."""
        for chunk in self._chunks:
            if chunk.timed:
                chunk.joined = None

    def join(self, now_ns: int, cost_max: int) -> bool:
        """Join chunks that changed, with times to live as of `now_ns`, for about `cost_max`; True
        when there is more."""
        for chunk in self._chunks:
            if chunk.joined is None:
                if cost_max <= 0:
                    return True
                cost_max -= chunk.join(now_ns)
        return False

    def parts(self, opening: bytes, closing: bytes) -> list[bytes]:
        """The JSON of a directory around its pieces; everything is joined."""
        parts = [opening]
        last = OPEN
        for chunk in self._chunks:
            if chunk.orders:
                assert chunk.joined is not None, chunk.orders[0]
                parts.append(_BETWEEN[last * 3 + chunk.kinds[0]])
                parts.append(chunk.joined)
                last = chunk.kinds[-1]
        parts.append(_BETWEEN[last * 3 + CLOSE])
        parts.append(closing)
        return parts
