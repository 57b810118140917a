"""Claims of the Raft paper (extended version) about terms and elections, one test each."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from petcd.raft import (
    HardState,
    MemoryStorage,
    Message,
    MessageType,
    StateType,
)

FOLLOWER, CANDIDATE, LEADER = StateType.FOLLOWER, StateType.CANDIDATE, StateType.LEADER
ELECTION_TICK = 10


def in_role(group: Any, role: int) -> Any:
    """Node 1 of `group` in this role, in term 1 or later."""
    if role == LEADER:
        return group.elect(1)
    if role == CANDIDATE:
        group[1].raw.campaign()
        group.run(1)
        group.drop()
        return group[1]
    return group[1]


# ---- 5.1 Raft basics ----


@pytest.mark.parametrize("role", [FOLLOWER, CANDIDATE, LEADER])
def test_5_1_a_higher_term_is_adopted_in_every_role(make_group: Any, role: int) -> None:
    """5.1: "If one server's current term is smaller than the other's, then it updates its
    current term to the larger value. If a candidate or leader discovers that its term is out of
    date, it immediately reverts to follower state." """
    member = in_role(make_group(), role)
    member.raw.step(Message(MessageType.APP, 1, 2, term=9))
    assert (member.raft.term, member.state, member.raft.lead) == (9, FOLLOWER, 2)


@pytest.mark.parametrize("role", [FOLLOWER, CANDIDATE, LEADER])
def test_5_1_a_request_with_a_stale_term_changes_nothing(make_group: Any, role: int) -> None:
    """5.1: "If a server receives a request with a stale term number, it rejects the request."
    (We ignore it, unless the sender needs to hear of the new term: see pre-vote.)"""
    member = in_role(make_group(), role)
    member.raw.step(Message(MessageType.APP, 1, 2, term=9))
    log = member.log()
    member.carry_out()
    member.raw.step(Message(MessageType.APP, 1, 3, term=8, index=2, log_term=1, commit=3))
    assert member.raft.lead == 2
    assert member.log() == log
    assert member.carry_out() == []


# ---- 5.2 Leader election ----


def test_5_2_servers_begin_as_followers(make_member: Any) -> None:
    """5.2: "When servers start up, they begin as followers." """
    assert make_member().state == FOLLOWER


def test_5_2_a_leader_sends_heartbeats_to_all(make_group: Any, of_kind: Any) -> None:
    """5.2: "Leaders send periodic heartbeats (AppendEntries RPCs that carry no log entries) to
    all followers in order to maintain their authority." """
    group = make_group(heartbeat_tick=2)
    group.elect(1)
    group.tick(1)
    assert group.run() == []
    group.tick(1)
    beats = of_kind(group.run(), MessageType.HEARTBEAT)
    assert [(m.to, m.term, m.entries) for m in beats] == [(2, 1, []), (3, 1, [])]


@pytest.mark.parametrize("role", [FOLLOWER, CANDIDATE])
def test_5_2_without_a_leader_an_election_begins(make_group: Any, of_kind: Any, role: int) -> None:
    """5.2: "If a follower receives no communication over a period of time called the election
    timeout, then it assumes there is no viable leader and begins an election ... To begin an
    election, a follower increments its current term and transitions to candidate state. It then
    votes for itself and issues RequestVote RPCs in parallel to each of the other servers." """
    group = make_group()
    member = in_role(group, role)
    before = member.raft.term
    group.tick(1, ELECTION_TICK)
    assert (member.raft.term, member.state, member.raft.vote) == (before + 1, CANDIDATE, 1)
    requests = of_kind(group.run(1), MessageType.VOTE)
    assert [(m.to, m.term) for m in requests] == [(2, before + 1), (3, before + 1)]


def test_5_2_hearing_the_leader_keeps_a_follower_quiet(make_group: Any) -> None:
    """5.2: "A server remains in follower state as long as it receives valid RPCs from a leader
    or candidate." """
    group = make_group()
    group.elect(1)
    for _ in range(3 * ELECTION_TICK):
        for node in (1, 2, 3):
            group.tick(node)
        group.settle()
    assert group.leaders() == [1]
    assert group[1].raft.term == 1


@pytest.mark.parametrize(
    ("size", "granted", "refused", "state"),
    [
        (1, 0, 0, LEADER),
        (3, 1, 0, LEADER),
        (3, 1, 1, LEADER),
        (5, 2, 0, LEADER),
        (5, 2, 2, LEADER),
        (5, 1, 0, CANDIDATE),
        (5, 0, 1, CANDIDATE),
        (5, 1, 2, CANDIDATE),
        (3, 0, 0, CANDIDATE),
        (3, 0, 2, FOLLOWER),
        (5, 0, 3, FOLLOWER),
        (5, 1, 3, FOLLOWER),
    ],
)
def test_5_2_a_majority_decides_the_election(
    make_group: Any, size: int, granted: int, refused: int, state: int
) -> None:
    """5.2: "A candidate wins an election if it receives votes from a majority of the servers in
    the full cluster for the same term." """
    group = make_group(range(1, size + 1))
    group[1].raw.campaign()
    group.run(1)
    answers = [False] * granted + [True] * refused
    for voter, reject in enumerate(answers, 2):
        group[1].raw.step(Message(MessageType.VOTE_RESP, 1, voter, 1, reject=reject))
    assert (group[1].state, group[1].raft.term) == (state, 1)


