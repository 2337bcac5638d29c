"""Builders of ticks, samples and specifications, to try the rules of experiments on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from phoenix.experiments.evidence import Evidence, Interval
from phoenix.experiments.model import DEMO, Arm, Spec
from phoenix.measurement.model import ArmTick, Tick
from phoenix.pipelines.model import CriticalRule

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A sample as the runtime would take it."""

    member: str
    at: datetime
    cpu_s: float | None = 0.0
    rss_bytes: int | None = 50 * 2**20
    exporter_failed_points: int | None = 0
    enqueue_failed_points: int | None = 0
    restarts: int | None = 0
    queue_size: int | None = 0


def spec(**changes: Any) -> Spec:
    values: dict[str, Any] = {
        "name": "cheaper processes",
        "baseline": Arm(pipeline="process-baseline-v1"),
        "candidate": Arm(pipeline="process-aggregated-v1", parameters={"minimum_cpu_s": "0.5"}),
        "critical": (CriticalRule(kind="name", value="nginx", source="default"),),
        "warmup_ticks": 2,
    }
    return DEMO.applied_to(**{**values, **changes})


def arm(series: int, **changes: Any) -> ArmTick:
    values: dict[str, Any] = {
        "points": series,
        "series": series,
        "series_run": series,
        "series_20m": None,
        "series_1h": None,
        "raw_bytes": series * 100,
        "wire_bytes": series * 10,
        "requests": 1,
        "processes": 10,
        "levels": {"process.memory.usage": 1e9},
        "increments": {"process.cpu.time": 2.5},
        "delay_p50_ms": 100.0,
        "delay_p95_ms": 200.0,
        "delay_max_ms": 300.0,
        "duplicates": 0,
        "late": 0,
        "lone": 0,
    }
    return ArmTick(**{**values, **changes})


def tick(number: int, **changes: Any) -> Tick:
    """Both arms healthy: 1000 series against 150, three critical processes seen."""
    values: dict[str, Any] = {
        "experiment_id": "exp-a1b2c3d4",
        "tick": number,
        "at": START + timedelta(seconds=number),
        "baseline": arm(1000),
        "candidate": arm(150),
        "excluded": None,
        "critical_baseline": 3,
        "critical_candidate": 3,
        "missing": (),
        "hidden_names": 20,
        "top_cpu": (),
        "top_memory": (),
        "recall_cpu": 0.9,
        "recall_memory": 0.8,
    }
    return Tick(**{**values, **changes})


def missing(number: int, *names: str) -> Tick:
    return tick(number, missing=names, critical_candidate=3 - len(names))


def folded(
    ticks: Iterable[Tick], asked: Spec | None = None, intervals: Iterable[Interval] = ()
) -> Evidence:
    evidence = Evidence()
    for one in ticks:
        evidence = evidence.updated(one, asked or spec(), tuple(intervals))
    return evidence


def sampled(evidence: Evidence, ticks: int = 150) -> Evidence:
    """The evidence with both collectors idling at a tenth of a core."""
    readings = [
        Reading(member=member, at=START + timedelta(seconds=s), cpu_s=0.1 * s)
        for member in ("baseline", "candidate")
        for s in range(ticks)
    ]
    return evidence.with_samples(readings)


def healthy(count: int = 150, asked: Spec | None = None, **changes: Any) -> Evidence:
    """Warm-up and `count` evidence ticks, all alike but for `changes`."""
    warmup = (asked or spec()).warmup_ticks
    ticks = [replace(tick(n), **changes) for n in range(warmup + count)]
    return sampled(folded(ticks, asked), warmup + count)
