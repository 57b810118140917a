"""What a program does with the `aetcd` client (1.0.0); prints what it saw, one line a thing.

Run by test_python_clients.py with the Python of that client's own environment: PORT as argument.
"""

import asyncio
import sys
import time

import aetcd


def show(what, *values):
    print(what, *(repr(value) for value in values), flush=True)


def pair(found):
    if found is None:
        return None
    return found.key, found.value, found.create_revision, found.mod_revision, found.version


async def keys_and_values(client):
    show("absent", pair(await client.get(b"absent")))
    await client.put(b"greeting", b"hello")
    show("put", pair(await client.get(b"greeting")))
    before = await client.put(b"greeting", b"\x00\xff", prev_kv=True)
    show("put again", before.prev_kv.value, pair(await client.get(b"greeting")))
    show("replace", await client.replace(b"greeting", b"no", b"new"))
    for number in range(25):
        await client.put(b"many/%03d" % number, b"value %d" % (number % 7))
    found = await client.get_prefix(b"many/00", sort_order="descend", sort_target="key")
    show("prefix", [pair(each) for each in found])
    found = await client.get_range(b"many/003", b"many/006", sort_order="descend")
    show("range", [pair(each) for each in found])
    show("count", len(list(await client.get_all())))
    deleted = await client.delete(b"greeting", prev_kv=True)
    show("delete", deleted.prev_kv.value, await client.delete(b"greeting"))
    show("delete prefix", len(list(await client.delete_prefix(b"many/", prev_kv=True))))


async def transactions(client):
    await client.put(b"account", b"100")
    ok, answers = await client.transaction(
        compare=[
            client.transactions.value(b"account") == b"100",
            client.transactions.version(b"account") > 0,
        ],
        success=[
            client.transactions.put(b"account", b"90"),
            client.transactions.get(b"account"),
        ],
        failure=[],
    )
    show("txn", ok, [pair(found) for _, found in answers[1]])
    ok, answers = await client.transaction(
        compare=[client.transactions.mod(b"account") == 1],
        success=[],
        failure=[client.transactions.get(b"account")],
    )
    show("txn", ok, [pair(found) for _, found in answers[0]])


def show_event(what, event):
    kv = event.kv
    show(what, str(event.kind), kv.key, kv.value, kv.mod_revision, kv.version)


async def take(watch, count, what):
    async for event in watch:
        show_event(what, event)
        count -= 1
        if not count:
            break
    await watch.cancel()


async def watches(client):
    watch = await client.watch(b"watched")
    prefix = await client.watch_prefix(b"watched")
    await client.put(b"watched", b"1")
    await client.put(b"watched", b"2")
    await client.put(b"watched/below", b"3")
    await client.delete(b"watched")
    await take(watch, 3, "watch")
    await take(prefix, 4, "watch prefix")
    first = await client.put(b"past", b"1")
    await client.put(b"past", b"2")
    await client.delete(b"past")
    watch = await client.watch(b"past", start_revision=first.header.revision, prev_kv=True)
    await take(watch, 3, "past")
    asyncio.get_running_loop().create_task(later(client.put(b"once", b"now")))
    show_event("once", await client.watch_once(b"once", timeout=10))
    try:
        await client.watch_once(b"never", timeout=0.3)
    except aetcd.exceptions.WatchTimeoutError:
        show("timed out")


async def later(action):
    await asyncio.sleep(0.3)
    await action


async def leases(client):
    lease = await client.lease(30, lease_id=777)
    show("lease", lease.id, lease.ttl, await lease.granted_ttl())
    show("remaining", 28 <= await lease.remaining_ttl() <= 30)
    await client.put(b"leased", b"1", lease=lease)
    show("keys", list(await lease.keys()))
    answer = await lease.refresh()
    show("refresh", answer.ID, answer.TTL)
    await lease.revoke()
    show("revoked", pair(await client.get(b"leased")))
    try:
        await client.revoke_lease(777)
    except Exception as error:
        show("revoke", type(error).__name__)
    watch = await client.watch(b"short")
    lease = await client.lease(1)
    show("least ttl", lease.ttl)
    begin = time.monotonic()
    await client.put(b"short", b"1", lease=lease)
    await take(watch, 2, "expiry")
    show("not early", time.monotonic() - begin > lease.ttl - 0.1)


async def locks(client):
    first, second = client.lock(b"door", ttl=20), client.lock(b"door", ttl=20)
    show("lock", await first.acquire(), await first.is_acquired())
    show("lock", await second.acquire(timeout=0.3), await second.is_acquired())
    asyncio.get_running_loop().create_task(later(first.release()))
    show("lock", await second.acquire(timeout=10), await second.is_acquired())
    await second.refresh()
    show("unlock", await second.release(), await second.is_acquired())


async def maintenance(client):
    show("members", [member.name async for member in client.members()])
    status = await client.status()
    show("status", status.leader.name, status.raft_term > 0, status.db_size > 0)
    await client.defragment()


async def main():
    async with aetcd.Client(host="127.0.0.1", port=int(sys.argv[1]), timeout=20) as etcd:
        for part in (keys_and_values, transactions, watches, leases, locks, maintenance):
            show(f"-- {part.__name__}")
            await part(etcd)


asyncio.run(main())