@pytest.mark.parametrize("voted_for", [0, 2, 3])
@pytest.mark.parametrize("candidate", [2, 3])
def test_5_2_one_vote_per_term_first_come_first_served(
    make_member: Any, voted_for: int, candidate: int
) -> None:
    """5.2: "Each server will vote for at most one candidate in a given term, on a
    first-come-first-served basis." """
    member = make_member()
    if voted_for:
        member.raw.step(Message(MessageType.VOTE, 1, voted_for, 5, log_term=1, index=2))
        member.carry_out()
    member.raw.step(Message(MessageType.VOTE, 1, candidate, 5, log_term=1, index=2))
    (answer,) = member.carry_out()
    assert (answer.type, answer.term) == (MessageType.VOTE_RESP, 5)
    assert answer.reject == (voted_for not in (0, candidate))


@pytest.mark.parametrize("kind", [MessageType.APP, MessageType.HEARTBEAT])
@pytest.mark.parametrize("ahead", [0, 1])
def test_5_2_a_candidate_returns_to_follower_when_a_leader_appears(
    make_group: Any, kind: int, ahead: int
) -> None:
    """5.2: "If the leader's term (included in its RPC) is at least as large as the candidate's
    current term, then the candidate recognizes the leader as legitimate and returns to follower
    state." """
    candidate = in_role(make_group(), CANDIDATE)
    term = candidate.raft.term + ahead
    candidate.raw.step(Message(kind, 1, 2, term))
    assert (candidate.state, candidate.raft.term, candidate.raft.lead) == (FOLLOWER, term, 2)


def test_5_2_a_candidate_ignores_a_leader_of_an_older_term(make_group: Any) -> None:
    """5.2: "If the term in the RPC is smaller than the candidate's current term, then the
    candidate rejects the RPC and continues in candidate state." """
    candidate = in_role(make_group(), CANDIDATE)
    candidate.raw.step(Message(MessageType.APP, 1, 3, 7))
    candidate.raw.campaign()
    candidate.carry_out()
    candidate.raw.step(Message(MessageType.HEARTBEAT, 1, 3, 7))
    assert (candidate.state, candidate.raft.term) == (CANDIDATE, 8)


def test_5_2_a_split_vote_is_followed_by_another_election(make_group: Any) -> None:
    """5.2: "If many followers become candidates at the same time, votes could be split so that
    no candidate obtains a majority. When this happens, each candidate will time out and start a
    new election by incrementing its term." """
    group = make_group([1, 2, 3, 4])
    for node in (1, 2):
        group[node].raw.campaign()
    group.run()
    for voter, candidate in ((3, 1), (4, 2)):
        for m in [m for m in group.post if m.to == voter and m.from_ == candidate]:
            group[voter].raw.step(m)
    group.settle()
    assert group.leaders() == []
    group.tick(1, ELECTION_TICK)
    group.settle()
    assert group.leaders() == [1]
    assert group[1].raft.term == 2


@pytest.mark.parametrize("role", [FOLLOWER, CANDIDATE])
def test_5_2_election_timeouts_are_chosen_from_an_interval(make_group: Any, role: int) -> None:
    """5.2: "election timeouts are chosen randomly from a fixed interval" """
    drawn = iter(itertools.cycle(range(ELECTION_TICK)))
    group = make_group([1, 2, 3], random=lambda count: next(drawn))
    member = in_role(group, role)
    seen = set()
    for _ in range(2 * ELECTION_TICK):
        term, ticks = member.raft.term, 0
        while member.raft.term == term:
            group.tick(1)
            ticks += 1
        seen.add(ticks)
    assert seen == set(range(ELECTION_TICK, 2 * ELECTION_TICK))


def test_5_2_each_candidate_restarts_its_timeout_with_the_election(make_group: Any) -> None:
    """5.2: "Each candidate restarts its randomized election timeout at the start of an election,
    and it waits for that timeout to elapse before starting the next election" """
    group = make_group()
    group.tick(1, ELECTION_TICK)
    assert group[1].raft.term == 1
    group.tick(1, ELECTION_TICK - 1)
    assert group[1].raft.term == 1
    group.tick(1)
    assert group[1].raft.term == 2


# ---- 5.4.1 Election restriction ----


