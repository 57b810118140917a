"""Who a member is when it starts for the first time, and what is refused."""

import asyncio
import re

import pytest

from petcd.cluster import MemberInfo, is_promotion
from petcd.peer.remote_requests import RemoteCluster, Versions
from petcd.raft.changes import decode_conf_change, encode_conf_change
from petcd.raft.types import ConfChange, ConfChangeType, ConfState, Entry, HardState
from petcd.server.config import ConfigError, default_config, load_config
from petcd.server.discovery import discovered
from petcd.server.founding import (
    founders_of,
    founding_members,
    identity_of,
    parse_initial_cluster,
)
from petcd.server.joining import are_same_urls, check_versions, match_members
from petcd.server.log import Logger
from petcd.server.standalone import leave_alone

TWO = RemoteCluster(
    9, (MemberInfo(1, ("http://127.0.0.1:1",), "a"), MemberInfo(2, ("http://127.0.0.1:2",)))
)


def run(work):
    return asyncio.run(work)


def test_urls_are_the_same_when_their_names_lead_to_the_same_place():
    assert run(are_same_urls(["http://127.1:1"], ["http://127.0.0.1:1"]))
    assert run(are_same_urls(["http://h:1", "http://h:2"], ["http://h:2", "http://h:1"]))
    assert not run(are_same_urls(["http://127.1:1"], ["http://127.0.0.1:2"]))
    assert run(are_same_urls(["http://localhost:1"], ["http://localhost:1"]))
    assert not run(are_same_urls(["http://localhost:1"], ["http://127.0.0.1:1"]))
    assert not run(are_same_urls(["http://127.0.0.1:1"], ["https://127.0.0.1:1"]))
    assert not run(are_same_urls(["http://127.0.0.1:1"], []))
    assert not run(are_same_urls(["http://name.invalid:1"], ["http://127.0.0.1:1"]))


def test_ids_are_found_by_the_peer_urls():
    flags = {"new": ("http://127.1:2",), "old": ("http://127.0.0.1:1",)}
    assert run(match_members(flags, TWO)) == {"old": 1, "new": 2}


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"a": ("http://127.0.0.1:1",)}, "member count is unequal"),
        (
            {"a": ("http://127.0.0.1:1",), "b": ("http://127.0.0.1:3",)},
            "no match found for existing member",
        ),
    ],
)
def test_flags_that_do_not_name_the_members_are_refused(flags, text):
    with pytest.raises(ConfigError, match=text):
        run(match_members(flags, TWO))


def test_a_cluster_of_another_version_is_not_joined():
    check_versions({1: Versions("3.5.1", "3.5.0"), 2: None})
    check_versions({1: Versions("3.5.1", "3.5.0"), 2: Versions("3.5.1", "not_decided")})
    for found in (
        {1: None},
        {1: Versions("3.5.1", "not_decided")},
        {1: Versions("3.6.1", "3.6.0"), 2: Versions("3.5.1", "3.5.0")},
    ):
        with pytest.raises(ConfigError, match="incompatible with current running cluster"):
            check_versions(found)


def test_only_a_founder_founds_again_what_it_began(tmp_path):
    config = default_config(str(tmp_path), initial_cluster="default=http://localhost:2380")
    identity = identity_of(config, founding_members(config))
    assert len(founders_of(config, identity)) == 1
    other = default_config(str(tmp_path), initial_cluster_token="other")
    assert founders_of(other, identity) == []
    joining = default_config(str(tmp_path), initial_cluster_state="existing")
    assert founders_of(joining, identity) == []


# -- alone ------------------------------------------------------------------------------------


def normal(index):
    return Entry(0, 3, index, b"x")


def changes_of(entries):
    found = [decode_conf_change(entry) for entry in entries]
    return [(change.type, change.node_id) for change in found if isinstance(change, ConfChange)]


def test_the_others_are_removed_behind_what_is_committed():
    entries = [normal(i) for i in range(5, 11)]
    applied = 7, ConfState(voters=[1, 2, 3], learners=[4])
    kept, added, state = leave_alone(entries, HardState(3, 1, 8), applied, 2, ["http://me:1"])
    assert [entry.index for entry in kept] == list(range(5, 12))
    assert changes_of(added) == [(ConfChangeType.REMOVE_NODE, one) for one in (1, 3, 4)]
    assert [entry.index for entry in added] == [9, 10, 11]
    assert all(entry.term == 3 for entry in added)
    assert (state.term, state.vote, state.commit) == (3, 1, 11)


def test_a_member_of_no_configuration_adds_itself_first():
    applied = 2, ConfState(voters=[1])
    _, added, _ = leave_alone([normal(2)], HardState(3, 0, 2), applied, 9, ["http://me:1"])
    kinds = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE, ConfChangeType.UPDATE_NODE
    assert changes_of(added) == list(zip(kinds, (9, 1, 9), strict=True))
    last = decode_conf_change(added[-1])
    assert MemberInfo.from_json(last.context).peer_urls == ("http://me:1",)
    assert all(decode_conf_change(entry).id for entry in added)


def test_a_learner_makes_itself_a_voter_before_the_voters_go():
    applied = 2, ConfState(voters=[1], learners=[4, 9])
    _, added, _ = leave_alone([normal(2)], HardState(3, 0, 2), applied, 9, ["http://me:1"])
    kinds = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE, ConfChangeType.REMOVE_NODE
    assert changes_of(added) == list(zip(kinds, (9, 1, 4), strict=True))
    assert is_promotion(decode_conf_change(added[0]).context)


def test_changes_that_the_store_has_not_seen_count():
    body = MemberInfo(5, ("http://e:1",)).to_json()
    change = ConfChange(ConfChangeType.ADD_NODE, 5, body, 77)
    from_log = encode(3, 4, change)
    gone = encode(3, 5, ConfChange(ConfChangeType.REMOVE_NODE, 1, b"", 78))
    uncommitted = encode(3, 6, ConfChange(ConfChangeType.ADD_NODE, 6, body, 79))
    applied = 3, ConfState(voters=[1, 2])
    entries = [normal(3), from_log, gone, uncommitted]
    _, added, _ = leave_alone(entries, HardState(3, 0, 5), applied, 2, [])
    assert changes_of(added) == [(ConfChangeType.REMOVE_NODE, 5)]


def encode(term, index, change):
    kind, data = encode_conf_change(change)
    return Entry(kind, term, index, data)


@pytest.mark.parametrize(
    ("urls", "text"),
    [
        ("a=127.0.0.1:1", "URL scheme must be http, https, unix, or unixs: 127.0.0.1:1"),
        ("a=http://127.0.0.1", 'URL address does not have the form "host:port": http://127.0.0.1'),
        ("a=http://127.0.0.1:1/x", "URL must not contain a path: http://127.0.0.1:1/x"),
        ("a=http://h:1,b=http://h h:2", "invalid character in host name"),
    ],
)
def test_a_founder_has_urls_that_can_be_used(urls, text):
    with pytest.raises(ConfigError, match=re.escape(text)) as raised:
        parse_initial_cluster(urls)
    assert str(raised.value).startswith("error setting up initial cluster: ")


def test_who_joins_a_running_cluster_asks_no_discovery_service(tmp_path):
    url, data = "http://127.0.0.1:1/v2/keys/x", str(tmp_path)
    flags = ["--discovery", url, "--initial-cluster-state", "existing", "--data-dir", data]
    config = load_config(flags, {})
    with pytest.raises(ConfigError, match="discovery URL should not be set when joining"):
        run(discovered(config, Logger("fatal", "json", ())))
