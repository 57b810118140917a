"""The faults, one function each: it does the harm and says to whom; `Stand.heal` ends all of them.

A fault that leaves a majority connected must leave the cluster usable too: `MAJORITY` ones are
checked for traffic while they last. Full disks are tried by a test of their own, for they need a
small file system, and root to mount it.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from bench.servers import Server
from faults.member import Member
from faults.proxy import Link
from faults.stand import Stand

SLOW_S, SLOW_JITTER_S = 0.025, 0.100  # 75 ms, give or take 50
BREAK_CHANCE = 0.05
PIECE_BYTES_MAX = 40


class Fault(NamedTuple):
    name: str
    harm: Callable[[Stand], Awaitable[str]]
    seconds: tuple[float, float]  # it lasts so long, at least and at most
    majority: bool = True  # whether a connected majority is left


async def leader_or_any(stand: Stand) -> Server:
    return await stand.leader() or stand.chance.choice(stand.members)


def anyone(stand: Stand) -> Server:
    return stand.chance.choice(stand.members)


async def someone(stand: Stand) -> Server:
    """The leader every other time."""
    return await leader_or_any(stand) if stand.chance.random() < 0.5 else anyone(stand)


def others(stand: Stand, member: Server) -> list[Server]:
    return [one for one in stand.members if one is not member]


# --- processes ------------------------------------------------------------------------------------


async def kill_leader(stand: Stand) -> str:
    leader = await leader_or_any(stand)
    stand.kill(leader)
    return leader.name


async def kill_follower(stand: Stand) -> str:
    leader = await leader_or_any(stand)
    follower = stand.chance.choice(others(stand, leader))
    stand.kill(follower)
    return follower.name


async def kill_all(stand: Stand) -> str:
    for member in stand.members:
        stand.kill(member)
    return "all"


async def vanish(stand: Stand) -> str:
    """As a machine without power: its connections stay half open, and it comes back."""
    member = await someone(stand)
    stand.network.lose(member.name)
    stand.kill(member)
    return member.name


async def kill_while_starting(stand: Stand) -> str:
    """A start that does not get far, and one more."""
    member = await someone(stand)
    stand.kill(member)
    for _ in range(2):
        stand.spawn(member)
        await stand.sleep(0.05, 0.8)
        stand.kill(member)
    return member.name


async def pause_leader(stand: Stand) -> str:
    leader = await leader_or_any(stand)
    stand.pause(leader)
    return leader.name


async def pause_follower(stand: Stand) -> str:
    leader = await leader_or_any(stand)
    follower = stand.chance.choice(others(stand, leader))
    stand.pause(follower)
    return follower.name


async def stutter(stand: Stand) -> str:
    """Many short pauses of one after another."""
    names = []
    for _ in range(8):
        member = await someone(stand)
        stand.pause(member)
        await stand.sleep(0.05, 0.3)
        stand.resume(member)
        names.append(member.name)
    return " ".join(names)


async def restart(stand: Stand) -> str:
    """A clean stop; the leader hands over first."""
    member = await someone(stand)
    await stand.restart(member)
    return member.name


async def replace(stand: Stand) -> str:
    """For good: the newcomer has an empty disk and another id."""
    member = await someone(stand)
    await stand.replace(member)
    return member.name


# --- disks and clocks, of petcd's members only ----------------------------------------------------


def with_shim(stand: Stand) -> list[Member]:
    return [one for one in stand.awake() if isinstance(one, Member) and one.kind == "petcd"]


async def leader_with_shim(stand: Stand) -> Member | None:
    """The leader if its disk and clock are in our hands, else anybody whose are."""
    leader, members = await stand.leader(), with_shim(stand)
    if leader in members:
        return members[members.index(leader)]
    return stand.chance.choice(members) if members else None


async def hang_disk(stand: Stand) -> str:
    """No sync returns: who leads so must not keep the lead."""
    member = await leader_with_shim(stand)
    if member is None:
        return "nobody"
    member.suffer(sync="hang")
    return member.name


async def slow_disk(stand: Stand) -> str:
    member = await leader_with_shim(stand)
    if member is None:
        return "nobody"
    member.suffer(sync_s=stand.chance.choice((0.02, 0.2, 0.6)))
    return member.name


async def fail_sync(stand: Stand) -> str:
    """The next sync returns an error, and the process has to end by itself."""
    member = await leader_with_shim(stand)
    if member is None:
        return "nobody"
    member.suffer(sync="fail")
    await stand.ended(member)
    member.suffer()
    return member.name


async def set_clocks(stand: Stand) -> str:
    """Each member's time of day is another one."""
    for member in with_shim(stand):
        member.suffer(clock_s=stand.chance.randint(-86_400, 86_400))
    return "all"


