"""Scrapes go through a real collector as if they came live, and what leaves is told per scrape."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoenix.collectors import distribution
from phoenix.pipelines import catalog, documents, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.testing.otlp import FakeProcess, aged, collector_bytes, processes
from phoenix.testing.replay import Arm, ArmFailed, points
from phoenix.testing.streams import Streams
from phoenix.testing.truth import COUNTERS, Scrape, Truth

pytestmark = [pytest.mark.collector, pytest.mark.timeout(1200)]

DATA_DIR = Path(__file__).parents[2] / ".phoenix"
# A year ago: what looks at the clock must not notice.
BEGIN_NS = 1_760_000_000_000_000_000
STEP_NS = 10_000_000_000


def scrapes() -> list[bytes]:
    """Forty old processes, and in every scrape from the third on one that is new."""
    old = processes(40, seed=1, started_ns=BEGIN_NS)
    found = []
    for number in range(12):
        at_ns = BEGIN_NS + number * STEP_NS
        born = FakeProcess(pid=9000 + number, name="cc1", started_ns=at_ns - 10**9, cpu_s=1.5)
        found.append(collector_bytes([*old, *([born] if number > 1 else [])], at_ns))
        old = aged(old, 10)
    return found


def replayed(pipeline: str) -> tuple[list[Scrape], Streams, list[list[int]]]:
    """What was true, the streams that left, and the times that left for each scrape."""
    text = render.arm(catalog.load(pipeline), None, DEFAULT_CRITICAL, 10, fed=True).config
    truth, streams, times = Truth(), Streams(COUNTERS), []
    true = []
    with Arm(distribution.build(DATA_DIR), documents.load(text, pipeline), pipeline) as arm:
        for body in scrapes():
            left = arm.scrape(body)
            times.append([point.time_unix_nano for each in left for point in points(each)])
            for each in left:
                streams.fold(each)
            true.append(truth.fold(type(left[0]).FromString(body)))
    return true, streams, times


def test_what_leaves_belongs_to_its_scrape_and_has_the_times_of_the_recording() -> None:
    true, _, times = replayed("process-baseline-v1")
    for scrape, got in zip(true, times, strict=True):
        assert len(got) == 7 * scrape.processes
        assert min(got) == scrape.first_ns
        assert max(got) == scrape.last_ns


def test_groups_count_processes_born_during_an_old_recording_in_full() -> None:
    true, streams, _ = replayed("process-aggregated-v1")
    reached = sum(
        samples[-1][1]
        for key, samples in streams.of("process.cpu.time")
        if key.get("process.category") == "development"
    )
    born = sum(scrape.rises.get(("process.cpu.time", "cc1"), 0.0) for scrape in true)
    assert born == pytest.approx(10 * 2.0)
    assert reached == pytest.approx(born)


def test_a_collector_that_does_not_start_is_told_with_its_own_words() -> None:
    text = render.arm(catalog.load("process-baseline-v1"), None, (), 10, fed=True).config
    document = documents.load(text, "baseline")
    document["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = "127.0.0.1:not-a-port"
    with pytest.raises(ArmFailed, match="not-a-port"), Arm(distribution.build(DATA_DIR), document):
        raise AssertionError("it has started")
