"""v2 over a socket of a whole member: what needs the loop, the clock or a restart."""

import http.client
import json
import threading
import time

from petcd.wire import kv, lease

KV = b"/etcdserverpb.KV/"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask(running, method: str, path: str, form: str | None = None):
    """(status, headers, parsed body) of one call of /v2/keys."""
    connection = http.client.HTTPConnection(*running.address, timeout=10)
    try:
        connection.request(method, "/v2/keys" + path, form, FORM if form is not None else {})
        response = connection.getresponse()
        body = response.read()
        return response.status, response.headers, json.loads(body) if body else None
    finally:
        connection.close()


def test_both_apis_see_the_same_keys(start):
    member = start()
    status, headers, body = ask(member, "PUT", "/a/b", "value=1")
    assert (status, headers["X-Etcd-Index"], body["node"]["modifiedIndex"]) == (201, "2", 2)
    answer = member.call(KV + b"Range", kv.RangeRequest(key=b"/a/b"), kv.RangeResponse)
    assert (answer.kvs[0].value, answer.kvs[0].mod_revision) == (b"1", 2)
    member.call(KV + b"Put", kv.PutRequest(key=b"/a/c", value=b"2"), kv.PutResponse)
    listed = ask(member, "GET", "/a?recursive=true")[2]["node"]["nodes"]
    assert [(node["key"], node["value"]) for node in listed] == [("/a/b", "1"), ("/a/c", "2")]


def test_a_put_of_v3_wakes_a_watch_of_v2(start):
    member = start()
    seen = []
    thread = threading.Thread(
        target=lambda: seen.append(ask(member, "GET", "/w?wait=true&recursive=true"))
    )
    thread.start()
    watchers = member.server._engine.member.applier.v2.stats
    while not watchers.watchers:
        time.sleep(0.001)
    member.call(KV + b"Put", kv.PutRequest(key=b"/w/x", value=b"v3"), kv.PutResponse)
    thread.join(10)
    ((status, headers, body),) = seen
    assert (status, headers["X-Etcd-Index"]) == (200, "1")
    assert body == {
        "action": "set",
        "node": {"key": "/w/x", "value": "v3", "modifiedIndex": 2, "createdIndex": 2},
    }


def test_nodes_expire_by_the_clock_and_after_a_restart(start):
    member = start()
    ask(member, "PUT", "/short", "value=1&ttl=1")
    ask(member, "PUT", "/long", "value=1&ttl=1000")
    request = lease.LeaseLeasesRequest()
    leases = member.call(b"/etcdserverpb.Lease/LeaseLeases", request, lease.LeaseLeasesResponse)
    assert [f"{known.ID:x}"[:4] for known in leases.leases] == ["7632", "7632"]
    member.stop()
    member = start()
    body = ask(member, "GET", "/short?wait=true&waitIndex=4")[2]
    assert (body["action"], body["prevNode"]["value"]) == ("expire", "1")
    assert ask(member, "GET", "/short")[0] == 404
    node = ask(member, "GET", "/long")[2]["node"]
    assert 990 < node["ttl"] <= 1000 and node["expiration"].endswith("Z")


def test_a_waiting_watch_ends_empty_when_the_member_stops(start):
    member = start()
    connection = http.client.HTTPConnection(*member.address, timeout=10)
    connection.request("GET", "/v2/keys/w?wait=true")
    response = connection.getresponse()
    assert response.status == 200
    member.stop()
    assert response.read() == b""
    connection.close()


def test_v2_can_be_turned_off(start):
    member = start(enable_v2=False)
    assert member.http("GET /v2/keys HTTP/1.1\r\nHost: x") == (404, b"404 page not found\n")


def test_a_huge_listing_and_a_huge_value_arrive_whole(start):
    member = start()
    value = "x" * 1_000_000
    assert ask(member, "PUT", "/big", "value=" + value)[0] == 201
    assert ask(member, "GET", "/big")[2]["node"]["value"] == value
    for batch in range(12):
        ops = [
            kv.RequestOp(request_put=kv.PutRequest(key=b"/l/%d/%d" % (batch, n), value=b"v"))
            for n in range(120)
        ]
        member.call(KV + b"Txn", kv.TxnRequest(success=ops), kv.TxnResponse)
    nodes = ask(member, "GET", "/l?recursive=true")[2]["node"]["nodes"]
    assert len(nodes) == 12
    assert sum(len(node["nodes"]) for node in nodes) == 12 * 120


def test_a_listing_of_megabytes_leaves_room_for_other_requests(start):
    member = start()
    for batch in range(8):
        ops = [
            kv.RequestOp(
                request_put=kv.PutRequest(key=b"/l/%d/%d" % (batch, n), value=b"v" * 9_000)
            )
            for n in range(100)
        ]
        member.call(KV + b"Txn", kv.TxnRequest(success=ops), kv.TxnResponse)
    connection = http.client.HTTPConnection(*member.address, timeout=10)
    connection.request("GET", "/v2/keys/l?recursive=true")
    slow = connection.getresponse()  # and does not read on
    assert ask(member, "PUT", "/l/0/1", "value=new")[0] == 200
    listed = ask(member, "GET", "/l?recursive=true")[2]["node"]["nodes"]
    assert listed[0]["nodes"][1]["value"] == "new"
    before = json.loads(slow.read())["node"]["nodes"]
    assert before[0]["nodes"][1]["value"] == "v" * 9_000
    assert sum(len(node["nodes"]) for node in before) == 800
    connection.request("GET", "/v2/keys/l/0/1")
    assert json.loads(connection.getresponse().read())["node"]["value"] == "new"
    connection.close()


def test_compaction_takes_the_notes_along_and_old_watches_get_401(start):
    member = start()
    ask(member, "PUT", "/k", "value=1")
    for value in range(5):
        ask(member, "PUT", "/k?prevExist=true", f"value={value}")
    request = kv.CompactionRequest(revision=7, physical=True)
    member.call(KV + b"Compact", request, kv.CompactionResponse)
    notes = member.server._engine.member.applier.v2.notes
    assert [revision for revision, _ in notes.scan()] == [7]
    status, headers, body = ask(member, "GET", "/k?wait=true&waitIndex=3")
    assert (status, headers["X-Etcd-Index"], body["errorCode"]) == (400, "7", 401)
    assert body["cause"] == "the requested history has been cleared [8/3]"
    assert ask(member, "GET", "/k")[2]["node"]["createdIndex"] == 2
