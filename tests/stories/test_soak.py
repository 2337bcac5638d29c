"""The long run, and a seeded piece of it in every `make test`: churn, and nothing is lost.

`PHOENIX_SOAK=full` (as `make soak` sets it) makes an hour of it.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from phoenix.experiments import preflight
from phoenix.experiments.model import DEMO, Arm
from phoenix.load import profiles, service
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.testing.machine import Machine

TICKS = 3600 if os.environ.get("PHOENIX_SOAK") == "full" else 25


@pytest.mark.soak
@pytest.mark.collector
def test_under_churn_every_critical_process_stays_visible_and_totals_agree(
    down: Machine,
) -> None:
    spec = DEMO.applied_to(
        name="soak",
        baseline=Arm(pipeline="process-baseline-v1"),
        candidate=Arm(pipeline="process-aggregated-v1"),
        critical=DEFAULT_CRITICAL,
    )
    handle = service.start_tethered(profiles.plan("high-churn", seed=7), down.data_dir)
    try:
        ticks = asyncio.run(preflight.trial(spec, down.data_dir, ticks=TICKS, skip=5))
    finally:
        service.end(handle)
    both = [t for t in ticks if t.baseline and t.candidate and t.excluded is None]
    assert len(both) >= 0.95 * TICKS
    assert {name for t in both for name in t.missing} == set()
    assert sum(t.candidate.duplicates for t in both if t.candidate) == 0
    for metric in ("process.cpu.time", "process.disk.io"):
        arrived = sum((t.baseline.increments or {}).get(metric, 0.0) for t in both if t.baseline)
        left = sum((t.candidate.increments or {}).get(metric, 0.0) for t in both if t.candidate)
        assert left == pytest.approx(arrived, rel=0.01), metric
    for t in both:
        assert t.baseline
        assert t.candidate
        metric = "process.memory.usage"
        assert t.candidate.levels[metric] == pytest.approx(t.baseline.levels[metric], rel=0.01)
    assert both[-1].baseline
    assert both[-1].candidate
    assert both[-1].candidate.series_run < 0.5 * both[-1].baseline.series_run
