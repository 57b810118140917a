"""Runs of etcdctl, ours or the real one, against any server, with outputs made comparable.

A `Step` is one command line. What differs from run to run (ports, ids, times, sizes of files) is
replaced by names, everything else must be equal byte for byte.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.servers import Server, real_etcd
from petcd.wire.varint import uvarint

StartServer = Callable[..., Server]
COMMAND_TIMEOUT_S = 30
WATCH_TIMEOUT_S = 20

ALWAYS_HIDDEN = (
    r"took = \S+",
    r'"took":"[^"]*"',
    r'"Took" : \S+',
    r"(?s).\x08(?=<(?:cluster|member)_id>)",  # the length of a message with ids, as protobuf
)

DIFFERENCES_SHOWN = 8

EXACT, HELP, FOLLOW = "exact", "help", "follow"


@dataclass(frozen=True)
class Step:
    """One command line.

    `line` is split like a shell's, with `{NAME}` replaced by what an earlier step saved. `save` is
    (name, pattern): the pattern's first group in stdout. `kind` HELP compares the flags of a help
    text only; FOLLOW runs until `lines` lines came, meanwhile carrying out the commands in `then`,
    and is then interrupted. `hide` are patterns whose matches are no part of the comparison.
    """

    line: str
    stdin: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    save: tuple[str, str] | None = None
    kind: str = EXACT
    lines: int = 0
    then: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What a step gave: exit code, stdout and stderr, made comparable."""

    line: str
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ etcdctl {self.line}\nexit {self.code}\n{self.out}--- stderr\n{self.err}"


def assert_same(wanted: Sequence[Seen], seen: Sequence[Seen]) -> None:
    """Every step gave the same; else the first of those that differ are shown."""
    different = [
        f"expected:\n{one}\nseen:\n{other}\n"
        for one, other in zip(wanted, seen, strict=True)
        if one != other
    ]
    assert not different, f"{len(different)} of {len(seen)} differ\n" + "\n".join(
        different[:DIFFERENCES_SHOWN]
    )


def program(kind: str) -> list[str]:
    """How to start etcdctl of a kind: `petcd` or `etcd`."""
    if kind == "petcd":
        return [sys.executable, "-m", "petcd.cli.etcdctl"]
    return [str(_unwrapped(real_etcd() / "etcdctl"))]


def _unwrapped(path: Path) -> Path:
    """The binary itself where the folder holds a starter script in Python (saves 0.1 s a call)."""
    inside = sorted(path.parent.parent.glob(f"lib/python3*/site-packages/*/etcdbin/{path.name}"))
    return inside[0] if inside else path


