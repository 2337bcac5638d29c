"""What each pipeline saves on this host with a realistic load.

Measured against the default scrape, and against what the scraper alone can save.

    .venv/bin/python bench/reduction.py [--ticks 60] [--load realistic] [--quick] [--json FILE]

Each candidate runs beside the baseline on the same processes, one scrape a second, through the real
collector. Against process-slim-v1 the numbers of two runs are compared, on the same load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

from phoenix.experiments import preflight
from phoenix.experiments.model import DEMO, Arm
from phoenix.load import profiles, service
from phoenix.measurement.model import Tick
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.settings import data_dir

CANDIDATES = (
    "process-slim-v1",
    "process-aggregated-v1",
    "process-threshold-v1",
    "process-priority-filter-v1",
    "process-minimal-v1",
)
SLIM = "process-slim-v1"
SETTLE_S = 40


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=60)
    parser.add_argument("--load", default="realistic")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="10 ticks")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    ticks = 10 if chosen.quick else chosen.ticks
    folder = data_dir()
    handle = service.start_tethered(profiles.plan(chosen.load, seed=chosen.seed), folder)
    try:
        # The slim scrape leaves out what is younger than its delay; on a host that runs for days
        # that is next to nothing, so the load is let grow older first.
        time.sleep(SETTLE_S)
        found = {name: measure(name, ticks, folder) for name in CANDIDATES}
    finally:
        service.end(handle)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    print(f"load {chosen.load}, seed {chosen.seed}, {ticks} scrapes each; {machine}\n")
    print("| candidate | series a scrape | saved | against slim | series over the run | saved |"
          " points | bytes | compressed | coverage | worst conservation error |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    slim = found[SLIM]["series"]["candidate"]
    for name, row in found.items():
        series, run = row["series"], row["run"]
        against = "-" if name == SLIM else f"{1 - series['candidate'] / slim:.1%}"
        error = row["conservation"]
        print(
            f"| {name} | {span(series)} | {series['saved']:.1%} | {against} "
            f"| {span(run)} | {run['saved']:.1%} "
            f"| {row['points']['saved']:.1%} | {row['raw_bytes']['saved']:.1%} "
            f"| {row['wire_bytes']['saved']:.1%} | {row['coverage']:.1%} "
            f"| {'-' if error is None else f'{error:.3%}'} |"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": machine, "found": found}, indent=2))


def measure(name: str, ticks: int, folder: Path) -> dict[str, Any]:
    """One candidate beside the baseline."""
    spec = DEMO.applied_to(
        name="bench",
        baseline=Arm(pipeline="process-baseline-v1"),
        candidate=Arm(pipeline=name),
        critical=DEFAULT_CRITICAL,
    )
    got = asyncio.run(preflight.trial(spec, folder, ticks=ticks, skip=12))
    both = [t for t in got if t.baseline and t.candidate]
    last = both[-1]
    assert last.baseline
    assert last.candidate
    row: dict[str, Any] = {
        what: change(
            statistics.fmean(getattr(t.baseline, what) for t in both),
            statistics.fmean(getattr(t.candidate, what) for t in both),
        )
        for what in ("series", "points", "raw_bytes", "wire_bytes")
    }
    row["run"] = change(last.baseline.series_run, last.candidate.series_run)
    shown = sum(t.critical_candidate for t in both)
    row["coverage"] = shown / sum(t.critical_baseline for t in both)
    row["conservation"] = worst_error(both)
    row["ticks"] = len(both)
    return row


def span(of: dict[str, float]) -> str:
    """From the baseline's number to the candidate's."""
    return f"{of['baseline']:.0f} to {of['candidate']:.0f}"


def change(baseline: float, candidate: float) -> dict[str, float]:
    """Two means and the share saved."""
    return {"baseline": baseline, "candidate": candidate, "saved": 1 - candidate / baseline}


def worst_error(both: list[Tick]) -> float | None:
    """Over the whole run: CPU, I/O and memory of the candidate against the baseline's."""
    errors = []
    for metric in ("process.cpu.time", "process.disk.io"):
        b = sum((t.baseline.increments or {}).get(metric, 0.0) for t in both if t.baseline)
        c = sum((t.candidate.increments or {}).get(metric, 0.0) for t in both if t.candidate)
        if b:
            errors.append(abs(c - b) / b)
    for t in both:
        assert t.baseline
        assert t.candidate
        b = t.baseline.levels.get("process.memory.usage", 0.0)
        c = t.candidate.levels.get("process.memory.usage", 0.0)
        if b:
            errors.append(abs(c - b) / b)
    return max(errors) if errors else None


if __name__ == "__main__":
    main()
