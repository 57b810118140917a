"""`petcd render`: the files, and that what they say is what etcd reads."""

import shlex
import subprocess

import pytest

from petcd.cli.petcd import run as run_petcd
from petcd.cli.render import Place, environment_file, places, run, unit
from petcd.server.config import load_config
from petcd.server.flag_table import FLAGS


def variables(text):
    """An environment file as systemd reads it."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict("".join(shlex.split(line)).split("=", 1) for line in lines)


ARTICLE = ["etcd-0-8=172.16.0.8", "etcd-0-14=172.16.0.14", "etcd-0-17=172.16.0.17"]


def test_the_articles_cluster_gets_its_keys():
    members = places(ARTICLE)
    text = environment_file(members[0], members, "/data/app/etcd/", "etcd-token")
    assert variables(text) == {
        "ETCD_NAME": "etcd-0-8",
        "ETCD_DATA_DIR": "/data/app/etcd/",
        "ETCD_LISTEN_PEER_URLS": "http://172.16.0.8:2380",
        "ETCD_LISTEN_CLIENT_URLS": "http://127.0.0.1:2379,http://172.16.0.8:2379",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS": "http://172.16.0.8:2380",
        "ETCD_ADVERTISE_CLIENT_URLS": "http://172.16.0.8:2379",
        "ETCD_INITIAL_CLUSTER": "etcd-0-8=http://172.16.0.8:2380,"
        "etcd-0-14=http://172.16.0.14:2380,etcd-0-17=http://172.16.0.17:2380",
        "ETCD_INITIAL_CLUSTER_TOKEN": "etcd-token",
        "ETCD_INITIAL_CLUSTER_STATE": "new",
    }


def test_etcd_reads_the_file_and_what_is_a_comment_is_the_default():
    members = places([])
    text = environment_file(members[0], members, "/var/lib/etcd/default.etcd", "etcd-cluster")
    config = load_config([], variables(text))
    assert config.data_dir == "/var/lib/etcd/default.etcd"
    assert config.listen_client_urls == ("http://localhost:2379",)
    assert config.initial_cluster == "default=http://localhost:2380"
    comments = [line[1:] for line in text.splitlines() if line.startswith("#ETCD_")]
    for name, value in variables("\n".join(comments)).items():
        assert value == FLAGS[name.removeprefix("ETCD_").lower().replace("_", "-")].default


def test_a_member_with_a_host_name_listens_everywhere():
    place = Place("a", "a.example.com")
    assert place.peer_url == "http://a.example.com:2380"
    assert place.listen_client_urls == "http://0.0.0.0:2379"


def test_an_ipv6_address_gets_its_brackets():
    (place,) = places(["a=fd00::7"])
    assert place.listen_client_urls == "http://127.0.0.1:2379,http://[fd00::7]:2379"


def test_the_unit_waits_for_readiness_and_may_do_without_the_environment_file():
    lines = unit("/opt/petcd/bin/etcd").splitlines()
    for line in (
        "Type=notify",
        "User=etcd",
        "EnvironmentFile=-/etc/etcd/etcd.conf",
        "ExecStart=/opt/petcd/bin/etcd",
    ):
        assert line in lines


def test_systemd_has_nothing_to_say_against_the_unit(tmp_path):
    (tmp_path / "etcd.service").write_text(unit("/bin/true"))
    command = ["systemd-analyze", "verify", str(tmp_path / "etcd.service")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError:
        pytest.skip("there is no systemd here")
    assert not [line for line in done.stderr.splitlines() if "etcd.service" in line]


def test_files_are_written_where_asked_one_environment_for_each_member(tmp_path, capsys):
    assert run_petcd(["render", str(tmp_path / "out"), *ARTICLE, "--program", "/usr/bin/etcd"]) == 0
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    members = {f"out/{word.partition('=')[0]}/etcd.conf" for word in ARTICLE}
    assert written == {"out/etcd.service", "out/etcd.sysusers", *members}
    assert len(capsys.readouterr().out.splitlines()) == len(written)
    assert run([str(tmp_path / "one")]) == 0
    assert (tmp_path / "one" / "etcd.conf").exists()


@pytest.mark.parametrize(
    "words",
    [[], ["d", "a"], ["d", "=h"], ["d", "a="], ["d", "a=h", "a=i"], ["d", "--x"], ["d", "../a=h"]],
)
def test_a_wrong_call_writes_nothing(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    assert capsys.readouterr().err.startswith("petcd: ")
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_made_is_told(capsys):
    assert run(["/proc/nowhere"]) == 1
    assert "/proc/nowhere" in capsys.readouterr().err


def test_petcd_explains_itself(capsys):
    assert run_petcd([]) == 0
    assert "petcd render" in capsys.readouterr().out
    assert run_petcd(["dance"]) == 2