class Run:
    """A script against one server with one etcdctl."""

    def __init__(self, ctl: str, server: Server) -> None:
        self.program = program(ctl)
        self.server = server
        self.saved = {"EP": f"127.0.0.1:{server.port}"}
        self.names: list[tuple[str, str]] = [
            (f"127.0.0.1:{server.port}", "CLIENT"),
            (f"127.0.0.1:{server.peer_port}", "PEER"),
        ]
        self.binary_names: list[tuple[bytes, str]] = []

    def play(self, steps: Sequence[Step]) -> list[Seen]:
        return [self.do(step) for step in steps]

    def do(self, step: Step, timeout_s: float = COMMAND_TIMEOUT_S) -> Seen:
        words = [self._filled(word) for word in shlex.split(step.line)]
        if step.kind == FOLLOW:
            code, out, err = self._follow(words, step)
        else:
            code, out, err = self._once(words, step.stdin, self._env(step), timeout_s)
        for varint, name in self.binary_names:
            out = out.replace(varint, f"<{name}>".encode())
        text = out.decode("utf-8", "backslashreplace")
        if step.save is not None:
            self._remember(step.save[0], re.search(step.save[1], text))
        if step.kind == HELP:
            text = flags_of_help(text)
        hidden = (*step.hide, *ALWAYS_HIDDEN)
        return Seen(
            step.line,
            code,
            self._comparable(text, hidden),
            self._comparable(logs_reduced(err.decode("utf-8", "backslashreplace")), hidden),
        )

    def identities(self) -> None:
        """Learn the ids of cluster and member, so that they can be named."""
        _, out, _ = self._once(["member", "list", "-w", "json"], None, self._env(Step("")))
        header = json.loads(out)["header"]
        for name in ("cluster_id", "member_id"):
            number = header[name]
            self.names += [(str(number), name), (f"{number:x}", name)]
            self.binary_names.append((uvarint(number), name))

    # -- processes ---------------------------------------------------------------------------------

    def _env(self, step: Step) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ETCDCTL_", "ETCD_"))}
        env["ETCDCTL_ENDPOINTS"] = self.saved["EP"]
        given = {name: self._filled(value) for name, value in step.env.items()}
        return {k: v for k, v in {**env, **given}.items() if v != "(unset)"}

    def _once(
        self,
        words: Sequence[str],
        stdin: str | None,
        env: dict[str, str],
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> tuple[int, bytes, bytes]:
        ended = subprocess.run(
            [*self.program, *words],
            input=(stdin or "").encode(),
            capture_output=True,
            env=env,
            timeout=timeout_s,
            check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def _follow(self, words: Sequence[str], step: Step) -> tuple[int, bytes, bytes]:
        """A command that does not end by itself."""
        env = self._env(step)
        process = subprocess.Popen(
            [*self.program, *words],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        if step.stdin is not None:
            process.stdin.write(self._filled(step.stdin).encode())
            process.stdin.flush()
        reader = _LineReader(process)
        try:
            for line in step.then:
                filled = [self._filled(word) for word in shlex.split(line)]
                code, _, err = self._once(filled, None, self._env(Step("")))
                assert code == 0, f"{line}: {err!r}"
            reader.wait_for(step.lines)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(COMMAND_TIMEOUT_S)
        finally:
            process.kill()
            process.wait()
            with contextlib.suppress(OSError):
                process.stdin.close()
        return process.returncode, *reader.end()

    # -- names -------------------------------------------------------------------------------------

    def _filled(self, text: str) -> str:
        for name, value in self.saved.items():
            text = text.replace("{" + name + "}", value)
        return text

    def _remember(self, name: str, found: re.Match[str] | None) -> None:
        assert found is not None, f"nothing to save as {name}"
        value = found.group(1)
        self.saved[name] = value
        if len(value) > 6:  # an id, not a revision
            self.names.append((value, name))
            if re.fullmatch("[0-9a-f]{16}", value):
                self.names.append((str(int(value, 16)), name))

    def _comparable(self, text: str, hidden: Sequence[str]) -> str:
        for value, name in sorted(self.names, key=lambda pair: -len(pair[0])):
            text = text.replace(value, f"<{name}>")
        for pattern in hidden:
            text = re.sub(pattern, "<hidden>", text)
        return text


class _LineReader:
    """Collects what a process writes, on threads of their own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.out: list[bytes] = []
        self.err: list[bytes] = []
        assert process.stdout is not None and process.stderr is not None
        self.pipes = [(process.stdout, self.out), (process.stderr, self.err)]
        self.threads = [
            threading.Thread(target=_collect, args=(pipe.readline, lines))
            for pipe, lines in self.pipes
        ]
        for thread in self.threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        """Until stdout has so many lines, or it has ended, or nothing more is to be hoped for."""
        ending = time.monotonic() + WATCH_TIMEOUT_S
        while len(self.out) < count and time.monotonic() < ending and self.threads[0].is_alive():
            time.sleep(0.01)

    def end(self) -> tuple[bytes, bytes]:
        for thread in self.threads:
            thread.join(COMMAND_TIMEOUT_S)
        for pipe, _ in self.pipes:
            pipe.close()
        return b"".join(self.out), b"".join(self.err)


def _collect(readline: Callable[[], bytes], lines: list[bytes]) -> None:
    while line := readline():
        lines.append(line)


def logs_reduced(text: str) -> str:
    """JSON log lines without what names one program's insides: time, place, addresses."""
    lines = []
    for line in text.split("\n"):
        if line.startswith('{"level"'):
            entry = json.loads(line)
            for name in ("ts", "caller", "stacktrace", "peer", "target"):
                entry.pop(name, None)
            line = json.dumps(entry, sort_keys=True)
        if not line.startswith(("INFO: ", "WARNING: ")):  # grpc-go's own log with --debug
            lines.append(line)
    return "\n".join(lines)


def flags_of_help(text: str) -> str:
    """What must be equal in two help texts: the command's name and its flags with defaults."""
    name = re.search(r"NAME:\n\s+(\S[^-\n]*?) - ", text)
    flags = re.findall(r"^\s+(?:(-\w), )?(--[a-z-]+\S*)", text, re.MULTILINE)
    shown = sorted(f"{short or '  '} {long}" for short, long in flags)
    return "\n".join([name.group(1) if name else "(no help)", *shown, ""])
