"""The words by which a human harms and heals a local cluster."""

import asyncio

from bench.servers import Server
from faults.stand import Stand

HELP = """commands (in the terminal of the cluster, or from another: ./dev cluster kill m1):
  status               who is up, who leads, how far each is
  kill NAME            SIGKILL; NAME may be `leader`, `follower` or `all` here and below
  stop NAME            SIGTERM: a clean stop
  start NAME           again, on the same data
  pause NAME           SIGSTOP, until resume
  resume NAME
  partition NAME       nothing passes between it and all others, until heal
  partition NAME NAME  nothing passes between these two
  slow NAME [MS]       what it says and hears comes late (100 ms)
  heal                 start, resume and connect all
  quit                 stop all members, as Ctrl-C does; the data stays"""
DELAY_MS = 100
LEADER_TIMEOUT_S = 5.0


class CommandFailed(Exception):
    """A command that cannot be carried out, as one line."""


async def obey(stand: Stand, words: list[str]) -> str:
    """Carries out one command and returns what there is to say."""
    name, targets = words[0], words[1:]
    if name == "help":
        return HELP
    if name == "status":
        return await status(stand)
    if name == "heal":
        stand.heal()
        return "all are started and connected"
    if name not in ("kill", "stop", "start", "pause", "resume", "partition", "slow"):
        raise CommandFailed(f"no command {name!r}; help lists them")
    if not targets:
        raise CommandFailed(f"{name} whom? members are {', '.join(stand.runs)}")
    if name == "slow":
        delay_ms = int(targets[1]) if targets[1:] and targets[1].isdecimal() else DELAY_MS
        return slow(stand, await find(stand, targets[0]), delay_ms)
    if name == "partition":
        return await partition(stand, targets)
    done = [await harm(stand, name, member) for member in await find(stand, targets[0])]
    return "\n".join(done)


async def find(stand: Stand, word: str) -> list[Server]:
    if word == "all":
        return list(stand.members)
    if word in ("leader", "follower"):
        leader = await stand.leader_soon(LEADER_TIMEOUT_S)
        followers = [member for member in stand.awake() if member is not leader]
        return [leader] if word == "leader" else followers[:1]
    found = [member for member in stand.members if member.name == word]
    if not found:
        raise CommandFailed(f"no member {word!r}; there are {', '.join(stand.runs)}")
    return found


async def harm(stand: Stand, name: str, member: Server) -> str:
    is_up = member.process is not None
    if (name == "start") == is_up:
        raise CommandFailed(f"{member.name} is {'up' if is_up else 'down'}")
    if name == "kill":
        stand.kill(member)
    elif name == "stop":
        stand.resume(member)
        await asyncio.to_thread(member.stop)
    elif name == "start":
        stand.spawn(member)
    elif name == "pause":
        stand.pause(member)
    elif name == "resume":
        stand.resume(member)
    return f"{name}: {member.name}"


async def partition(stand: Stand, targets: list[str]) -> str:
    (one,) = (await find(stand, targets[0]))[:1]
    others = await find(stand, targets[1]) if targets[1:] else stand.members
    for other in others:
        if other is not one:
            for link in stand.network.both(one.name, other.name):
                link.held = True
    stand.network.changed()
    who = ", ".join(other.name for other in others if other is not one)
    return f"nothing passes between {one.name} and {who}"


def slow(stand: Stand, members: list[Server], delay_ms: int) -> str:
    for member in members:
        for other in stand.members:
            if other is not member:
                for link in stand.network.both(member.name, other.name):
                    link.delay_s = delay_ms / 1e3
    return f"{', '.join(member.name for member in members)}: {delay_ms} ms late"


async def status(stand: Stand) -> str:
    answers = await stand.statuses()
    lines = []
    for member in stand.members:
        answer = answers.get(member.name)
        where = f"{member.name}  127.0.0.1:{member.port}  {state(stand, member)}"
        if answer is not None and answer.header is not None:
            role = "leader" if answer.leader == stand.ids.get(member.name) else "follower"
            role = role if answer.leader else "without a leader"
            where += (
                f"  {'learner' if answer.isLearner else role}, term {answer.raftTerm}, "
                f"index {answer.raftIndex}, revision {answer.header.revision}"
            )
        lines.append(where)
    return "\n".join(lines)


def state(stand: Stand, member: Server) -> str:
    if member.process is None:
        return "down"
    if member.name in stand.paused:
        return f"paused (pid {member.process.pid})"
    held = [
        other.name
        for other in stand.members
        if other is not member
        and any(link.held for link in stand.network.both(member.name, other.name))
    ]
    apart = f", apart from {', '.join(held)}" if held else ""
    return f"up (pid {member.process.pid}{apart})"
