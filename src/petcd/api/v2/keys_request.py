"""The parameters of /v2/keys: checked in etcd's order, the first failure is the answer.

    HttpRequest + path -> KeysRequest -> etcdserverpb.Request for the log

Source: the table in docs/v2.md, which is etcd's as of 3.5.
"""

from petcd.api.v2.errors import (
    INDEX_NOT_A_NUMBER,
    INVALID_FIELD,
    INVALID_FORM,
    PREV_VALUE_REQUIRED,
    REFRESH_TTL_REQUIRED,
    REFRESH_VALUE,
    TTL_NOT_A_NUMBER,
    KeysError,
)
from petcd.api.v2.form import Form, form_of
from petcd.member.v2.paths import LOG_PREFIX, PARTS_MAX
from petcd.transport.http import HttpRequest
from petcd.wire.v2request import Request

_TRUE = frozenset((b"1", b"t", b"T", b"TRUE", b"true", b"True"))
_FALSE = frozenset((b"0", b"f", b"F", b"FALSE", b"false", b"False"))
_UINT64_MAX = (1 << 64) - 1
_INT64_MAX = (1 << 63) - 1
_NS_PER_S = 1_000_000_000


class KeysRequest:
    """One request with all its parameters; raises KeysError when one is wrong.

    `path` is cleaned; `ttl_s`, `prev_exist` and `refresh` are None when they were not given.
    """

    __slots__ = (
        "is_dir",
        "no_value",
        "path",
        "prev_exist",
        "prev_index",
        "prev_value",
        "quorum",
        "recursive",
        "refresh",
        "stream",
        "ttl_s",
        "value",
        "wait",
        "wait_index",
    )

    def __init__(self, request: HttpRequest, path: bytes, query: bytes) -> None:
        if path.count(b"/") > PARTS_MAX:
            raise KeysError(INVALID_FIELD, f"the path has more than {PARTS_MAX} parts")
        form = form_of(request, query)
        if form.error is not None:
            raise KeysError(INVALID_FORM, form.error)
        self.path = path
        self.prev_index = _index(form, b"prevIndex")
        self.wait_index = _index(form, b"waitIndex")
        self.recursive = _flag(form, b"recursive")
        _flag(form, b"sorted")  # listings are sorted always
        self.wait = _flag(form, b"wait")
        self.is_dir = _flag(form, b"dir")
        self.quorum = _flag(form, b"quorum")
        self.stream = _flag(form, b"stream")
        if self.wait and request.method != "GET":
            raise KeysError(INVALID_FIELD, '"wait" can only be used with GET requests')
        self.prev_value = form.text(b"prevValue")
        if form.get(b"prevValue") == b"":
            raise KeysError(PREV_VALUE_REQUIRED, '"prevValue" cannot be empty')
        self.no_value = _flag(form, b"noValueOnSuccess")
        self.ttl_s = _ttl(form)
        self.prev_exist = _choice(form, b"prevExist")
        self.refresh = _choice(form, b"refresh")
        self.value = form.text(b"value")
        if self.refresh:
            if self.value:
                raise KeysError(REFRESH_VALUE, "A value was provided on a refresh")
            if self.ttl_s is None:
                raise KeysError(REFRESH_TTL_REQUIRED, "No TTL value set")

    def entry(self, method: str, request_id: int, now_ns: int) -> Request:
        """The request for the log, asked at `now_ns` (nanoseconds since 1970)."""
        expiration_ns = 0
        if self.ttl_s is not None:
            expiration_ns = now_ns + self.ttl_s * _NS_PER_S
            if expiration_ns > _INT64_MAX:
                expiration_ns = 0  # beyond what the format holds: for ever
        return Request(
            ID=request_id,
            Method=method,
            Path=LOG_PREFIX + (_text(self.path) if self.path != b"/" else ""),
            Val=_text(self.value),
            Dir=self.is_dir,
            PrevValue=_text(self.prev_value),
            PrevIndex=self.prev_index,
            PrevExist=self.prev_exist,
            Expiration=expiration_ns,
            Recursive=self.recursive,
            Time=now_ns if expiration_ns else 0,
            Refresh=self.refresh,
        )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _index(form: Form, name: bytes) -> int:
    raw = form.get(name)
    if raw is None:
        return 0
    number = _uint64(raw)
    if number is None:
        raise KeysError(INDEX_NOT_A_NUMBER, f'invalid value for "{name.decode()}"')
    return number


def _ttl(form: Form) -> int | None:
    raw = form.text(b"ttl")
    if not raw:
        return None
    number = _uint64(raw)
    if number is None:
        raise KeysError(TTL_NOT_A_NUMBER, 'invalid value for "ttl"')
    return number


def _uint64(raw: bytes) -> int | None:
    if not raw.isdigit() or len(raw) > 40:
        return None
    number = int(raw)
    return number if number <= _UINT64_MAX else None


def _flag(form: Form, name: bytes) -> bool:
    raw = form.get(name)
    if raw is None or raw in _FALSE:
        return False
    if raw in _TRUE:
        return True
    raise KeysError(INVALID_FIELD, f'invalid value for "{name.decode()}"')


def _choice(form: Form, name: bytes) -> bool | None:
    raw = form.get(name)
    if raw is None:
        return None
    if raw in _TRUE or raw in _FALSE:
        return raw in _TRUE
    raise KeysError(INVALID_FIELD, f"invalid value for {name.decode()}")
