"""The bench's own judgement and arithmetic; its loads are tried by running it."""

import pytest

from bench.h2load import percentile
from bench.measures import BY_NAME, MEASURES, Better, Verdict, verdict
from bench.report import Report, rows, shown, text, write_readme
from bench.requests import MILLION_PREFIX, PutTxns, million_key
from petcd.wire.kv import TxnRequest


@pytest.mark.parametrize(
    ("name", "petcd", "etcd", "expected"),
    [
        ("put-10x20", 100_000, 36_000, Verdict.AIM),
        ("put-10x20", 60_000, 36_000, Verdict.MUST),
        ("put-10x20", 53_000, 36_000, Verdict.MISSED),
        ("put-10x20-p99", 0.010, 0.010, Verdict.MUST),
        ("put-10x20-p99", 0.011, 0.010, Verdict.MISSED),
        ("restart", 2.6, 5.4, Verdict.AIM),
        ("stall-range", 0.049, 0.001, Verdict.MUST),
        ("stall-range", 0.051, 10.0, Verdict.MISSED),
        ("go-cost", 1.6, 1.0, Verdict.MISSED),
        ("put-1x1", 1.0, 1000.0, Verdict.NONE),
        ("put-10x20", None, 36_000, Verdict.UNKNOWN),
        ("put-10x20", 36_000, None, Verdict.UNKNOWN),
    ],
)
def test_a_figure_is_judged_by_what_its_row_demands(
    name: str, petcd: float | None, etcd: float | None, expected: Verdict
) -> None:
    assert verdict(BY_NAME[name], petcd, etcd) is expected


def test_an_aim_is_never_easier_than_the_must() -> None:
    for measure in MEASURES:
        if measure.must is not None and measure.aim is not None:
            easier, harder = measure.must, measure.aim
            if measure.better is Better.LESS:
                easier, harder = harder, easier
            assert easier <= harder, measure.name


def test_percentiles_are_values_that_occurred() -> None:
    ordered = list(range(1, 101))
    assert percentile(ordered, 50) == 51
    assert percentile(ordered, 99) == 100
    assert percentile([7], 99) == 7


def test_the_transactions_together_put_every_key_once() -> None:
    txns = PutTxns(1000, b"1")
    keys = []
    for number in range(txns.count):
        txn = TxnRequest.decode(txns.body(number))
        puts = [op.request_put for op in txn.success if op.request_put is not None]
        assert len(puts) == 100 and all(put.value == b"1" * 64 for put in puts)
        keys += [put.key for put in puts]
    assert sorted(keys) == [million_key(number) for number in range(1000)]
    assert all(key.startswith(MILLION_PREFIX) and len(key) == 24 for key in keys)


REPORT = Report(
    "./dev bench kv",
    {
        "processor": "2 x P",
        "system": "Linux",
        "python": "3.11",
        "build": "plain Python",
        "when": "now",
        "load": "0.0",
    },
    {"p50_s": 0.0001, "p99_s": 0.001},
    {"put-10x20": {"petcd": [90_000.0, 110_000.0, 100_000.0], "etcd": [40_000.0]}},
    ["watch on petcd: it broke"],
    [("kv 1", "petcd", 0.04), ("kv 1", "etcd", 0.9)],
)


def test_a_row_shows_the_median_and_the_ratio() -> None:
    (row,) = rows(REPORT.runs)
    assert row == ("put, 10 x 20", "100,000/s", "40,000/s", "2.50x", "1.5x", "2.5x", "aim reached")
    assert "failed: watch on petcd: it broke" in text(REPORT)


def test_a_round_that_others_disturbed_is_named() -> None:
    told = [line for line in text(REPORT).splitlines() if line.startswith("disturbed")]
    assert told == ["disturbed: kv 1 on etcd: other programs used 90% of a core"]


def test_durations_are_shown_in_a_unit_that_suits_them() -> None:
    unit = BY_NAME["restart"].unit
    assert [shown(value, unit) for value in (0.000_000_4, 0.00002, 0.0123, 5.4, None)] == [
        "0.4 us",
        "20 us",
        "12.3 ms",
        "5.40 s",
        "-",
    ]


def test_the_readme_keeps_what_stands_around_the_table(tmp_path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("above\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nbelow\n")
    write_readme(readme, REPORT)
    write_readme(readme, REPORT)
    content = readme.read_text()
    assert content.startswith("above\n") and content.endswith("below\n")
    assert "old" not in content and content.count("| put, 10 x 20 |") == 1
