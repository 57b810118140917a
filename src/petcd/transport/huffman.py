"""Huffman decoding of HPACK strings by table lookup (RFC 7541, section 5.2 and appendix B).

The code is canonical, so the 257 code lengths say everything. Decoding is a machine over whole
bytes: a step maps (state, byte) to (next state, bytes that came out), where a state is an inner
node of the code tree. Steps are made when first needed: a client's header values use a few hundred
of the 65,536, and a program that never meets a Huffman string pays nothing. All of them together
stay below 10 MB.

States 0..7 are the nodes on the all-ones path, so a string may end there (padding is at most seven
ones, the beginning of the end-of-string symbol) and nowhere else.

It does not encode: the strings that we send go out plain.
"""

from __future__ import annotations

from petcd.transport.limits import HUFFMAN_REMEMBERED_BYTES, HUFFMAN_REMEMBERED_MAX

_EOS = 256
_LENGTHS = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c"
    "060a0a0c0d06080b0a0a080b080606060505050606060606060607080f060c0a"
    "0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c"
    "1416141416161617161717171717181718181617181717171715161716171718"
    "1615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b"
    "14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a"
    "1e"
)


class HuffmanError(ValueError):
    """The string has bad padding or holds the end-of-string symbol."""


def _children() -> list[list[int]]:
    """Inner nodes as [zero, one]: >= 0 an inner node, < 0 the leaf of symbol -1-n. Nodes 0..7 are
    0, 1, 11, ..."""
    nodes = [[0, 0] for _ in range(8)]
    for number in range(7):
        nodes[number][1] = number + 1
    code = 0
    length = min(_LENGTHS)
    for symbol in sorted(range(_EOS + 1), key=lambda s: (_LENGTHS[s], s)):
        code <<= _LENGTHS[symbol] - length
        length = _LENGTHS[symbol]
        node = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not nodes[node][bit]:
                nodes.append([0, 0])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        nodes[node][code & 1] = -1 - symbol
        code += 1
    return nodes


_tree: list[list[int]] = []
_steps: dict[int, tuple[int, bytes]] = {}
"""(state << 8 | byte) -> (next state << 8, output). The next state is -1 after the end-of-string
symbol."""


def _make_step(key: int) -> tuple[int, bytes]:
    if not _tree:
        _tree.extend(_children())
    node = key >> 8
    out = bytearray()
    for shift in range(7, -1, -1):
        node = _tree[node][key >> shift & 1]
        if node < 0:
            if node == -1 - _EOS:
                return _steps.setdefault(key, (-1, b""))
            out.append(-1 - node)
            node = 0
    return _steps.setdefault(key, (node << 8, bytes(out)))


_known: dict[bytes, bytes] = {}
"""Short strings already decoded: names, paths and tokens come again and again."""


def huffman_decode(data: bytes) -> bytes:
    """The plain string. Raises HuffmanError."""
    text = _known.get(data)
    if text is None:
        text = _decode(data)
        if len(data) <= HUFFMAN_REMEMBERED_BYTES:
            if len(_known) >= HUFFMAN_REMEMBERED_MAX:
                _known.clear()
            _known[data] = text
    return text


def _decode(data: bytes) -> bytes:
    state = 0
    out: list[bytes] = []
    steps = _steps
    for byte in data:
        step = steps.get(state | byte)
        if step is None:
            step = _make_step(state | byte)
        state, piece = step
        if state < 0:
            raise HuffmanError("end-of-string symbol inside a string")
        out.append(piece)
    if state >= 8 << 8:
        raise HuffmanError("bad padding")
    return b"".join(out)