# --- the network ----------------------------------------------------------------------------------


async def hold_leader(stand: Stand) -> str:
    """A black hole around the leader, in both directions."""
    leader = await leader_or_any(stand)
    return hold_around(stand, leader)


async def hold_follower(stand: Stand) -> str:
    leader = await leader_or_any(stand)
    return hold_around(stand, stand.chance.choice(others(stand, leader)))


def hold_around(stand: Stand, member: Server) -> str:
    for other in others(stand, member):
        for link in stand.network.both(member.name, other.name):
            link.held = True
    stand.network.changed()
    return member.name


async def hold_everything(stand: Stand) -> str:
    for member in stand.members:
        hold_around(stand, member)
    return "all"


async def cut_leader(stand: Stand) -> str:
    """Its connections break, and every new one too."""
    leader = await leader_or_any(stand)
    for other in others(stand, leader):
        for link in stand.network.both(leader.name, other.name):
            link.cut = True
    stand.network.changed()
    return leader.name


async def deaf(stand: Stand) -> str:
    """One hears nobody, and is heard."""
    member = await someone(stand)
    for other in others(stand, member):
        stand.network.link(other.name, member.name).held = True
    return member.name


async def mute(stand: Stand) -> str:
    """One hears all, and is not heard."""
    member = await someone(stand)
    for other in others(stand, member):
        stand.network.link(member.name, other.name).held = True
    return member.name


async def bridge(stand: Stand) -> str:
    """Only one member reaches all others; these do not reach each other."""
    middle = await someone(stand)
    rest = others(stand, middle)
    for one in rest:
        for other in rest:
            if one is not other:
                stand.network.link(one.name, other.name).held = True
    return f"only {middle.name} hears all"


async def slow(stand: Stand) -> str:
    for link in all_links(stand):
        link.delay_s, link.jitter_s = SLOW_S, SLOW_JITTER_S
    return "all"


async def breaking(stand: Stand) -> str:
    for link in all_links(stand):
        link.break_chance = BREAK_CHANCE
    return "all"


async def in_pieces(stand: Stand) -> str:
    for link in all_links(stand):
        link.piece_bytes_max = PIECE_BYTES_MAX
    return "all"


def all_links(stand: Stand) -> list[Link]:
    names = [member.name for member in stand.members]
    return [stand.network.link(a, b) for a in names for b in names if a != b]


FAULTS = (
    Fault("kill the leader", kill_leader, (1.0, 3.0)),
    Fault("kill a follower", kill_follower, (0.5, 2.0)),
    Fault("kill all", kill_all, (0.1, 0.5), majority=False),
    Fault("vanish", vanish, (0.1, 2.0)),
    Fault("kill while starting", kill_while_starting, (0.1, 0.5)),
    Fault("pause the leader", pause_leader, (0.5, 3.5)),
    Fault("pause a follower", pause_follower, (0.5, 2.0)),
    Fault("stutter", stutter, (0.1, 0.3)),
    Fault("restart", restart, (0.5, 1.5)),
    Fault("replace", replace, (0.5, 1.5)),
    Fault("hang the disk", hang_disk, (2.0, 6.0)),
    Fault("slow disk", slow_disk, (1.0, 3.0)),
    Fault("fail a sync", fail_sync, (0.5, 2.0)),
    Fault("set the clocks", set_clocks, (1.0, 3.0)),
    Fault("hold the leader", hold_leader, (1.5, 5.0)),
    Fault("hold a follower", hold_follower, (0.5, 2.0)),
    Fault("hold everything", hold_everything, (0.5, 2.0), majority=False),
    Fault("cut the leader", cut_leader, (1.5, 3.5)),
    Fault("deaf", deaf, (1.0, 5.5)),
    Fault("mute", mute, (1.0, 3.5)),
    Fault("bridge", bridge, (1.0, 3.5)),
    Fault("slow", slow, (1.0, 2.0)),
    Fault("breaking", breaking, (1.0, 2.0)),
    Fault("in pieces", in_pieces, (1.0, 2.0)),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
