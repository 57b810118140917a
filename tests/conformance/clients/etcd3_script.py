"""What a program does with the `etcd3` client (0.12.0); prints what it saw, one line a thing.

Run by test_python_clients.py with the Python of that client's own environment: PORT as argument.
"""

import sys
import threading
import time

import etcd3


def show(what, *values):
    print(what, *(repr(value) for value in values), flush=True)


def pair(found):
    value, meta = found
    if meta is None:
        return None
    return meta.key, value, meta.create_revision, meta.mod_revision, meta.version


def keys_and_values(client):
    show("absent", pair(client.get("absent")))
    client.put("greeting", "hello")
    show("put", pair(client.get("greeting")))
    client.put("greeting", b"\x00\xff")
    show("put again", pair(client.get("greeting", serializable=True)))
    show("if absent", client.put_if_not_exists("greeting", "no"))
    show("if absent", client.put_if_not_exists("fresh", "yes"))
    show("replace", client.replace("fresh", "yes", "new"), client.replace("fresh", "yes", "no"))
    for number in range(25):
        client.put(f"many/{number:03d}", f"value {number % 7}")
    show("prefix", [pair(found) for found in client.get_prefix("many/")])
    show("keys only", [pair(found) for found in client.get_prefix("many/00", keys_only=True)])
    by_value = client.get_prefix("many/00", sort_order="descend", sort_target="key")
    show("sorted", [pair(found) for found in by_value])
    show("range", [pair(found) for found in client.get_range("many/003", "many/006")])
    show("count", len(list(client.get_all())))
    show("delete", client.delete("greeting"), client.delete("greeting"))
    response = client.delete("fresh", prev_kv=True, return_response=True)
    show("delete", response.deleted, response.prev_kvs[0].value)
    show("delete prefix", client.delete_prefix("many/").deleted)
    show("count", len(list(client.get_all())))


def transactions(client):
    client.put("account", "100")
    ok, answers = client.transaction(
        compare=[
            client.transactions.value("account") == "100",
            client.transactions.version("account") > 0,
        ],
        success=[
            client.transactions.put("account", "90"),
            client.transactions.get("account"),
            client.transactions.delete("nothing"),
        ],
        failure=[],
    )
    show("txn", ok, [pair(found) for found in answers[1]])
    ok, answers = client.transaction(
        compare=[client.transactions.mod("account") == 1],
        success=[],
        failure=[client.transactions.get("account")],
    )
    show("txn", ok, [pair(found) for found in answers[0]])
    nested = client.transactions.txn(
        compare=[client.transactions.create("absent") == 0],
        success=[client.transactions.put("deep", "1")],
        failure=[],
    )
    ok, _ = client.transaction(compare=[], success=[nested], failure=[])
    show("nested", ok, pair(client.get("deep")))
    try:
        client.transaction(
            compare=[],
            success=[client.transactions.put("same", "1"), client.transactions.put("same", "2")],
            failure=[],
        )
    except Exception as error:
        show("duplicate", type(error).__name__, error.code().name, error.details())


def watches(client):
    events, cancel = client.watch("watched")
    prefix_events, cancel_prefix = client.watch_prefix("watched")
    client.put("watched", "1")
    client.put("watched", "2")
    client.put("watched/below", "3")
    client.delete("watched")
    for _ in range(3):
        show_event("watch", next(events))
    for _ in range(4):
        show_event("watch prefix", next(prefix_events))
    cancel()
    cancel_prefix()
    start = client.put("past", "1").header.revision
    client.put("past", "2")
    client.delete("past")
    events, cancel = client.watch("past", start_revision=start, prev_kv=True)
    for _ in range(3):
        show_event("past", next(events))
    cancel()
    threading.Timer(0.2, client.put, ["once", "now"]).start()
    show_event("once", client.watch_once("once", timeout=10))
    try:
        client.watch_once("never", timeout=0.3)
    except etcd3.exceptions.WatchTimedOut:
        show("timed out")
    client.compact(5)
    events, cancel = client.watch("past", start_revision=1)
    try:
        next(events)
    except etcd3.exceptions.RevisionCompactedError as error:
        show("compacted", error.compacted_revision)
    try:
        client.compact(1)
    except Exception as error:
        show("compacted", type(error).__name__, error.code().name, error.details())


def show_event(what, event):
    show(what, type(event).__name__, event.key, event.value, event.mod_revision, event.version)


def leases(client):
    lease = client.lease(30, lease_id=777)
    show("lease", lease.id, lease.ttl, lease.granted_ttl, 28 <= lease.remaining_ttl <= 30)
    client.put("leased", "1", lease=lease)
    show("keys", list(lease.keys))
    show("refresh", [(answer.ID, answer.TTL) for answer in lease.refresh()])
    lease.revoke()
    show("revoked", pair(client.get("leased")), client.get_lease_info(777).TTL)
    try:
        client.revoke_lease(777)
    except Exception as error:
        show("revoke", type(error).__name__, error.code().name, error.details())
    show("refresh", [(answer.ID, answer.TTL) for answer in client.refresh_lease(777)])
    events, cancel = client.watch("short")
    lease = client.lease(1)
    show("least ttl", lease.ttl)
    begin = time.monotonic()
    client.put("short", "1", lease=lease)
    show_event("expiry", next(events))
    show_event("expiry", next(events))
    show("not early", time.monotonic() - begin > lease.ttl - 0.1)
    cancel()


def locks(client):
    first, second = client.lock("door", ttl=20), client.lock("door", ttl=20)
    show("lock", first.acquire(), first.is_acquired())
    show("lock", second.acquire(timeout=0.3), second.is_acquired())
    threading.Timer(0.3, first.release).start()
    show("lock", second.acquire(timeout=10), second.is_acquired())
    second.refresh()
    show("unlock", second.release(), second.is_acquired())
    with client.lock("door") as door:
        show("with", door.is_acquired())


def maintenance(client):
    show("members", [member.name for member in client.members])
    status = client.status()
    show("status", status.leader.name, status.raft_term > 0, status.db_size > 0)
    client.defragment()
    show("alarms", list(client.list_alarms()))
    show("alarm", [alarm.alarm_type for alarm in client.create_alarm()])
    try:
        client.put("full", "1")
    except Exception as error:
        show("full", type(error).__name__, error.code().name, error.details())
    show("disarmed", len(list(client.disarm_alarm())))
    client.put("full", "1")
    show("room", pair(client.get("full")))


with etcd3.client(host="127.0.0.1", port=int(sys.argv[1]), timeout=20) as etcd:
    for part in (keys_and_values, transactions, watches, leases, locks, maintenance):
        show(f"-- {part.__name__}")
        part(etcd)
