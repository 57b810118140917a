"""The members' answer and the cluster file."""

import json
import os
import stat

import pytest

from petcd.proxy.membership import ClusterFile, parse_members


def test_urls_of_all_members_are_gathered_and_sorted():
    members = [
        {"id": 2, "peerURLs": ["http://b:2380"], "name": "b", "clientURLs": ["http://b:2379"]},
        {
            "id": 1,
            "peerURLs": ["http://a:2380"],
            "name": "a",
            "clientURLs": ["http://a:1", "http://a:0"],
        },
        {"id": 3, "peerURLs": ["http://c:2380"]},
    ]
    found = parse_members(json.dumps(members).encode())
    assert found.peer_urls == ("http://a:2380", "http://b:2380", "http://c:2380")
    assert found.client_urls == ("http://a:0", "http://a:1", "http://b:2379")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"404 page not found\n",
        b"{}",
        b"[1]",
        b'[{"peerURLs":"x"}]',
        b'[{"peerURLs":[1]}]',
        b"\xff",
    ],
)
def test_an_answer_that_is_no_list_of_members_is_refused(body):
    with pytest.raises(ValueError):
        parse_members(body)


def test_the_file_is_etcds_and_for_its_owner_alone(tmp_path):
    file = ClusterFile(str(tmp_path / "data"))
    assert file.load() is None
    file.make_directory()
    file.save(["http://a:2380", "http://b:2380"])
    path = tmp_path / "data" / "proxy" / "cluster"
    assert path.read_text() == '{"PeerURLs":["http://a:2380","http://b:2380"]}'
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700
    assert file.load() == ("http://a:2380", "http://b:2380")
    assert os.listdir(path.parent) == ["cluster"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"PeerURLs":1}'])
def test_a_file_that_is_something_else_is_refused(tmp_path, text):
    file = ClusterFile(str(tmp_path))
    file.make_directory()
    (tmp_path / "proxy" / "cluster").write_text(text)
    with pytest.raises(ValueError):
        file.load()
