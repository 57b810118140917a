"""A cluster of three managed with etcdctl, and what each command printed, made comparable.

Ids, ports, terms and sizes get names; lines are sorted, for members stand in the order of their
ids, which are hashes of their addresses.
"""

import asyncio
import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace

from etcdctl_runs import Run, Seen, Step

from bench.clusters import Cluster, fresh_members
from bench.servers import Server

HIDDEN = (
    r'"raft_?[tT]erm":\d+',
    r'"raft(Applied)?Index":\d+',
    r'"dbSize(InUse)?":\d+',
    r'"version":"[^"]*"',
    r'"(Version|RaftTerm|RaftIndex|RaftAppliedIndex|DBSize|DBSizeInUse)" : \S+',
    r'"Took" : "[^"]*"',
    r"3\.5\.\d+",
    r"\d+(\.\d)? [kM]?B",
    r"\d+(\.\d+)?(ms|µs|s)\b",
    r"(?m)(?<=, )\d+, \d+, \d+(?=, $)",  # term and indexes in a simple status
)
NUMBERS_IN_TABLE = r"(?<=\| ) *\d+ +(?=\|)"
WAIT_S = 20.0


class Manager:
    """A cluster of one kind and an etcdctl of another; `seen` grows with each command."""

    def __init__(self, ctl: str, kind: str) -> None:
        self.cluster = Cluster(fresh_members([kind] * 3))
        self.fourth = Server(kind, name="m4")
        asyncio.run(self.cluster.start())
        self.run = Run(ctl, self.cluster.members[0])
        self.run.names.clear()
        self.seen: list[Seen] = []
        for member in (*self.cluster.members, self.fourth):
            self.run.names += [
                (f"127.0.0.1:{member.port}", f"{member.name}-client"),
                (f"127.0.0.1:{member.peer_port}", f"{member.name}-peer"),
            ]
            self.run.saved[member.name] = f"127.0.0.1:{member.port}"
            self.run.saved[f"{member.name}-peer"] = member.peer_url
        self.run.saved["all"] = ",".join(f"127.0.0.1:{m.port}" for m in self.cluster.members)
        self.learn_ids()

    def close(self) -> None:
        self.fourth.close()
        self.cluster.close()

    # --- commands ---

    def do(self, line: str, save: tuple[str, str] | None = None) -> Seen:
        """One command that is compared; `save` as in a step."""
        seen = self.run.do(replace(step(line, HIDDEN), save=save))
        comparable = Seen(line, seen.code, in_order(seen.out), once_each(in_order(seen.err)))
        self.seen.append(comparable)
        return comparable

    def quietly(self, line: str) -> Seen:
        """One command that is not compared."""
        return self.run.do(step(line))

    def until(self, line: str, wanted: str) -> None:
        """Repeats a command until its output, or its complaint, has `wanted` in it."""
        begin = time.monotonic()
        while True:
            seen = self.quietly(line)
            if wanted in seen.out + seen.err:
                return
            assert time.monotonic() - begin < WAIT_S, f"{line}: no {wanted!r} in\n{seen}"
            time.sleep(0.1)

    # --- what commands need ---

    def learn_ids(self) -> None:
        """Names for the ids of the cluster and of all its members."""
        answer = json.loads(self.raw("member list -w json"))
        self.name_number(answer["header"]["cluster_id"], "cluster")
        for member in answer["members"]:
            port = int(member["peerURLs"][0].rsplit(":", 1)[1])
            everyone = (*self.cluster.members, self.fourth)
            name = next(one.name for one in everyone if one.peer_port == port)
            self.name_number(member["ID"], f"{name}-id")
            self.run.saved[f"{name}-id"] = f"{member['ID']:x}"

    def name_number(self, number: int, name: str) -> None:
        pairs = [(str(number), name), (f"{number:x}", name)]
        self.run.names += [pair for pair in pairs if pair not in self.run.names]

    def raw(self, line: str) -> str:
        names, self.run.names = self.run.names, []
        seen = self.run.do(step(line))
        self.run.names = names
        assert seen.code == 0, seen
        return seen.out

    def lead(self, name: str) -> None:
        """Makes that member the leader."""
        leader = asyncio.run(self.cluster.leader())
        if leader.name != name:
            seen = self.quietly(f"move-leader {{{name}-id}} --endpoints {{{leader.name}}}")
            assert seen.code == 0, seen

    def start_fourth(self) -> None:
        """As a member that was added before."""
        everyone = [*self.cluster.members, self.fourth]
        self.fourth.initial_cluster = ",".join(f"{one.name}={one.peer_url}" for one in everyone)
        self.fourth.initial_cluster_state = "existing"
        self.fourth.spawn()


def step(line: str, hidden: tuple[str, ...] = ()) -> Step:
    """Without endpoints of its own the command asks `m1`."""
    env = {"ETCDCTL_ENDPOINTS": "(unset)"} if "--endpoints" in line else {}
    return Step(line, env=env, hide=hidden)


def in_order(text: str) -> str:
    """The same whatever the order of members and the width of columns."""
    if text[:1] in ("{", "["):
        return "\n".join(ordered_json(line) for line in text.splitlines()) + "\n"
    text = re.sub(NUMBERS_IN_TABLE, " <number> ", text)
    text = re.sub(r"-{2,}", "--", re.sub(r" {2,}", " ", text))
    text = re.sub(r'(?<=ETCD_INITIAL_CLUSTER=")[^"]*', lambda found: in_set(found[0]), text)
    return "\n".join(sorted(text.splitlines())) + "\n"


def in_set(words: str) -> str:
    return ",".join(sorted(words.split(",")))


def once_each(log: str) -> str:
    """How often a call was tried again, and who noticed first that it is late, depends on time."""
    log = re.sub(r"rpc error: code = \w+ desc = (?=context deadline exceeded)", "", log)
    lines = dict.fromkeys(re.sub(r'"attempt": \d+', '"attempt"', line) for line in log.split("\n"))
    return "\n".join(lines)


def ordered_json(line: str) -> str:
    """Masked JSON need not be JSON: what is between braces is put in order."""
    return "\n".join(sorted(re.findall(r"[^{}\[\],]+", line)))


def differences(wanted: Sequence[Seen], got: Sequence[Seen]) -> list[str]:
    return [
        f"expected:\n{one}\nseen:\n{other}\n"
        for one, other in zip(wanted, got, strict=True)
        if one != other
    ]
