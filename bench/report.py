"""From figures to a table, to JSON, and to the section of README that shows them."""

import json
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

from bench.disturbance import TOLERABLE
from bench.h2load import median
from bench.measures import BY_NAME, MEASURES, Bound, Measure, Unit, judged, verdict

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
HEADINGS = ("measure", "petcd", "etcd", "ratio", "must", "aim", "verdict")

Runs = dict[str, dict[str, list[float]]]  # measure -> server -> one figure a round


class Report(NamedTuple):
    """All that one bench run found out."""

    command: str
    machine: dict[str, str]
    disk: dict[str, float]
    runs: Runs
    failures: list[str]
    disturbed: list[tuple[str, str, float]]  # round, server, CPU of others as a share of a core


def machine() -> dict[str, str]:
    model = "unknown processor"
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(": ", 1)[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "processor": f"{os.cpu_count()} x {model}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "build": "hot modules compiled" if os.environ.get("PETCD_COMPILED") else "plain Python",
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def middle(runs: Runs, name: str, kind: str) -> float | None:
    values = runs.get(name, {}).get(kind)
    return median(values) if values else None


def shown(value: float | None, unit: Unit) -> str:
    if value is None:
        return "-"
    if unit is Unit.PER_SECOND:
        return f"{value:,.0f}/s"
    if unit is Unit.BYTES:
        return f"{value / 1e6:,.0f} MB"
    if unit is Unit.TIMES:
        return f"{value:.2f}x"
    if value < 0.001:
        return f"{value * 1e6:.1f} us" if value < 0.000_01 else f"{value * 1e6:.0f} us"
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def wanted(measure: Measure, value: float | None) -> str:
    if value is None:
        return ""
    return shown(value, measure.unit) if measure.bound is Bound.OWN else f"{value:.1f}x"


def row(measure: Measure, runs: Runs) -> tuple[str, ...]:
    petcd, etcd = (middle(runs, measure.name, kind) for kind in ("petcd", "etcd"))
    ratio = petcd / etcd if petcd is not None and etcd else None
    return (
        measure.title,
        shown(petcd, measure.unit),
        shown(etcd, measure.unit),
        "-" if ratio is None else f"{ratio:.2f}x",
        wanted(measure, measure.must),
        wanted(measure, measure.aim),
        verdict(measure, petcd, etcd).value,
    )


def rows(runs: Runs) -> list[tuple[str, ...]]:
    return [row(measure, runs) for measure in MEASURES if measure.name in runs]


def text(report: Report) -> str:
    table = [HEADINGS, *rows(report.runs)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADINGS))]
    widths[0] = -widths[0]  # the names stand to the left

    def laid_out(line: tuple[str, ...]) -> str:
        cells = zip(line, widths, strict=True)
        return "  ".join(c.ljust(-w) if w < 0 else c.rjust(w) for c, w in cells).rstrip()

    rule = "  ".join("-" * abs(width) for width in widths)
    lines = [laid_out(table[0]), rule, *(laid_out(line) for line in table[1:])]
    lines += ["", about(report), *disturbance(report)]
    lines += [f"failed: {failure}" for failure in report.failures]
    return "\n".join(lines)


def disturbance(report: Report) -> list[str]:
    """A line for each round in which others used so much CPU that its figures mislead."""
    return [
        f"disturbed: {name} on {kind}: other programs used {share:.0%} of a core"
        for name, kind, share in report.disturbed
        if share > TOLERABLE
    ]


def about(report: Report) -> str:
    disk = report.disk
    return (
        f"{report.machine['processor']}, {report.machine['system']}, "
        f"Python {report.machine['python']}, petcd: {report.machine['build']}, "
        f"{report.machine['when']}; "
        f"fdatasync of 300 bytes on this disk: median {disk['p50_s'] * 1e3:.2f} ms, "
        f"p99 {disk['p99_s'] * 1e3:.2f} ms; load average before: {report.machine['load']}"
    )


def markdown(report: Report) -> str:
    lines = [f"Measured with `{report.command}` ({about(report)}).", ""]
    lines.append("| " + " | ".join(HEADINGS) + " |")
    lines.append("| --- |" + " ---: |" * (len(HEADINGS) - 2) + " --- |")
    lines += ["| " + " | ".join(line) + " |" for line in rows(report.runs)]
    lines += ["", *(f"* {line}" for line in disturbance(report))] if disturbance(report) else []
    return "\n".join(lines)


def write_readme(path: Path, report: Report) -> None:
    """Replaces what stands between the two marks of README."""
    before, rest = path.read_text().split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n{markdown(report)}\n{END}{after}")


def write_json(path: Path, report: Report) -> None:
    found = {
        "command": report.command,
        "machine": report.machine,
        "disk": report.disk,
        "measures": {name: figures(BY_NAME[name], report.runs) for name in report.runs},
        "failures": report.failures,
        "disturbed": report.disturbed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


def figures(measure: Measure, runs: Runs) -> dict[str, object]:
    petcd, etcd = (middle(runs, measure.name, kind) for kind in ("petcd", "etcd"))
    return {
        "title": measure.title,
        "unit": "bytes" if measure.unit is Unit.BYTES else measure.unit.value,
        "runs": runs[measure.name],
        "petcd": petcd,
        "etcd": etcd,
        "judged": judged(measure, petcd, etcd),
        "must": measure.must,
        "aim": measure.aim,
        "verdict": verdict(measure, petcd, etcd).name.lower(),
    }
