"""Totals survive process_budget and a real Prometheus: what leaves adds up to what was used.

A made-up host with births, exits, restarts, execs and pids that are used again goes through the
real collector into a real Prometheus 3, whose answers are held against what the raw scrapes say.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from phoenix.collectors import distribution
from phoenix.pipelines import catalog, documents, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.testing import hosts, replay
from phoenix.testing.prometheus import Prometheus
from phoenix.testing.streams import Streams, rises
from phoenix.testing.truth import COUNTERS, Truth

DATA_DIR = Path(__file__).parents[2] / ".phoenix"
INTERVAL_S = 10.0
SCRAPES = 60 if os.environ.get("PHOENIX_SOAK") != "full" else 360
# Prometheus takes nothing that is more than ten minutes ahead; the made-up host is.
LONG_AGO_NS = 100_000_000_000_000_000
PROMQL = {
    "process.cpu.time": "process_cpu_time_seconds_total",
    "process.disk.io": "process_disk_io_bytes_total",
}
REMAINDER = '{process_pid="",process_slot="",process_category!=""}'
BUDGETED = [name for name in catalog.names() if "process_budget:" in catalog.load(name).template]

pytestmark = [
    pytest.mark.collector,
    pytest.mark.prometheus,
    pytest.mark.soak,
    pytest.mark.timeout(1200),
]


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was true, what left, and a Prometheus that has it."""

    true: dict[str, float]
    streams: Streams
    prometheus: Prometheus
    after_ms: int
    until_ms: int

    def asked(self, function: str, metric: str, selector: str = "", modifier: str = "") -> float:
        span = f"[{self.until_ms - self.after_ms}ms]"
        query = f"sum({function}({PROMQL[metric]}{selector}{span}{modifier}))"
        return self.prometheus.total(query, at_s=self.until_ms / 1e3)


def replayed(name: str, slots: bool) -> Iterator[Replayed]:
    given = {"slots": True} if slots else None
    text = render.arm(catalog.load(name), given, DEFAULT_CRITICAL, INTERVAL_S, fed=True).config
    host, truth, streams = hosts.Host(11), Truth(), Streams(COUNTERS)
    with (
        replay.Arm(distribution.build(DATA_DIR), documents.load(text, name), name) as arm,
        Prometheus(DATA_DIR) as prometheus,
    ):
        scrapes = []
        for _ in range(SCRAPES):
            scrape = Request.FromString(host.scrape())
            replay.move(scrape, -LONG_AGO_NS)
            scrapes.append(truth.fold(scrape))
            for left in arm.scrape(scrape.SerializeToString()):
                prometheus.take(left)
                streams.fold(left)
        yield Replayed(
            {metric: sum(s.total(metric) for s in scrapes) for metric in COUNTERS},
            streams,
            prometheus,
            scrapes[0].first_ns // 1_000_000 - 1,
            scrapes[-1].last_ns // 1_000_000 + 1,
        )


@pytest.fixture(scope="module", params=[(n, s) for n in BUDGETED for s in (False, True)], ids=str)
def budgeted(request: pytest.FixtureRequest) -> Iterator[Replayed]:
    yield from replayed(*request.param)


@pytest.fixture(scope="module")
def raw() -> Iterator[Replayed]:
    yield from replayed("process-baseline-v1", slots=False)


@pytest.mark.parametrize("metric", COUNTERS)
def test_totals_are_exact_for_whoever_takes_differences(budgeted: Replayed, metric: str) -> None:
    true = budgeted.true[metric]
    assert true > 0
    assert budgeted.asked("increase", metric, modifier=" anchored") == pytest.approx(true, rel=1e-9)


@pytest.mark.parametrize("metric", COUNTERS)
def test_increase_is_off_by_what_prometheus_adds_at_ends_and_nothing_else(
    budgeted: Replayed, metric: str
) -> None:
    reckoned = budgeted.streams.increase(metric, budgeted.after_ms, budgeted.until_ms)
    assert budgeted.asked("increase", metric) == pytest.approx(reckoned.total, rel=1e-9)
    assert reckoned.rise == pytest.approx(budgeted.true[metric], rel=1e-9)
    assert reckoned.begin == 0
    assert reckoned.end >= 0


@pytest.mark.parametrize("metric", COUNTERS)
def test_remainders_never_fall_and_are_exact_in_plain_increase(
    budgeted: Replayed, metric: str
) -> None:
    folded = [
        samples
        for key, samples in budgeted.streams.of(metric)
        if not key.get("process.pid") and not key.get("process.slot")
    ]
    assert all(len(samples) == SCRAPES for samples in folded)
    assert budgeted.asked("resets", metric, REMAINDER) == 0
    rose = sum(rise for samples in folded for _, rise in rises(samples))
    # The range is 2 ms longer than the samples reach.
    assert budgeted.asked("increase", metric, REMAINDER) == pytest.approx(rose, rel=1e-4)
    assert rose > 0


def test_raw_counters_lose_what_processes_used_before_they_were_first_seen(raw: Replayed) -> None:
    lost = raw.asked("increase", "process.cpu.time", modifier=" anchored")
    assert lost < 0.95 * raw.true["process.cpu.time"]


JOIN = (
    'sum by (process_slot) (rate(process_cpu_time_seconds_total{process_slot!=""}[1m]))'
    " * on (process_slot) group_left (process_executable_name) process_slot_info"
)


def test_the_name_behind_a_slot_can_be_joined_at_any_time(
    budgeted: Replayed, request: pytest.FixtureRequest
) -> None:
    _, slots = request.node.callspec.params["budgeted"]
    span_s = (budgeted.until_ms - budgeted.after_ms) / 1e3
    for part in range(2, 10):
        # Were a former holder still shown beside the present one, this would be refused.
        found = budgeted.prometheus.ask(JOIN, at_s=budgeted.after_ms / 1e3 + span_s * part / 9)
        assert bool(found) == slots
        assert all(each.labels["process_executable_name"] for each in found)
