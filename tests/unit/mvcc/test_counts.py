"""What was asked of a store, in numbers."""

from petcd.wire.kv import DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest


def numbers(store):
    counts = store.counts
    return counts.puts, counts.deletes, counts.ranges, counts.txns, counts.put_bytes


def test_an_operation_counts_once_whatever_it_finds(store):
    store.put_plain(b"ab", b"123")
    store.put(b"ab", b"4", 7)
    store.delete_range(DeleteRangeRequest(key=b"a", range_end=b"z"))
    store.delete_range(DeleteRangeRequest(key=b"nothing"))
    assert numbers(store) == (2, 2, 0, 0, 8)


def test_operations_inside_of_a_transaction_count_and_so_does_one_with_several(store):
    put = RequestOp(request_put=PutRequest(key=b"k", value=b"v"))
    get = RequestOp(request_range=RangeRequest(key=b"k"))
    delete = RequestOp(request_delete_range=DeleteRangeRequest(key=b"k"))
    store.txn(TxnRequest(success=[put]))
    assert numbers(store) == (1, 0, 0, 0, 2)
    store.txn(TxnRequest(success=[get, delete], failure=[put]))
    assert numbers(store) == (1, 1, 1, 1, 2)


def test_each_key_of_a_lease_counts_as_a_delete(store):
    store.put_plain(b"a", b"")
    store.put_plain(b"b", b"")
    store.delete_keys([b"a", b"b", b"gone before"])
    assert store.counts.deletes == 2


def test_the_counts_go_on_when_a_snapshot_takes_the_place_of_all_keys(store):
    store.put_plain(b"a", b"")
    steps = store.read_steps(store.backend)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        store.adopt(end.value)
    store.put_plain(b"b", b"")
    assert store.counts.puts == 2