def test_5_4_1_a_vote_request_tells_about_the_candidates_log(make_group: Any, of_kind: Any) -> None:
    """5.4.1: "the RPC includes information about the candidate's log" """
    group = make_group()
    group.elect(1)
    group.propose(1, b"a", b"b")
    group.settle()
    group.isolate(1)
    group[2].raw.campaign()
    requests = of_kind(group.run(2), MessageType.VOTE)
    assert [(m.to, m.log_term, m.index) for m in requests] == [(1, 1, 5), (3, 1, 5)]


@pytest.mark.parametrize(
    ("log_term", "index", "granted"),
    [
        (1, 2, False),
        (1, 4, False),
        (1, 9, False),  # longer, but of an older term
        (2, 3, False),  # same term, but shorter
        (2, 4, True),
        (2, 5, True),
        (3, 2, True),  # shorter, but of a later term
    ],
)
def test_5_4_1_the_more_up_to_date_voter_denies_its_vote(
    make_member: Any, app: Any, log_term: int, index: int, granted: bool
) -> None:
    """5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the
    candidate ... If the logs have last entries with different terms, then the log with the later
    term is more up-to-date. If the logs end with the same term, then whichever log is longer is
    more up-to-date." """
    voter = make_member()
    voter.raw.step(app(1, 2, 2, 2, 1, 1, 2))
    voter.carry_out()
    voter.raw.step(Message(MessageType.VOTE, 1, 3, 4, log_term=log_term, index=index))
    (answer,) = voter.carry_out()
    assert answer.reject is not granted


def test_5_4_1_whoever_lacks_a_committed_entry_cannot_win(make_group: Any) -> None:
    """5.4.1: "Raft uses the voting process to prevent a candidate from winning an election unless
    its log contains all committed entries." """
    group = make_group()
    group.elect(1)
    group.isolate(3)
    group.propose(1, b"kept")
    group.settle()
    group.heal()
    for _ in range(3):
        group[3].raw.campaign()
        group.run(3)
        group.deliver(1, 2, kind=MessageType.VOTE)
        group.run(1, 2)
        group.deliver(3)
        assert group[3].state != LEADER
        group.drop()
    group[2].raw.campaign()
    group.settle()
    assert group.leaders() == [2]
    assert [each.data for each in group.members.values()] == [[b"kept"]] * 3


# ---- 5.5 Follower and candidate crashes, 5.6 timing ----


def test_5_5_a_vote_survives_the_crash_of_the_voter(make_member: Any) -> None:
    """5.5 with figure 2: votedFor and currentTerm are updated on stable storage before the
    answer leaves, so a restarted voter does not vote twice."""
    voter = make_member()
    voter.raw.step(Message(MessageType.VOTE, 1, 2, 5, log_term=1, index=2))
    (granted,) = voter.carry_out()
    assert not granted.reject
    voter.restart()
    assert (voter.raft.term, voter.raft.vote, voter.state) == (5, 2, FOLLOWER)
    voter.raw.step(Message(MessageType.VOTE, 1, 3, 5, log_term=1, index=2))
    (refused,) = voter.carry_out()
    assert refused.reject


def test_5_5_a_repeated_vote_request_is_granted_again(make_member: Any) -> None:
    """5.5: "Raft RPCs are idempotent, so this causes no harm." A candidate whose answer was lost
    asks again and must be told the same."""
    voter = make_member()
    for _ in range(3):
        voter.raw.step(Message(MessageType.VOTE, 1, 2, 5, log_term=1, index=2))
        (answer,) = voter.carry_out()
        assert not answer.reject


def test_figure_2_the_term_and_the_vote_are_one_write(make_member: Any) -> None:
    """Figure 2, persistent state: a Ready carries the new term together with the vote, and says
    that it must be synced."""
    voter = make_member()
    voter.raw.step(Message(MessageType.VOTE, 1, 2, 5, log_term=1, index=2))
    ready = voter.raw.ready()
    assert ready.must_sync
    assert ready.hard_state == HardState(5, 2, 2)
    assert [m.type for m in ready.messages] == [MessageType.VOTE_RESP]


def test_5_6_an_isolated_node_campaigns_in_vain_but_in_ever_higher_terms(
    make_group: Any,
) -> None:
    """5.6: without a majority there is no leader; candidates keep trying."""
    group = make_group()
    group.isolate(1)
    for election in range(1, 6):
        group.tick(1, ELECTION_TICK)
        group.settle()
        assert (group[1].state, group[1].raft.term) == (CANDIDATE, election)


def test_a_node_outside_of_the_configuration_does_not_campaign(make_member: Any) -> None:
    """Section 6: servers are part of elections only by the configuration they know."""
    stranger = make_member(4, (1, 2, 3))
    blank = MemoryStorage()
    assert blank.last_index() == 0
    for _ in range(5 * ELECTION_TICK):
        stranger.raw.tick()
    stranger.raw.campaign()
    assert (stranger.state, stranger.raft.term) == (FOLLOWER, 0)
    assert stranger.carry_out() == []
