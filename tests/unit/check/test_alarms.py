"""A full backend: what may be refused, what may be done, and which refused writes may be done."""

import pytest

from sim.check import alarms
from sim.check import history as h
from sim.check.alarms import EXCESS_BYTES_MAX, AlarmRecord
from sim.check.invariants import Broken
from sim.check.judge import judge
from sim.check.v2_records import V2Get

QUOTA = 1000
PUT = h.Put(b"k", b"v")


def op(
    call_s: float, return_s: float, request: object, response: object, revision: int = 0
) -> h.Operation:
    return h.Operation(1, 1, 1, call_s, request, return_s, response, revision)


def refused(call_s: float, return_s: float, request: object = PUT) -> h.Operation:
    return op(call_s, return_s, request, h.Refused(h.NO_SPACE))


def put_at(call_s: float, return_s: float, revision: int) -> h.Operation:
    return op(call_s, return_s, PUT, h.PutResponse(), revision)


def test_members_have_the_same_alarms_at_the_same_applied_index() -> None:
    record = AlarmRecord(QUOTA)
    record.look(1, 5, 3, (7,), 10)
    record.look(2, 5, 3, (7,), 900)
    with pytest.raises(Broken, match="members differ at one applied index"):
        record.look(3, 5, 3, (), 10)
    with pytest.raises(Broken, match="members differ at one applied index"):
        record.look(3, 5, 4, (7,), 10)


def test_a_backend_stays_near_its_quota() -> None:
    record = AlarmRecord(QUOTA)
    record.look(1, 5, 3, (), 2 * QUOTA + EXCESS_BYTES_MAX)
    with pytest.raises(Broken, match="a backend grew beyond its quota"):
        record.look(1, 6, 4, (), 2 * QUOTA + EXCESS_BYTES_MAX + 1)


def test_nothing_is_put_while_the_alarm_is_raised() -> None:
    record = AlarmRecord(QUOTA)
    for applied, revision, raised in (
        (1, 1, ()),
        (2, 2, (7,)),
        (4, 4, (7,)),
        (5, 4, ()),
        (6, 5, ()),
    ):
        record.look(1, applied, revision, raised, 0)
    put = h.Event("put", h.KeyValue(b"k", b"v", 3, 3, 1))
    delete = h.Event("delete", h.KeyValue(b"k", b"", 0, 3, 0))
    assert record.raised() == [(2, 4)]
    assert alarms.check([], {2: [put], 3: [delete], 5: [put]}, record) == []
    (found,) = alarms.check([], {3: [put]}, record)
    assert found.law == "a write in spite of the alarm"


def test_alarms_of_other_members_may_have_a_moment_without_between_them() -> None:
    record = AlarmRecord(QUOTA)
    for applied, revision, raised in ((2, 2, (7,)), (3, 3, (7, 8)), (5, 4, (8,)), (9, 7, (7,))):
        record.look(1, applied, revision, raised, 0)
    assert record.raised() == [(2, 4), (7, 7)]


def test_a_write_of_unknown_outcome_was_not_done_while_the_alarm_was_raised() -> None:
    """Nobody saw revisions 3 and 5: the put was one of them, and the end of a lease the other."""
    history = h.History()
    for call_s, request, response, revision in (
        (0.0, h.Put(b"a", b"1", lease=9), h.PutResponse(), 2),
        (0.3, PUT, None, 0),
        (1.0, h.Put(b"b", b"2"), h.PutResponse(), 4),
        (3.0, h.Put(b"c", b"3"), h.PutResponse(), 6),
        (4.0, h.Range(b"a"), h.RangeResponse((), 0), 6),
    ):
        return_s = None if response is None else call_s + 0.1
        history.operations.append(
            h.Operation(1, 1, 1, call_s, request, return_s, response, revision)
        )
    for first, last in ((2, 3), (4, 5)):
        record = AlarmRecord(QUOTA)
        record.look(1, 5, first, (7,), 0)
        record.look(1, 6, last, (7,), 0)
        assert judge(history, alarm_record=record).violations == []
    record.look(1, 4, 2, (7,), 0)
    laws = [each.law for each in judge(history, alarm_record=record).violations]
    assert laws == ["a write in spite of the alarm"]


def test_what_frees_space_is_never_refused_for_want_of_it() -> None:
    record = AlarmRecord(QUOTA)
    txn = h.Txn((), (h.Delete(b"k"),), (PUT,))
    assert (
        alarms.check([refused(1, 2), refused(1, 2, txn), refused(1, 2, h.Grant(0, 5))], {}, record)
        == []
    )
    for request in (h.Delete(b"k"), h.Compact(3), h.Revoke(4), h.Txn((), (h.Delete(b"k"),))):
        (found,) = alarms.check([refused(1, 2, request)], {}, record)
        assert found.law == "refused for want of space what takes none"


def test_nobody_is_refused_for_want_of_space_without_a_quota() -> None:
    (found,) = alarms.check([refused(1, 2)], {}, None)
    assert found.law == "refused for want of space without a quota"


def test_a_refused_write_is_open_only_when_a_revision_of_its_time_has_no_author() -> None:
    before, after = put_at(0, 1, 2), put_at(5, 6, 3)
    doubtful = refused(2, 3)
    assert alarms.settled([before, doubtful, after], ()) == [before, after]
    late = put_at(5, 6, 4)
    kept = alarms.settled([before, doubtful, late], ())
    assert [one.response for one in kept] == [before.response, None, late.response]
    earlier = refused(0.2, 0.5)  # before revision 4 was asked for, but after nothing
    assert len(alarms.settled([earlier, put_at(2, 3, 2), put_at(4, 5, 3)], ())) == 2


def test_a_stale_read_says_nothing_of_when_a_write_was_done() -> None:
    before, doubtful, late = put_at(0, 1, 3), refused(2, 3), put_at(5, 6, 5)
    for stale in (h.Range(b"k", serializable=True), V2Get(b"/k")):
        read = op(4, 4.5, stale, h.RangeResponse((), 0), 2)
        assert len(alarms.settled([before, doubtful, read, late], ())) == 4


def test_a_refused_write_that_watchers_saw_is_open() -> None:
    before, doubtful = put_at(0, 1, 2), refused(2, 3)
    assert alarms.settled([before, doubtful], ()) == [before]
    assert len(alarms.settled([before, doubtful], (3,))) == 2
