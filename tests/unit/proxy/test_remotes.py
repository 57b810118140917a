"""The choice of an endpoint, with chance in the hand of the test."""

import random

from petcd.proxy.remotes import Remote, Remotes


def picks(remotes, count, chance=None):
    return [remotes.pick().host for _ in range(count)]


def test_endpoints_without_weight_take_turns():
    remotes = Remotes([Remote("a", 1), Remote("b", 1), Remote("c", 1)], lambda n: 0)
    assert picks(remotes, 4) == ["a", "b", "c", "a"]


def test_an_endpoint_that_failed_is_left_out_until_it_is_back():
    remotes = Remotes([Remote("a", 1), Remote("b", 1)], lambda n: 0)
    remotes.all[0].active = False
    assert picks(remotes, 2) == ["b", "b"]
    remotes.all[0].active = True
    assert set(picks(remotes, 2)) == {"a", "b"}


def test_when_all_failed_there_is_none():
    remotes = Remotes([Remote("a", 1)], lambda n: 0)
    remotes.all[0].active = False
    assert remotes.pick() is None


def test_a_higher_priority_number_waits_until_the_lower_ones_failed():
    remotes = Remotes([Remote("backup", 1, 20, 9), Remote("main", 1, 10, 1)], lambda n: 0)
    assert picks(remotes, 3) == ["main"] * 3
    remotes.all[1].active = False
    assert picks(remotes, 2) == ["backup"] * 2


def test_weights_decide_in_their_proportion_and_no_weight_gets_one_in_a_hundred():
    chance = random.Random(1).randrange
    remotes = Remotes([Remote("3", 1, 0, 3), Remote("1", 1, 0, 1), Remote("0", 1)], chance)
    chosen = picks(remotes, 20_000)
    assert 14_000 < chosen.count("3") < 15_600
    assert 4_600 < chosen.count("1") < 5_400
    assert 120 < chosen.count("0") < 300
