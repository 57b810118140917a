"""Flags, variables and the configuration file."""

import pytest

from petcd.cli.etcd_help import flag_help
from petcd.server.config import ConfigError, load_config
from petcd.server.flag_table import FLAGS
from petcd.server.flag_values import read_bool, read_duration_s, read_urls


def load(*arguments, **environment):
    return load_config(list(arguments), environment)


def refused(*arguments, **environment):
    with pytest.raises(ConfigError) as caught:
        load(*arguments, **environment)
    return str(caught.value)


def test_defaults_are_those_of_etcd():
    config = load()
    assert config.name == "default"
    assert config.data_dir == "default.etcd"
    assert config.listen_client_urls == ("http://localhost:2379",)
    assert config.listen_peer_urls == ("http://localhost:2380",)
    assert (config.heartbeat_ms, config.election_ms) == (100, 1000)
    assert config.snapshot_count == 10_000
    assert config.initial_cluster == "default=http://localhost:2380"
    assert config.max_request_bytes == 1_572_864
    assert config.request_timeout_s == 7.0


def test_one_dash_is_as_good_as_two_and_equals_as_good_as_a_blank():
    config = load("-name", "a", "--data-dir=/d", "-snapshot-count=7", "--pre-vote=false")
    assert (config.name, config.data_dir, config.snapshot_count) == ("a", "/d", 7)
    assert config.pre_vote is False


def test_the_name_alone_changes_data_directory_and_initial_cluster():
    config = load("--name", "n1")
    assert config.data_dir == "n1.etcd"
    assert config.initial_cluster == "n1=http://localhost:2380"


def test_a_variable_sets_what_no_flag_sets():
    assert load(ETCD_NAME="env").name == "env"
    assert load("--data-dir", "d", ETCD_NAME="env").name == "env"


def test_a_flag_and_its_variable_together_are_refused():
    text = refused("--name", "a", ETCD_NAME="b")
    assert text.startswith("conflicting environment variable is shadowed") and "ETCD_NAME" in text


def test_an_unknown_variable_is_only_noted():
    assert load(ETCD_NONSENSE="1").notes == ("unrecognized environment variable ETCD_NONSENSE",)


def test_experimental_names_still_work():
    config = load("--experimental-watch-progress-notify-interval", "2s")
    assert config.watch_progress_interval_s == 2.0
    config = load(ETCD_EXPERIMENTAL_WARNING_APPLY_DURATION="1s")
    assert config.warning_apply_s == 1.0


def test_flags_of_old_scripts_are_accepted_with_a_note():
    config = load("--snapshot", "--vv", "--name", "x")
    assert config.name == "x" and len(config.notes) == 2


@pytest.mark.parametrize(
    ("arguments", "text", "code"),
    [
        (["--nope"], "flag provided but not defined: -nope", 2),
        (["word"], "'word' is not a valid flag", 1),
        (["--name"], "flag needs an argument: -name", 2),
        (
            ["--snapshot-count=abc"],
            'invalid value "abc" for flag -snapshot-count: parse error',
            2,
        ),
        (
            ["--pre-vote=maybe"],
            'invalid boolean value "maybe" for -pre-vote: parse error',
            2,
        ),
        (["--heartbeat-interval", "0"], "--heartbeat-interval must be >0 (set to 0ms)", 1),
        (
            ["--heartbeat-interval", "200", "--election-timeout", "500"],
            "--election-timeout[500ms] should be at least as 5 times as "
            "--heartbeat-interval[200ms]",
            1,
        ),
        (
            ["--election-timeout", "60000"],
            "--election-timeout[60000ms] is too long, and should be set less than 50000ms",
            1,
        ),
        (
            ["--listen-client-urls", "http://foo.bar:1"],
            "expected IP in URL for binding (http://foo.bar:1)",
            1,
        ),
        (
            ["--listen-client-urls", "http://127.0.0.1:1"],
            "--advertise-client-urls is required when --listen-client-urls is set explicitly",
            1,
        ),
        (["--auto-compaction-mode", "foo"], 'unknown auto-compaction-mode "foo"', 1),
        (
            ["--auto-compaction-retention", "soon"],
            '--auto-compaction-retention: time: invalid duration "soon"',
            1,
        ),
        (["--auto-compaction-retention", "-1"], '--auto-compaction-retention: "-1" is negative', 1),
        (
            ["--auto-compaction-retention", "-1h"],
            '--auto-compaction-retention: "-1h" is negative',
            1,
        ),
        (
            ["--auto-compaction-mode=revision", "--auto-compaction-retention=5m"],
            '--auto-compaction-retention: "5m" is not a number of revisions',
            1,
        ),
        (
            ["--initial-cluster-state", "old"],
            "invalid value \"old\" for flag -initial-cluster-state: it is 'new' or 'existing'",
            2,
        ),
        (
            ["--log-outputs", "default,stderr"],
            'multi logoutput for "default" is not supported yet',
            1,
        ),
    ],
)
def test_mistakes_are_told_as_etcd_tells_them(arguments, text, code):
    with pytest.raises(ConfigError) as caught:
        load(*arguments)
    assert str(caught.value) == text
    assert caught.value.exit_code == code


