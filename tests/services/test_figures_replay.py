"""A made-up minute through the real collector: what each pipeline promises, it keeps.

Time is that of the data, so a minute takes a second. The host has births, exits, restarts, execs,
pids that are used again, and hogs; what left for a scrape is judged against the scrape.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from phoenix.pipelines import catalog, documents, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.testing import hosts, replay
from phoenix.testing.figures import Figures, Judge
from phoenix.testing.sightings import Reader

COLLECTOR = Path(
    os.environ.get("PHOENIX_COLLECTOR_BINARY")
    or Path(__file__).parents[2] / ".phoenix" / "collector" / "otelcol-phoenix"
)
INTERVAL_S = 2.0
SCRAPES = 30 if os.environ.get("PHOENIX_SOAK") != "full" else 1_800
SHARED = [
    name
    for name in catalog.names()
    if not catalog.load(name).demonstration and not catalog.load(name).changes_scrape
]
pytestmark = pytest.mark.collector


def document(name: str) -> dict[str, Any]:
    revision = render.arm(catalog.load(name), None, DEFAULT_CRITICAL, INTERVAL_S, fed=True)
    return documents.load(revision.config, name)


def budget(made: Mapping[str, Any]) -> Mapping[str, Any] | None:
    steps = made.get("processors", {}).items()
    return next((given for step, given in steps if step.split("/")[0] == "process_budget"), None)


def judged(name: str, host: hosts.Host, scrapes: int = SCRAPES) -> list[Figures]:
    before, after, judge = Reader(INTERVAL_S), Reader(INTERVAL_S), Judge(hosts.MEMORY_BYTES)
    found = []
    with replay.Arm(COLLECTOR, document(name), name) as arm:
        for _ in range(scrapes):
            body = host.scrape()
            arrived = before.read([Request.FromString(body)])
            found.append(judge.judge(arrived, after.read(arm.scrape(body)), INTERVAL_S))
    return found[1:]


@cache
def minute(name: str) -> list[Figures]:
    return judged(name, hosts.Host(11, interval_s=INTERVAL_S))


def same(pair: tuple[float, float]) -> bool:
    return math.isclose(*pair, rel_tol=1e-9, abs_tol=1e-6)


@pytest.mark.soak
@pytest.mark.parametrize("name", SHARED)
def test_every_critical_process_is_shown_as_far_as_the_budget_allows(name: str) -> None:
    given = budget(document(name)) or {}
    most = given.get("max_critical") or given.get("max_processes") or math.inf
    for figures in minute(name):
        assert figures.critical > 5
        assert figures.critical_shown >= min(figures.critical, most)


BUDGETED = [name for name in SHARED if budget(document(name)) is not None]
FINDS_HOGS = [
    name
    for name in SHARED
    if name in ("process-baseline-v1", "process-threshold-v1") or name in BUDGETED
]


@pytest.mark.soak
@pytest.mark.parametrize("name", FINDS_HOGS)
def test_no_hog_is_hidden(name: str) -> None:
    found = minute(name)
    assert sum(figures.cpu_hogs for figures in found) > SCRAPES / 10
    assert sum(figures.memory_hogs for figures in found) > SCRAPES / 10
    assert [figures.hidden for figures in found if figures.hidden] == []


@pytest.mark.soak
@pytest.mark.parametrize("name", BUDGETED)
def test_under_a_budget_everything_is_conserved_and_bounded_in_every_scrape(name: str) -> None:
    given = budget(document(name))
    assert given is not None
    host = hosts.Host(13, processes=150, births=40, execs=6, interval_s=INTERVAL_S)
    for figures in judged(name, host):
        assert 0 < figures.shown <= given["max_processes"]
        assert {"process.cpu.time", "process.disk.io"} <= figures.rises.keys()
        assert "process.memory.usage" in figures.levels
        assert [m for m, pair in figures.rises.items() if not same(pair)] == []
        assert [m for m, pair in figures.levels.items() if not same(pair)] == []


def test_sums_by_category_are_exact_while_no_process_executes_another_program() -> None:
    # A process that changes its category by exec counts twice or not at all: stock components know
    # a process by pid and category.
    host = hosts.Host(14, births=2, execs=0, interval_s=INTERVAL_S)
    for figures in judged("process-aggregated-v1", host, 30):
        assert [m for m, pair in figures.levels.items() if not same(pair)] == []
        assert [m for m, pair in figures.rises.items() if not same(pair)] == []


def test_the_same_scrapes_leave_the_same_figures() -> None:
    name = "process-threshold-v1"
    first = judged(name, hosts.Host(15, interval_s=INTERVAL_S), 15)
    assert judged(name, hosts.Host(15, interval_s=INTERVAL_S), 15) == first
