"""etcdctl in this process, with its streams in memory."""

import io
from collections.abc import Callable
from typing import NamedTuple

import pytest
from fake_servers import serving

from petcd.cli.ctl.console import Console
from petcd.cli.etcdctl import run

serve = pytest.fixture(serving, name="serve")


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def etcdctl() -> Callable[..., Ran]:
    """`etcdctl("get", "a", stdin=b"", HEX="true")`: keyword arguments are ETCDCTL_ variables."""

    def call(*words: str, stdin: bytes = b"", **variables: str) -> Ran:
        out, err = io.BytesIO(), io.BytesIO()
        env = {f"ETCDCTL_{name}": value for name, value in variables.items()}
        code = run(words, env, Console(io.BytesIO(stdin), out, err))
        return Ran(code, out.getvalue().decode(), err.getvalue().decode())

    return call
