"""Paths of v2 and keys of the store.

    node                    key
    /                       none, it is always there
    file /a/b               /a/b
    directory /a            /a/ with an empty value (its marker), or any key that begins with /a/

Paths are bytes, begin with a slash and have no empty, "." or ".." part; the root is "/". A key
that is no such path (binary, without the slash at the front, with an empty part) has no node: v2
neither lists nor watches it, and counts it only when it asks whether a directory is empty.
"""

import re

ROOT = b"/"
# Deeper keys have no node: the paths of all directories above one take the square of its depth.
PARTS_MAX = 500
# What etcd puts before the paths of clients in its log.
LOG_PREFIX = "/1"

_ODD_PART = re.compile(rb"\A(?!/)|/(?=/|\Z)|/\.\.?(?=/|\Z)")


def clean(path: bytes) -> bytes:
    """The path without empty, "." and ".." parts, as Go's path.Clean of "/" + path."""
    parts: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/" + b"/".join(parts)


def parent_of(path: bytes) -> bytes:
    """The directory that a path other than the root lies in."""
    return path[: path.rindex(b"/")] or ROOT


def ancestors(path: bytes) -> list[bytes]:
    """The directories above a path, without the root, the highest first."""
    found = []
    end = path.find(b"/", 1)
    while end > 0:
        found.append(path[:end])
        end = path.find(b"/", end + 1)
    return found


def below(directory: bytes) -> bytes:
    """What the keys below a directory begin with; the marker of all but the root is this key."""
    return ROOT if directory == ROOT else directory + b"/"


def is_shown(path: bytes) -> bool:
    """Whether a key (of a marker: without the slash behind it) is the path of a node in listings
    and watches."""
    if _ODD_PART.search(path) or (len(path) > PARTS_MAX and path.count(b"/") > PARTS_MAX):
        return False
    if path.isascii():
        return True
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_hidden_from(watched: bytes, path: bytes) -> bool:
    """Whether a part of the path below the watched one begins with an underscore."""
    return b"/_" in path[0 if watched == ROOT else len(watched) :]


def lies_below(path: bytes, directory: bytes) -> bool:
    """Whether the path is within the directory, at any depth, and not the directory itself."""
    return path != directory and path.startswith(below(directory))


def text_of(path: bytes) -> str:
    """A path as text; bytes that are not UTF-8 survive as surrogates."""
    return path.decode("utf-8", "surrogateescape")
