"""What a member makes of the log that a crash left."""

import pytest

from petcd.cluster import MemberInfo, cluster_id, member_id
from petcd.raft.types import Entry, EntryType, HardState
from petcd.server.config import default_config
from petcd.server.opening import DataUnusable, Opening
from petcd.storage.memory import MemoryBackend
from petcd.storage.wal_reader import Replay
from petcd.wire.internal import Metadata


@pytest.fixture
def reopened(tmp_path):
    """Open a member again whose log holds this hard state, and entries of these terms."""
    info = MemberInfo(member_id(["http://a"], "t"), ("http://a",), "a")
    identity = Metadata(NodeID=info.id, ClusterID=cluster_id([info.id]))

    def reopen(hard_state, terms, backend=None):
        replay = Replay()
        replay.metadata = identity.encode()
        replay.hard_state = hard_state
        replay.entries += [
            Entry(EntryType.NORMAL, term, index, b"") for index, term in enumerate(terms, 1)
        ]
        opening = Opening(default_config(str(tmp_path), name="a"), lambda n: 0)
        backend = backend or MemoryBackend()
        opened = opening.reopen(None, replay, (0, 0), backend, lambda _: [info])
        return opened.member.node.raft

    return reopen


def test_a_member_remembers_term_and_vote(reopened):
    raft = reopened(HardState(5, 7, 0), [4, 5])
    assert (raft.term, raft.vote) == (5, 7)


def test_data_in_which_users_and_roles_are_on_are_refused(reopened):
    backend = MemoryBackend()
    backend.put(b"auth", b"authEnabled", b"\0")
    reopened(HardState(5, 7, 0), [4, 5], backend)
    backend.put(b"auth", b"authEnabled", b"\1")
    with pytest.raises(DataUnusable, match="users and roles are on"):
        reopened(HardState(5, 7, 0), [4, 5], backend)


def test_entries_whose_hard_state_was_torn_off_raise_the_term(reopened):
    raft = reopened(HardState(5, 7, 0), [4, 5, 6])
    assert (raft.term, raft.vote) == (6, 0)
