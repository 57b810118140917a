"""Three members of petcd are managed with etcdctl, the real one and ours: the same is printed as by
the real one with three members of etcd."""

import contextlib
import time

import pytest
from cluster_runs import Manager, differences
from etcdctl_runs import Seen

from bench.servers import ServerFailed, real_etcd

pytestmark = [pytest.mark.real_etcd, pytest.mark.timeout(300)]


def look_around(manager: Manager) -> None:
    """What the commands say of a cluster at rest that `m1` leads."""
    manager.lead("m1")
    manager.do("put a 1")
    for where in ("{m1}", "{m2}", "{m3}", "{all}"):
        manager.do(f"get a --endpoints {where}")
    manager.do("put b 2 --endpoints {m2}")
    for style in ("simple", "json", "fields", "table"):
        manager.do(f"member list -w {style}")
        manager.do(f"endpoint health --cluster -w {style}")
        manager.do(f"endpoint status --cluster -w {style}")
        manager.do(f"endpoint status --endpoints {{all}} -w {style}")
    manager.do("endpoint hashkv --cluster")
    manager.do("endpoint hashkv --endpoints {all} -w json")
    manager.do("alarm list --endpoints {m3}")
    manager.do("defrag --cluster")


def hand_over(manager: Manager) -> None:
    """`m1` leads; the lead goes to m2, and to nobody who cannot have it."""
    manager.do("move-leader {m2-id} --endpoints {m3}")
    manager.do("move-leader {m2-id} --endpoints {all}")
    manager.do("endpoint status --cluster -w table")
    manager.do("move-leader {m2-id} --endpoints {m2}")
    manager.do("move-leader 1234 --endpoints {m2}")
    manager.do("move-leader xyz --endpoints {m2}")
    manager.do("move-leader --endpoints {m2}")
    manager.do("put c 3 --endpoints {m1}")


def change_members(manager: Manager) -> None:
    """A fourth comes as a learner, becomes a voter, moves and goes."""
    manager.do("member add")
    manager.do("member add m4")
    manager.do("member add m4 --peer-urls=http://127.0.0.1:1:2")
    manager.until("member add m4 --peer-urls={m1-peer}", "already exists")  # after 5 s of health
    manager.do("member add m4 --peer-urls={m1-peer}")
    added = "member add m4 --peer-urls={m4-peer} --learner"
    manager.do(added, save=("m4-id", r"Member\s+([0-9a-f]+) added"))
    manager.learn_ids()
    manager.do("member list")
    manager.do("member list -w table")
    time.sleep(1.1)  # in the second of the first time it would be the same id
    manager.do(added)
    manager.do("member add m5 --peer-urls=http://127.0.0.1:1 --learner")
    manager.do("member promote {m4-id}")
    manager.do("member promote {m1-id}")
    manager.start_fourth()
    manager.until("endpoint status --endpoints {m4}", "true")
    manager.do("endpoint status --endpoints {m4} -w json")
    manager.do("get a --endpoints {m4}")
    manager.do("get a --endpoints {m4} --consistency=s")
    manager.do("put a 2 --endpoints {m4}")
    manager.do("move-leader {m4-id} --endpoints {m2}")
    manager.until("member promote {m4-id}", "promoted")
    manager.do("member promote {m4-id}")
    manager.do("member list")
    manager.do("put a 3 --endpoints {m4}")
    manager.do("endpoint health --cluster")
    manager.until("member update {m4-id} --peer-urls={m4-peer}", "updated")
    manager.do("member update {m4-id} --peer-urls={m4-peer},http://127.0.0.1:1")
    manager.do("member update {m4-id} --peer-urls={m1-peer}")
    manager.do("member update 1234 --peer-urls=http://127.0.0.1:1")
    manager.do("member list -w json")
    manager.do("member update {m4-id} --peer-urls={m4-peer}")
    manager.do("member remove {m4-id}")
    manager.do("member remove {m4-id}")
    manager.do("member remove 1234")
    manager.do("member list")
    manager.fourth.stop()


def lose_members(manager: Manager) -> None:
    """Changes that would cost the majority are refused; what is left says what it can."""
    manager.cluster.members[2].kill()
    manager.do("member add m5 --peer-urls=http://127.0.0.1:1")
    manager.do("member remove {m1-id}")
    manager.do("endpoint health --cluster")
    manager.do("put d 4 --endpoints {m2}")
    manager.cluster.members[0].kill()
    manager.do("get d --endpoints {m2} --command-timeout=1s")
    manager.do("get d --endpoints {m2} --consistency=s")
    manager.do("endpoint health --endpoints {m2} --command-timeout=1s")


CHAPTERS = (look_around, hand_over, change_members, lose_members)


def told(ctl: str, kind: str) -> list[Seen]:
    """What an etcdctl says in the course of a cluster's life."""
    with contextlib.closing(Manager(ctl, kind)) as manager:
        for chapter in CHAPTERS:
            chapter(manager)
        return manager.seen


@pytest.fixture(scope="module")
def reference() -> list[Seen]:
    try:
        real_etcd()
    except ServerFailed as error:
        pytest.skip(f"no real etcd to compare with: {error}")
    return told("etcd", "etcd")


@pytest.mark.parametrize("ctl", ["etcd", "petcd"], ids=["real-etcdctl", "our-etcdctl"])
def test_a_cluster_is_managed_as_one_of_etcd(reference: list[Seen], ctl: str) -> None:
    different = differences(reference, told(ctl, "petcd"))
    assert not different, f"{len(different)} differ\n" + "\n".join(different)
