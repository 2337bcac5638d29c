"""Does the memory of a collector with `process_budget` stay flat while processes come and go?

    .venv/bin/python bench/memory.py [--pipeline process-topk-v1] [--scrapes 360] [-o json]

A made-up host of 2,000 processes with 30 births a second, restarts, execs and pids that are used
again, an hour of it at 10 s, through the real collector as fast as it goes. An hour of births is
108,000 processes; what is told is the collector's resident memory in each tenth of the hour.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

from load import DATA_DIR, machine
from phoenix.collectors import distribution
from phoenix.host import proc
from phoenix.pipelines import catalog, documents, render
from phoenix.pipelines.critical import parse
from phoenix.testing import hosts, replay

INTERVAL_S = 10.0
MIB = 1 << 20
CRITICAL = [parse(name) for name in ("redis-server", "dockerd", "java")]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipeline", default="process-topk-v1")
    parser.add_argument("--processes", type=int, default=2000)
    parser.add_argument("--births-per-s", type=float, default=30.0)
    parser.add_argument("--scrapes", type=int, default=360)
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    asked = parser.parse_args()
    rows = measure(
        asked.pipeline, asked.processes, int(asked.births_per_s * INTERVAL_S), asked.scrapes
    )
    if asked.output == "json":
        print(json.dumps({"machine": machine(), "pipeline": asked.pipeline, "tenths": rows}))
        return
    print(
        f"{asked.pipeline}, {asked.processes:,} processes, {asked.births_per_s:g} births a second"
    )
    print("| scrapes | MiB, mean | MiB, most | series a scrape |")
    print("|---|---|---|---|")
    for row in rows:
        print(f"| {row['until']} | {row['mean']:.1f} | {row['most']:.1f} | {row['series']:.0f} |")


def measure(name: str, processes: int, births: int, scrapes: int) -> list[dict[str, Any]]:
    """The collector's memory in each tenth of the run."""
    host = hosts.Host(1, processes=processes, births=births, interval_s=INTERVAL_S)
    made = render.arm(catalog.load(name), None, CRITICAL, INTERVAL_S, fed=True)
    document = documents.load(made.config, name)
    rows: list[dict[str, Any]] = []
    sizes: list[float] = []
    series: list[int] = []
    with replay.Arm(distribution.build(DATA_DIR), document, name) as arm:
        for number in range(1, scrapes + 1):
            left = arm.scrape(host.scrape())
            series.append(sum(1 for each in left for _ in replay.points(each)))
            sizes.append((proc.rss_bytes(arm.child.pid) or 0) / MIB)
            if number % max(1, scrapes // 10) == 0:
                rows.append(
                    {
                        "until": number,
                        "mean": statistics.fmean(sizes),
                        "most": max(sizes),
                        "series": statistics.fmean(series),
                    }
                )
                sizes, series = [], []
    return rows


if __name__ == "__main__":
    main()
