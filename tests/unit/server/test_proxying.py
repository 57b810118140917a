"""When a process is a proxy, and what stops its start."""

import asyncio
import socket

import pytest

from petcd.proxy.membership import ClusterFile
from petcd.server.config import ConfigError, load_config
from petcd.server.log import Logger
from petcd.server.proxying import ProxyServer, is_proxy, settings_of


def config_of(directory, *flags):
    return load_config(["--data-dir", str(directory), *flags], {})


@pytest.mark.parametrize(
    ("there", "mode", "is_one"),
    [
        ((), "off", False),
        ((), "on", True),
        ((), "readonly", True),
        (("member",), "on", False),
        (("proxy",), "off", True),
        (("proxy",), "readonly", True),
    ],
)
def test_the_directory_decides_before_the_flag(tmp_path, there, mode, is_one):
    for name in there:
        (tmp_path / name).mkdir()
    assert is_proxy(config_of(tmp_path, "--proxy", mode)) == is_one


def test_a_directory_of_both_kinds_is_refused(tmp_path):
    (tmp_path / "member").mkdir()
    (tmp_path / "proxy").mkdir()
    with pytest.raises(ConfigError) as error:
        is_proxy(config_of(tmp_path))
    assert str(error.value) == "invalid datadir; both member and proxy directories exist"


def test_times_are_milliseconds_as_etcds(tmp_path):
    settings = settings_of(
        config_of(
            tmp_path,
            *("--proxy", "readonly", "--proxy-failure-wait", "1500"),
            *("--proxy-read-timeout", "250", "--proxy-dial-timeout", "0"),
        )
    )
    assert settings.readonly and settings.failure_wait_s == 1.5
    assert settings.refresh_interval_s == 30.0 and settings.write_timeout_s == 5.0
    assert settings.read_timeout_s == 0.25 and settings.dial_timeout_s == 0.0


@pytest.mark.parametrize("mode", ["", "maybe", "ON"])
def test_another_mode_is_refused(tmp_path, mode):
    with pytest.raises(ConfigError, match="-proxy: it is 'off' or 'readonly' or 'on'"):
        config_of(tmp_path, f"--proxy={mode}")


def test_a_proxy_need_not_advertise_what_it_listens_on(tmp_path):
    listening = ("--listen-client-urls", "http://127.0.0.1:0")
    assert config_of(tmp_path, "--proxy", "on", *listening).proxy.mode == "on"
    with pytest.raises(ConfigError, match="--advertise-client-urls is required"):
        config_of(tmp_path, *listening)


@pytest.mark.parametrize(
    "flags",
    [
        ("--discovery", "http://h/t", "--initial-cluster", "a=http://a:1"),
        ("--discovery", "http://h/t", "--discovery-srv", "example.com"),
        ("--discovery-srv", "d", "--discovery-token", "t", "--discovery-endpoints", "h:1"),
    ],
)
def test_two_ways_to_find_the_members_are_refused(tmp_path, flags):
    with pytest.raises(ConfigError, match="multiple discovery or bootstrap flags are set"):
        config_of(tmp_path, *flags)


@pytest.mark.parametrize("flag", [("--discovery-token", "t"), ("--discovery-endpoints", "h:1")])
def test_a_token_without_endpoints_is_refused_and_the_other_way_round(tmp_path, flag):
    with pytest.raises(ConfigError, match="need to be set"):
        config_of(tmp_path, *flag)


def started(config, tmp_path):
    async def main():
        log = Logger("info", "json", (str(tmp_path / "log"),))
        server = ProxyServer(config, log)
        try:
            await server.start()
            return server.client_addresses
        finally:
            await server.stop()
            log.close()

    return asyncio.run(main())


def test_a_taken_port_is_named_and_leaves_no_directory(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        config = config_of(tmp_path / "d", "--proxy", "on", "--listen-client-urls", url)
        with pytest.raises((ConfigError, OSError), match="in use"):
            started(config, tmp_path)
    assert not (tmp_path / "d").exists()


def test_a_cluster_file_that_is_none_is_refused(tmp_path):
    file = ClusterFile(str(tmp_path))
    file.make_directory()
    with open(file.path, "w") as out:
        out.write("{}")
    listening = ("--listen-client-urls", "http://127.0.0.1:0")
    with pytest.raises(ConfigError, match="PeerURLs"):
        started(config_of(tmp_path, "--proxy", "on", *listening), tmp_path)


def test_it_serves_although_no_member_answers_yet(tmp_path):
    listening = ("--listen-client-urls", "http://127.0.0.1:0")
    nobody = ("--initial-cluster", "a=http://127.0.0.1:1")
    config = config_of(tmp_path, "--proxy", "on", *listening, *nobody)
    assert started(config, tmp_path)[0][1] > 0
    assert (tmp_path / "proxy").is_dir()
