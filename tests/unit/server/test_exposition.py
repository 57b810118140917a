"""The text format, line by line, and read by Prometheus' own parser."""

from math import inf

import pytest
from prometheus_client.parser import text_string_to_metric_families

from petcd.peer.counters import Family, Histogram
from petcd.server.exposition import number, text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (1.0, "1"),
        (0.001, "0.001"),
        (0.0001, "0.0001"),
        (6.5536, "6.5536"),
        (262144.0, "262144"),
        (1048576.0, "1.048576e+06"),
        (8388608.0, "8.388608e+06"),
        (1795416789.25, "1795416789.25"),
        (inf, "+Inf"),
    ],
)
def test_a_number_looks_as_go_prints_it(value: float, text: str) -> None:
    assert number(value) == text and float(text) == value


def test_a_counter_has_help_type_and_a_line_for_each_sample() -> None:
    samples: list[tuple[tuple[str, ...], float | Histogram]] = [(("a", "b"), 3), (("c", "d"), 0)]
    family = Family("some_total", "What it is.", "counter", ("One", "Two"), samples)
    assert text_of([family]).decode().splitlines() == [
        "# HELP some_total What it is.",
        "# TYPE some_total counter",
        'some_total{One="a",Two="b"} 3',
        'some_total{One="c",Two="d"} 0',
    ]


def test_a_histogram_is_cumulative_and_ends_with_its_sum_and_count() -> None:
    histogram = Histogram([0.1, 1048576.0])
    for amount in (0.05, 7.0, 8.0, 2e6):
        histogram.observe(amount)
    family = Family("h", "H.", "histogram", ("To",), [(("x",), histogram)])
    assert text_of([family]).decode().splitlines()[2:] == [
        'h_bucket{To="x",le="0.1"} 1',
        'h_bucket{To="x",le="1.048576e+06"} 3',
        'h_bucket{To="x",le="+Inf"} 4',
        'h_sum{To="x"} 2000015.05',
        'h_count{To="x"} 4',
    ]


def test_what_is_in_a_label_comes_back_whole() -> None:
    nasty = 'a "quoted" \\ back\nslash'
    text = text_of([Family("g", "H\\elp\nme", "gauge", ("l",), [((nasty,), 1.5)])]).decode()
    (found,) = text_string_to_metric_families(text)
    assert found.samples[0].labels == {"l": nasty} and found.samples[0].value == 1.5


def test_a_family_without_samples_is_left_out() -> None:
    assert text_of([Family("g", "Help", "gauge", ("l",), [])]) == b""
