"""Why the v2 view refuses a request. Each carries data; numbers and texts live in `api.v2.errors`.

`cause` is the path (or the failed comparison) that the answer names, `index` the store's revision
when the request was looked at.
"""


class V2Refused(Exception):
    """Base of the refusals: nothing was changed, no revision was used."""

    def __init__(self, cause: str, index: int) -> None:
        super().__init__(cause)
        self.cause = cause
        self.index = index


class NodeNotFound(V2Refused):
    """Nothing is there; `cause` is the first part of the path that is missing."""


class CompareFailed(V2Refused):
    """prevValue or prevIndex differ from what is there."""


class NotAFile(V2Refused):
    """A directory is in the place of a file."""


class NotADirectory(V2Refused):
    """A file is in the place of a directory; `cause` is the file's path."""


class NodeExists(V2Refused):
    """Something is there, and it was to be created."""


class RootReadOnly(V2Refused):
    """The root is neither replaced nor removed."""


class DirectoryNotEmpty(V2Refused):
    """The directory has something in it, and not the whole of it was to be removed."""


class HistoryCleared(V2Refused):
    """The events from the wanted index on are compacted."""