def test_a_setting_that_must_not_be_ignored_stops_the_start():
    assert "TLS is not served yet" in refused("--cert-file", "x.pem")
    assert load("--cert-file", "").name == "default"


@pytest.mark.parametrize("name", ["listen-client-urls", "listen-peer-urls", "listen-metrics-urls"])
@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "unixs://localhost:1"])
def test_nobody_who_asks_for_tls_is_served_without(name, url):
    asked = (f"--{name}=http://127.0.0.1:2,{url}", "--advertise-client-urls=http://a:1")
    assert refused(*asked) == f"--{name} cannot be {url}: TLS is not served yet"


def test_an_address_given_twice_is_one_to_listen_on():
    twice = "http://127.0.0.1:1,http://127.0.0.1:1"
    config = load("--listen-client-urls", twice, "--advertise-client-urls", twice)
    assert config.listen_client_urls == ("http://127.0.0.1:1",)


def test_a_setting_without_effect_is_noted():
    assert "has no effect" in load("--memory-mlock").notes[0]


def test_a_configuration_file_counts_alone(tmp_path):
    path = tmp_path / "etcd.yml"
    path.write_text(
        "name: filed\n"
        "listen-client-urls: http://127.0.0.1:1,http://127.0.0.1:2\n"
        "advertise-client-urls: http://127.0.0.1:1\n"
        "backend-batch-interval: 20000000\n"
        "socket-options:\n  reuse-port: true\n"
        "log-outputs: [stdout]\n"
        "mystery: 1\n"
    )
    config = load("--config-file", str(path), "--name", "ignored", ETCD_DATA_DIR="ignored")
    assert config.name == "filed" and config.data_dir == "filed.etcd"
    assert config.listen_client_urls == ("http://127.0.0.1:1", "http://127.0.0.1:2")
    assert config.backend_batch_interval_s == pytest.approx(0.02)
    assert config.reuse_port and config.log_outputs == ("stdout",)
    assert config.notes == (f"unknown key in {path}: mystery",)
    assert load(ETCD_CONFIG_FILE=str(path)).name == "filed"


def test_a_configuration_file_may_use_the_experimental_names_of_3_5(tmp_path):
    path = tmp_path / "etcd.yml"
    path.write_text(
        "experimental-initial-corrupt-check: true\n"
        "experimental-watch-progress-notify-interval: 3000000000\n"
    )
    config = load("--config-file", str(path))
    assert config.initial_corrupt_check and config.watch_progress_interval_s == 3.0
    assert config.notes == ()
    path.write_text("experimental-watch-progress-notify-interval: often\n")
    assert "experimental-watch-progress-notify-interval" in refused("--config-file", str(path))


def test_a_configuration_file_need_not_say_what_to_advertise(tmp_path):
    path = tmp_path / "etcd.yml"
    path.write_text("listen-client-urls: http://127.0.0.1:1\n")
    config = load("--config-file", str(path))
    assert config.advertise_client_urls == ("http://localhost:2379",)
    assert "http://localhost:2379" in config.notes[0]


def test_a_variable_out_of_its_choices_is_refused():
    assert refused(ETCD_PROXY="maybe") == (
        "invalid value \"maybe\" for ETCD_PROXY: it is 'off' or 'readonly' or 'on'"
    )


@pytest.mark.parametrize(
    "text", ["- a\n", "name: [1, {\n", "snapshot-count: lots\n", "name: {a: 1}\n"]
)
def test_a_bad_configuration_file_gives_one_line(tmp_path, text):
    path = tmp_path / "etcd.yml"
    path.write_text(text)
    assert str(path) in refused("--config-file", str(path)).splitlines()[0]
    assert len(refused("--config-file", str(path)).splitlines()) == 1


def test_a_missing_configuration_file_is_named():
    assert refused("--config-file", "/nonexistent") == (
        "open /nonexistent: no such file or directory"
    )


def test_durations_are_read_as_go_reads_them():
    assert read_duration_s("1h30m") == 5400
    assert read_duration_s("250ms") == pytest.approx(0.25)
    assert read_duration_s("-1.5s") == -1.5
    assert read_duration_s("0") == 0
    for bad in ("", "1", "h", "1 s", "1d", "s1"):
        with pytest.raises(ValueError):
            read_duration_s(bad)


def test_booleans_are_read_as_go_reads_them():
    assert [read_bool(t) for t in ("1", "t", "TRUE", "0", "f", "False")] == [True] * 3 + [False] * 3
    with pytest.raises(ValueError):
        read_bool("yes")


def test_urls_need_a_scheme_and_a_port_and_no_path():
    assert read_urls("http://a:1/,https://b:2,unix:///x") == (
        "http://a:1",
        "https://b:2",
        "unix:///x",
    )
    for bad in ("127.0.0.1:1", "http://a", "http://a:1/path", "ftp://a:1", "http://a:99999"):
        with pytest.raises(ValueError):
            read_urls(bad)


def test_help_shows_every_flag_with_its_default():
    text = flag_help()
    for flag in FLAGS.values():
        assert f"--{flag.name} '{flag.default}'" in text
