"""The mind: requests go through the log, a restart goes on from the applied index."""

import pytest

from petcd.cluster import MemberUnknown
from petcd.lease import LeaseExists, LeaseNotFound
from petcd.member.apply import (
    ALARM,
    AUTH_ENABLE,
    CLUSTER_MEMBER_ATTR_SET,
    CLUSTER_VERSION_SET,
    COMPACTION,
    DELETE_RANGE,
    LEASE_CHECKPOINT,
    LEASE_GRANT,
    LEASE_REVOKE,
    PUT,
    TXN,
)
from petcd.member.errors import ClusterCorrupt, NoLeader, NoSpace, NotSupported
from petcd.member.meta import load_applied, load_conf_state
from petcd.member.users import UsersAreOn
from petcd.mvcc import errors as mvcc
from petcd.raft.types import ConfChange, ConfChangeType
from petcd.wire.auth import AuthEnableRequest
from petcd.wire.hot import decode_kv_meta, kv_value
from petcd.wire.kv import (
    CompactionRequest,
    Compare,
    CompareTarget,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from petcd.wire.lease import (
    LeaseCheckpoint,
    LeaseCheckpointRequest,
    LeaseGrantRequest,
    LeaseRevokeRequest,
)
from petcd.wire.maintenance import AlarmAction, AlarmMember, AlarmRequest, AlarmType
from petcd.wire.membership import (
    Attributes,
    ClusterMemberAttrSetRequest,
    ClusterVersionSetRequest,
)


def alarm(action: int, kind: int = AlarmType.NOSPACE, member_id: int = 7) -> AlarmRequest:
    return AlarmRequest(action=action, memberID=member_id, alarm=kind)


def test_a_founded_member_knows_itself_and_leads(rig):
    assert [m.id for m in rig.member.membership.members()] == [7]
    assert rig.member.is_leader and rig.member.leader_id == 7
    assert rig.member.leader_changes == 1
    assert rig.member.read_is_confirmed()


def test_a_put_is_applied_and_answered_with_its_revision(rig):
    assert rig.request(PUT, PutRequest(key=b"k", value=b"v")) == 2
    kv = rig.member.store.get(b"k")
    assert kv is not None and kv_value(kv) == b"v" and decode_kv_meta(kv)[:3] == (2, 2, 1)


def test_a_put_with_options_answers_the_previous_pair(rig):
    rig.request(PUT, PutRequest(key=b"k", value=b"old"))
    outcome = rig.request(PUT, PutRequest(key=b"k", value=b"new", prev_kv=True))
    assert outcome.revision == 3 and kv_value(outcome.prev) == b"old"


def test_refusals_are_outcomes_and_advance_the_applied_index(rig):
    before = rig.member.applied_index
    outcome = rig.request(PUT, PutRequest(key=b"k", value=b"v", lease=99))
    assert isinstance(outcome, mvcc.LeaseNotFound)
    assert rig.member.applied_index == before + 1
    assert load_applied(rig.backend)[0] == before + 1
    assert rig.member.store.revision == 1


def test_a_request_of_a_later_version_is_refused_not_fatal(rig):
    outcome = rig.request(4242, PutRequest(key=b"k"))
    assert isinstance(outcome, NotSupported)


def test_delete_txn_and_compaction_answer_their_own_kind(rig):
    rig.request(PUT, PutRequest(key=b"a", value=b"1"))
    txn = TxnRequest(
        compare=[Compare(key=b"a", target=CompareTarget.VERSION, version=1)],
        success=[RequestOp(request_put=PutRequest(key=b"b", value=b"2"))],
    )
    outcome = rig.request(TXN, txn)
    assert outcome.succeeded and outcome.revision == 3
    outcome = rig.request(DELETE_RANGE, DeleteRangeRequest(key=b"a"))
    assert (outcome.deleted, outcome.revision) == (1, 4)
    assert rig.request(COMPACTION, CompactionRequest(revision=3)) == 4
    assert rig.member.store.compact_revision == 3
    assert isinstance(rig.request(COMPACTION, CompactionRequest(revision=2)), mvcc.Compacted)
    assert isinstance(rig.request(COMPACTION, CompactionRequest(revision=9)), mvcc.FutureRevision)


def test_a_remembered_transaction_is_used_once_and_a_forgotten_one_is_decoded_again(rig):
    request = TxnRequest(success=[RequestOp(request_put=PutRequest(key=b"k", value=b"v"))])
    applier = rig.member.applier
    applier.remember(1, request.encode(), request)
    assert rig.request(TXN, request).revision == 2 and not applier._decoded
    assert rig.request(TXN, request).revision == 3
    for number in range(20_000):
        applier.remember(1_000_000 + number, b"", request)
    assert len(applier._decoded) <= 10_000


def test_an_entry_under_the_id_of_a_remembered_transaction_counts_by_its_own_bytes(rig):
    other = TxnRequest(success=[RequestOp(request_put=PutRequest(key=b"other"))])
    request = TxnRequest(success=[RequestOp(request_put=PutRequest(key=b"k", value=b"v"))])
    for number in range(1, 10):
        rig.member.applier.remember(number, other.encode(), other)
    assert rig.request(TXN, request).revision == 2
    assert rig.member.store.get(b"k") is not None and rig.member.store.get(b"other") is None


def test_a_member_ends_when_somebody_turns_users_and_roles_on(rig):
    with pytest.raises(UsersAreOn):
        rig.request(AUTH_ENABLE, AuthEnableRequest())
    with pytest.raises(UsersAreOn):
        rig.restart(committed=True)


def test_a_lease_takes_its_keys_with_it(rig):
    assert rig.request(LEASE_GRANT, LeaseGrantRequest(ID=5, TTL=60)) == (5, 60, 1)
    assert isinstance(rig.request(LEASE_GRANT, LeaseGrantRequest(ID=5, TTL=60)), LeaseExists)
    rig.request(PUT, PutRequest(key=b"x", value=b"1", lease=5))
    rig.request(PUT, PutRequest(key=b"y", value=b"1", lease=5))
    assert rig.request(LEASE_REVOKE, LeaseRevokeRequest(ID=5)) == 4
    assert rig.member.store.range(RangeRequest(key=b"\0", range_end=b"\0")).count == 0
    assert isinstance(rig.request(LEASE_REVOKE, LeaseRevokeRequest(ID=5)), LeaseNotFound)


def test_a_checkpoint_is_kept_over_a_restart(rig):
    rig.request(LEASE_GRANT, LeaseGrantRequest(ID=5, TTL=600))
    checkpoint = LeaseCheckpoint(ID=5, remaining_TTL=100)
    rig.request(LEASE_CHECKPOINT, LeaseCheckpointRequest(checkpoints=[checkpoint]))
    rig.restart(committed=True)
    assert rig.member.lessor.time_to_live(5, rig.now_s).remaining_s == 101


@pytest.mark.parametrize("committed", [True, False])
def test_nothing_is_lost_or_done_twice_over_a_restart(rig, committed):
    rig.request(LEASE_GRANT, LeaseGrantRequest(ID=5, TTL=60))
    rig.request(PUT, PutRequest(key=b"a", value=b"1", lease=5))
    rig.backend.commit()
    rig.request(PUT, PutRequest(key=b"a", value=b"2"))
    rig.request(DELETE_RANGE, DeleteRangeRequest(key=b"zzz"))
    rig.request(PUT, PutRequest(key=b"b", value=b"3"))
    rig.restart(committed)
    store = rig.member.store
    assert store.revision == 4
    assert decode_kv_meta(store.get(b"a"))[:3] == (2, 3, 2)
    assert kv_value(store.get(b"b")) == b"3"
    assert rig.member.lessor.keys(5) == []
    assert load_conf_state(rig.backend).voters == [7]
    assert rig.request(PUT, PutRequest(key=b"c", value=b"4")) == 5


def test_attributes_and_version_are_part_of_the_replicated_state(rig):
    attributes = Attributes(name="first", client_urls=["http://c:2379"])
    request = ClusterMemberAttrSetRequest(member_ID=7, member_attributes=attributes)
    rig.request(CLUSTER_MEMBER_ATTR_SET, request)
    rig.request(CLUSTER_VERSION_SET, ClusterVersionSetRequest(ver="3.5.0"))
    rig.restart(committed=True)
    local = rig.member.membership.local
    assert local is not None and (local.name, local.client_urls) == ("first", ("http://c:2379",))
    assert rig.member.membership.version == "3.5.0"


# -- alarms and quota -------------------------------------------------------------------------


def test_the_nospace_alarm_refuses_growth_and_nothing_else(rig):
    rig.request(PUT, PutRequest(key=b"k", value=b"v"))
    raised = rig.request(ALARM, alarm(AlarmAction.ACTIVATE))
    assert raised == [AlarmMember(memberID=7, alarm=AlarmType.NOSPACE)]
    assert isinstance(rig.request(PUT, PutRequest(key=b"k")), NoSpace)
    assert isinstance(rig.request(LEASE_GRANT, LeaseGrantRequest(ID=1, TTL=60)), NoSpace)
    put = TxnRequest(success=[RequestOp(request_put=PutRequest(key=b"k"))])
    assert isinstance(rig.request(TXN, put), NoSpace)
    delete = RequestOp(request_delete_range=DeleteRangeRequest(key=b"k"))
    assert rig.request(TXN, TxnRequest(success=[delete])).revision == 3
    rig.request(ALARM, alarm(AlarmAction.DEACTIVATE))
    assert rig.request(PUT, PutRequest(key=b"k")) == 4


def test_the_corrupt_alarm_refuses_every_write(rig):
    rig.request(ALARM, alarm(AlarmAction.ACTIVATE, AlarmType.CORRUPT))
    for field_number, message in (
        (PUT, PutRequest(key=b"k")),
        (DELETE_RANGE, DeleteRangeRequest(key=b"k")),
        (TXN, TxnRequest()),
        (COMPACTION, CompactionRequest(revision=1)),
        (LEASE_GRANT, LeaseGrantRequest(ID=1, TTL=60)),
        (LEASE_REVOKE, LeaseRevokeRequest(ID=1)),
    ):
        assert isinstance(rig.request(field_number, message), ClusterCorrupt), field_number


def test_alarms_survive_a_restart_and_are_listed_by_type(rig):
    rig.request(ALARM, alarm(AlarmAction.ACTIVATE))
    rig.request(ALARM, alarm(AlarmAction.ACTIVATE, AlarmType.CORRUPT, 9))
    rig.restart(committed=True)
    assert rig.member.alarms.nospace and rig.member.alarms.corrupt
    everything = rig.request(ALARM, alarm(AlarmAction.GET, AlarmType.NONE))
    assert [(a.memberID, a.alarm) for a in everything] == [(7, 1), (9, 2)]
    assert len(rig.request(ALARM, alarm(AlarmAction.GET, AlarmType.CORRUPT))) == 1
    assert rig.request(ALARM, alarm(AlarmAction.DEACTIVATE, AlarmType.CORRUPT, 8)) == []


def test_a_put_beyond_the_quota_is_done_but_answered_with_no_space(make_rig):
    rig = make_rig(quota_bytes=20_000)
    outcomes = [rig.request(PUT, PutRequest(key=b"%d" % n, value=b"x" * 500)) for n in range(60)]
    assert outcomes[0] == 2
    assert isinstance(outcomes[-1], NoSpace)


# -- leadership and membership ----------------------------------------------------------------


def test_without_a_leader_a_proposal_is_refused(make_rig):
    rig = make_rig()
    rig.member.node.raft.become_follower(rig.member.term + 1, 0)
    assert not rig.member.read_is_confirmed()
    with pytest.raises(NoLeader):
        rig.member.propose([b"x"])


def test_a_membership_change_that_is_refused_changes_no_configuration(rig):
    rig.member.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 99, b"", id=55))
    rig.settle()
    assert isinstance(rig.outcomes[55], MemberUnknown)
    assert load_conf_state(rig.backend).voters == [7]
    assert not rig.member.is_removed


def test_a_learner_can_be_added_and_its_urls_changed_without_promoting_it(rig):
    learner = b'{"id":8,"peerURLs":["http://b:2380"],"isLearner":true}'
    change = ConfChange(ConfChangeType.ADD_LEARNER_NODE, 8, learner, id=56)
    rig.member.propose_conf_change(change)
    rig.settle()
    assert [m.id for m in rig.outcomes[56]] == [7, 8]
    update = b'{"id":8,"peerURLs":["http://c:2380"]}'
    rig.member.propose_conf_change(ConfChange(ConfChangeType.UPDATE_NODE, 8, update, id=57))
    rig.settle()
    changed = rig.member.membership.get(8)
    assert changed.is_learner and changed.peer_urls == ("http://c:2380",)
    assert load_conf_state(rig.backend).learners == [8]
