"""All that decides a run, as it is written on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Options(NamedTuple):
    """See the words in `HELP`."""

    seed: int = 1
    members: int = 0
    duration_s: float = 120.0
    operations_per_s: float = 50.0
    clients: int = 10
    watchers: int = 3
    faults: bool = True
    snapshot_count: int = 300
    catchup_entries: int = 100
    segment_bytes: int = 64 * 1024
    kinds: str = ""
    interval_s: float = 0.0
    features: str = ""

    def text(self) -> str:
        """The options that differ from the defaults; the seed always."""
        words = [f"--seed {self.seed}"]
        for name, value, default in zip(self._fields[1:], self[1:], _DEFAULTS[1:], strict=True):
            if value != default:
                flag = name.replace("_", "-")
                shown = value if isinstance(value, str) else f"{value:g}"
                words.append(f"--no-{flag}" if value is False else f"--{flag} {shown}")
        return " ".join(words)

    @classmethod
    def parse(cls, words: Sequence[str]) -> Options:
        """The inverse of `text`. Raises ValueError."""
        found: dict[str, object] = {}
        rest = list(words)
        while rest:
            name = rest.pop(0).removeprefix("--").replace("-", "_")
            if name.startswith("no_"):
                found[name.removeprefix("no_")] = False
            elif name in cls._fields and rest:
                kind = type(cls._field_defaults[name])
                found[name] = kind(rest.pop(0))
            else:
                raise ValueError(f"unknown option --{name.replace('_', '-')}")
        return cls(**found)  # type: ignore[arg-type]


_DEFAULTS = tuple(Options._field_defaults.values())
HELP = {
    "seed": "the first seed; everything is drawn from it",
    "members": "members of the cluster; 0: the seed chooses, three as a rule",
    "duration_s": "simulated seconds of faults in each world",
    "operations_per_s": "requests that the clients try to make in a simulated second",
    "clients": "clients, each with one request at a time",
    "watchers": "watches over all keys",
    "snapshot_count": "applied entries between two cuts of the log",
    "catchup_entries": "entries that are kept for slow followers",
    "segment_bytes": "size of a segment of the log",
    "kinds": "kinds of faults, such as power-cut,split; none given: the seed chooses",
    "interval_s": "seconds between two faults, on average; 0: the seed chooses",
    "features": "what else a world has, such as quota,v2, or none; none given: the seed chooses",
}
