"""One pipeline: a recorded hour through the real collector into a real Prometheus, then asked."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from conserving import causes
from conserving.arms import Arm
from conserving.hours import Hour
from phoenix.testing import replay
from phoenix.testing.prometheus import Prometheus, Value, counter
from phoenix.testing.streams import Streams
from phoenix.testing.truth import COUNTERS, Scrape

PROMQL = {
    "process.cpu.time": "process_cpu_time_seconds_total",
    "process.disk.io": "process_disk_io_bytes_total",
}
STARTS = ("st-storage", "use-start-timestamps")
"""Features with which Prometheus 3 counts a first sample from its start time on."""
# A counter that has been running for a day when the hour begins, and one that begins with it.
CONSTANTS = {"running": 86_400.0, "begun": 0.0}
WINDOW_S = 300


def measure(arm: Arm, own: Hour, default: Hour, binary: Path, data_dir: Path) -> dict[str, Any]:
    """Replay, and ask. `own` is what the arm is fed, `default` what it is held against."""
    streams, points = Streams(COUNTERS), 0
    with (
        replay.Arm(binary, arm.document, arm.name) as collector,
        Prometheus(data_dir) as plain,
        Prometheus(data_dir, features=STARTS) as starts,
    ):
        for scrape, body in zip(own.scrapes, own.bodies(), strict=True):
            request = counters(collector.scrape(body))
            points += sum(1 for _ in replay.points(request))
            add_constants(request, scrape, own.scrapes[0])
            plain.take(request)
            starts.take(request)
            streams.fold(request)
        found: dict[str, Any] = {
            "arm": arm.name,
            "about": arm.about,
            "series": sum(1 for metric in COUNTERS for _ in streams.of(metric)),
            "points": points / len(own.scrapes),
            "engine": engine(plain, own),
        }
        for metric in COUNTERS:
            found[metric] = {
                **answers(plain, starts, metric, own),
                **against(plain, metric, arm, own, default),
                **causes.parts(streams, metric, own),
                "five_minutes": five_minutes(plain, metric, own),
                "remainder": causes.remainder(plain, streams, metric, PROMQL[metric], arm, own),
            }
    return found


def counters(left: Iterable[Request]) -> Request:
    """The counters of what left for one scrape."""
    request = Request()
    for each in left:
        for resource in each.resource_metrics:
            wanted = [
                metric
                for scope in resource.scope_metrics
                for metric in scope.metrics
                if metric.name in COUNTERS
            ]
            if wanted:
                taken = request.resource_metrics.add()
                taken.resource.CopyFrom(resource.resource)
                taken.scope_metrics.add().metrics.extend(wanted)
    return request


def add_constants(request: Request, scrape: Scrape, first: Scrape) -> None:
    """Add the counters that rise by one a second, with the time of the scrape."""
    at_s, since_s = scrape.first_ns / 1e9, (scrape.first_ns - first.first_ns) / 1e9
    for name, before in CONSTANTS.items():
        start_s = first.first_ns / 1e9 - before
        request.MergeFrom(counter(name, {}, [(at_s, before + since_s)], unit="s", start_s=start_s))


def engine(prometheus: Prometheus, own: Hour) -> dict[str, float]:
    """Prometheus's own error on each constant counter: what it says too much, as a share."""
    true = (own.scrapes[-1].first_ns - own.scrapes[0].first_ns) / 1e9
    at_s = own.until_ms / 1e3

    def error(name: str, modifier: str = "") -> float:
        query = f"increase({name}_seconds_total{own.span}{modifier})"
        return prometheus.total(query, at_s=at_s) / true - 1

    errors = {name: error(name) for name in CONSTANTS}
    return {**errors, "anchored": max((error(x, " anchored") for x in CONSTANTS), key=abs)}


def answers(plain: Prometheus, starts: Prometheus, metric: str, own: Hour) -> dict[str, float]:
    """What Prometheus answers, in each of the ways it can be asked."""
    at_s, selected = own.until_ms / 1e3, f"{PROMQL[metric]}{own.span}"
    return {
        "increase": plain.total(f"sum(increase({selected}))", at_s=at_s),
        "anchored": plain.total(f"sum(increase({selected} anchored))", at_s=at_s),
        "smoothed": plain.total(f"sum(increase({selected} smoothed))", at_s=at_s),
        "start_times": starts.total(f"sum(increase({selected}))", at_s=at_s),
    }


def against(
    prometheus: Prometheus, metric: str, arm: Arm, own: Hour, default: Hour
) -> dict[str, Any]:
    """The truth, and what each category is off by."""
    query = (
        f"sum by (process_executable_name, process_category) (increase({PROMQL[metric]}{own.span}))"
    )
    said: dict[str, float] = defaultdict(float)
    for value in prometheus.ask(query, at_s=own.until_ms / 1e3):
        said[category_of(value, arm)] += value.value
    true = default.true(metric, arm.category)
    return {
        "true": sum(true.values()),
        "true_of_own_scrape": sum(own.true(metric, arm.category).values()),
        "finer": default.finer[metric],
        "categories": {
            name: {"true": true.get(name, 0.0), "increase": said.get(name, 0.0)}
            for name in sorted(true.keys() | said.keys())
        },
    }


def category_of(value: Value, arm: Arm) -> str:
    """The category that the pipeline tells, else that of the name."""
    told = value.labels.get("process_category")
    return told or arm.category(value.labels.get("process_executable_name", ""))


def five_minutes(prometheus: Prometheus, metric: str, own: Hour) -> dict[str, float]:
    """sum(increase(m[5m])) over the true rises of the same scrapes, window after window."""
    ratios = []
    scrapes = own.scrapes[1:]
    # Between two scrapes, so that no window cuts one into two.
    begin = (own.scrapes[0].last_ns + scrapes[0].first_ns) / 2
    for number in range(int((own.until_ms * 1e6 - begin) / 1e9) // WINDOW_S):
        after, until = begin + number * WINDOW_S * 1e9, begin + (number + 1) * WINDOW_S * 1e9
        true = sum(s.total(metric) for s in scrapes if after < s.first_ns <= until)
        said = prometheus.total(f"sum(increase({PROMQL[metric]}[{WINDOW_S}s]))", at_s=until / 1e9)
        if true > 0:
            ratios.append(said / true - 1)
    if not ratios:
        return {"windows": 0}
    return {
        "windows": len(ratios),
        "median": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }
