"""Clients may not take the descriptors that a member needs for itself."""

import resource

import pytest

from petcd.server.config import ConfigError
from petcd.server.descriptors import connections_max, for_clients


def test_some_descriptors_are_kept_for_the_member():
    assert for_clients(1024) == 1024 - 150
    assert for_clients(151) == 1
    assert for_clients(resource.RLIM_INFINITY) > 1 << 16


def test_a_limit_that_leaves_no_client_is_refused():
    with pytest.raises(ConfigError, match=r"file descriptor limit\[150\] of etcd process is too"):
        for_clients(150)


def test_all_that_the_system_allows_is_used():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, soft), hard))
    try:
        connections_max()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
