"""Text as Go prints and reads it: quoted strings (`%q`), numbers and booleans with their errors.

Byte strings are shown as the text they hold; bytes that are no UTF-8 as `\\xNN`, characters that
cannot be printed as `\\uNNNN`.  Source: the documented behaviour of Go's strconv package.
"""

from __future__ import annotations

_NAMED = {
    0x07: "\\a",
    0x08: "\\b",
    0x09: "\\t",
    0x0A: "\\n",
    0x0B: "\\v",
    0x0C: "\\f",
    0x0D: "\\r",
    0x22: '\\"',
    0x5C: "\\\\",
}
_UNNAMED = {text[1]: chr(code) for code, text in _NAMED.items()}
_DIGITS = {"x": 2, "u": 4, "U": 8}
INT64_MAX = (1 << 63) - 1


class SyntaxFault(ValueError):
    """Text that is no quoted string, with Go's words."""


class NumberFault(ValueError):
    """Text that is no number or boolean, with strconv's words."""


def quote(value: bytes | str) -> str:
    """A Go string literal with double quotes."""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join([_shown(ch) for ch in text]) + '"'


def _shown(ch: str) -> str:
    code = ord(ch)
    if code in _NAMED:
        return _NAMED[code]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if ch.isprintable():
        return ch
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(literal: str) -> bytes:
    """The bytes of a Go string literal in double quotes or backquotes.  Raises SyntaxFault."""
    if len(literal) < 2 or literal[0] != literal[-1] or literal[0] not in '"`':
        raise SyntaxFault("invalid syntax")
    inside = literal[1:-1]
    if literal[0] == "`":
        if "`" in inside:
            raise SyntaxFault("invalid syntax")
        return inside.replace("\r", "").encode("utf-8", "surrogateescape")
    out = bytearray()
    pos = 0
    while pos < len(inside):
        ch = inside[pos]
        if ch in '"\n':
            raise SyntaxFault("invalid syntax")
        if ch == "\\":
            piece, pos = _unescape(inside, pos + 1)
            out += piece
        else:
            out += ch.encode("utf-8", "surrogateescape")
            pos += 1
    return bytes(out)


def _unescape(text: str, pos: int) -> tuple[bytes, int]:
    """The bytes of the escape whose letter is at `pos`, and the position behind it."""
    letter = text[pos : pos + 1]
    if letter in _UNNAMED and letter:
        return _UNNAMED[letter].encode(), pos + 1
    if letter in _DIGITS and letter:
        size, base, start = _DIGITS[letter], 16, pos + 1
    elif letter and letter in "01234567":
        size, base, start = 3, 8, pos
    else:
        raise SyntaxFault("invalid syntax")
    digits = text[start : start + size]
    try:
        code = int(digits, base)
    except ValueError:
        raise SyntaxFault("invalid syntax") from None
    if len(digits) != size or not digits.isalnum():
        raise SyntaxFault("invalid syntax")
    if letter in "uU":
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise SyntaxFault("invalid syntax")
        return chr(code).encode(), start + size
    if code > 255:
        raise SyntaxFault("invalid syntax")
    return bytes((code,)), start + size


def parse_int(text: str, base: int = 10, low: int = -INT64_MAX - 1, high: int = INT64_MAX) -> int:
    """An integer of 64 bits.  `base` 0 takes Go's prefixes and underscores.  Raises NumberFault."""
    return _integer("ParseInt", text, base, low, high)


def parse_uint(text: str, base: int = 10, high: int = (1 << 64) - 1) -> int:
    """An unsigned integer of 64 bits.  Raises NumberFault."""
    name = "ParseUint"
    if text[:1] in ("+", "-"):
        raise NumberFault(f"strconv.{name}: parsing {quote(text)}: invalid syntax")
    return _integer(name, text, base, 0, high)


def _integer(function: str, text: str, base: int, low: int, high: int) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    octal = base == 0 and len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567_"
    try:
        if not digits or not digits[0].isalnum() or not digits.isascii():
            raise ValueError
        if base and (not digits.isalnum() or (base == 16 and digits[1:2] in ("x", "X"))):
            raise ValueError
        number = (
            int(text[: len(text) - len(digits)] + "0o" + digits[1:], 8)
            if octal
            else int(text, base)
        )
    except ValueError:
        raise NumberFault(f"strconv.{function}: parsing {quote(text)}: invalid syntax") from None
    if not low <= number <= high:
        raise NumberFault(f"strconv.{function}: parsing {quote(text)}: value out of range")
    return number


def parse_bool(text: str) -> bool:
    """One of Go's spellings of a boolean.  Raises NumberFault."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise NumberFault(f"strconv.ParseBool: parsing {quote(text)}: invalid syntax")
