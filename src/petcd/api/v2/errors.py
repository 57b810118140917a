"""The one place where refusals become v2's error numbers, messages and statuses.

    {"errorCode":100,"message":"Key not found","cause":"/foo","index":7}

Clients match on numbers and messages. Source: etcd's error table as of 3.5.
"""

from typing import Final

from petcd.api.errors import status_of
from petcd.api.v2.go_json import quote
from petcd.member.v2 import errors as v2

KEY_NOT_FOUND: Final = 100
COMPARE_FAILED: Final = 101
NOT_A_FILE: Final = 102
NOT_A_DIRECTORY: Final = 104
NODE_EXISTS: Final = 105
ROOT_READ_ONLY: Final = 107
DIRECTORY_NOT_EMPTY: Final = 108
PREV_VALUE_REQUIRED: Final = 201
TTL_NOT_A_NUMBER: Final = 202
INDEX_NOT_A_NUMBER: Final = 203
INVALID_FIELD: Final = 209
INVALID_FORM: Final = 210
REFRESH_VALUE: Final = 211
REFRESH_TTL_REQUIRED: Final = 212
RAFT_INTERNAL: Final = 300
EVENT_INDEX_CLEARED: Final = 401

# number -> (status, message)
_TABLE: dict[int, tuple[int, str]] = {
    KEY_NOT_FOUND: (404, "Key not found"),
    COMPARE_FAILED: (412, "Compare failed"),
    NOT_A_FILE: (403, "Not a file"),
    NOT_A_DIRECTORY: (400, "Not a directory"),
    NODE_EXISTS: (412, "Key already exists"),
    ROOT_READ_ONLY: (400, "Root is read only"),
    DIRECTORY_NOT_EMPTY: (403, "Directory not empty"),
    PREV_VALUE_REQUIRED: (400, "PrevValue is Required in POST form"),
    TTL_NOT_A_NUMBER: (400, "The given TTL in POST form is not a number"),
    INDEX_NOT_A_NUMBER: (400, "The given index in POST form is not a number"),
    INVALID_FIELD: (400, "Invalid field"),
    INVALID_FORM: (400, "Invalid POST form"),
    REFRESH_VALUE: (400, "Value provided on refresh"),
    REFRESH_TTL_REQUIRED: (400, "A TTL must be provided on refresh"),
    RAFT_INTERNAL: (500, "Raft Internal Error"),
    EVENT_INDEX_CLEARED: (400, "The event in requested index is outdated and cleared"),
}

_NUMBERS: dict[type[Exception], int] = {
    v2.NodeNotFound: KEY_NOT_FOUND,
    v2.CompareFailed: COMPARE_FAILED,
    v2.NotAFile: NOT_A_FILE,
    v2.NotADirectory: NOT_A_DIRECTORY,
    v2.NodeExists: NODE_EXISTS,
    v2.RootReadOnly: ROOT_READ_ONLY,
    v2.DirectoryNotEmpty: DIRECTORY_NOT_EMPTY,
    v2.HistoryCleared: EVENT_INDEX_CLEARED,
}


class KeysError(Exception):
    """An error of /v2/keys as it is answered."""

    def __init__(self, number: int, cause: str = "", index: int = 0) -> None:
        super().__init__(f"{number} {cause}")
        self.number = number
        self.cause = cause
        self.index = index

    @property
    def status(self) -> int:
        """The HTTP status."""
        return _TABLE[self.number][0]

    def body(self) -> bytes:
        """The JSON, with its newline."""
        cause = b""
        if self.cause:
            cause = b',"cause":' + quote(self.cause.encode("utf-8", "surrogateescape"))
        return b'{"errorCode":%d,"message":"%s"%s,"index":%d}\n' % (
            self.number,
            _TABLE[self.number][1].encode(),
            cause,
            self.index,
        )


def keys_error(refusal: Exception) -> KeysError:
    """What a refusal is answered with; anything but a refusal of v2 is a 300 with its text."""
    if isinstance(refusal, KeysError):
        return refusal
    if isinstance(refusal, v2.V2Refused):
        return KeysError(_NUMBERS[type(refusal)], refusal.cause, refusal.index)
    return KeysError(RAFT_INTERNAL, status_of(refusal)[1])
