"""The yardstick: what processes used between scrapes, however they come, go and change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from phoenix.testing.otlp import FakeProcess, collector_bytes
from phoenix.testing.truth import Scrape, Truth

INTERVAL_S = 10.0
BEGIN_NS = 1_790_000_000_000_000_000
CPU, IO = "process.cpu.time", "process.disk.io"
OLD = FakeProcess(pid=7, name="nginx", started_ns=BEGIN_NS - 10**12, cpu_s=300.0, io_bytes=1000)


def at(number: int) -> int:
    return BEGIN_NS + int(number * INTERVAL_S * 1e9)


def folded(*scrapes: list[FakeProcess]) -> list[Scrape]:
    truth = Truth()
    return [
        truth.fold(Request.FromString(collector_bytes(found, at(number))))
        for number, found in enumerate(scrapes)
    ]


def cpu(scrape: Scrape) -> dict[str, float]:
    """User time; system time is a third of it in these scrapes."""
    return {
        name: pytest.approx(rise * 3 / 4)
        for (metric, name), rise in scrape.rises.items()
        if metric == CPU
    }


def test_what_an_older_process_used_before_the_first_scrape_does_not_count() -> None:
    first, second = folded([OLD], [replace(OLD, cpu_s=303.0, io_bytes=1300)])
    assert first.total(CPU) == 0
    assert cpu(second) == {"nginx": 3.0}
    assert second.total(IO) == 450  # half as much again is written
    assert (second.first_ns, second.processes) == (at(1), 1)


def test_an_older_process_that_a_scrape_missed_counts_what_it_used_since() -> None:
    later = folded([OLD], [], [replace(OLD, cpu_s=306.0)])[2]
    assert cpu(later) == {"nginx": 6.0}


def test_a_process_born_after_the_first_scrape_counts_in_full() -> None:
    born = FakeProcess(pid=8, name="cc1", started_ns=at(1) - 3 * 10**9, cpu_s=2.0)
    _, second = folded([OLD], [OLD, born])
    assert cpu(second) == {"nginx": 0.0, "cc1": 2.0}


def test_an_older_process_that_is_first_seen_later_counts_nothing_at_first() -> None:
    hidden = replace(OLD, pid=9, name="late")
    _, second, third = folded([OLD], [OLD, hidden], [OLD, replace(hidden, cpu_s=301.0)])
    assert cpu(second)["late"] == 0.0
    assert cpu(third)["late"] == 1.0


def test_exec_keeps_the_process_and_gives_the_rise_to_its_new_name() -> None:
    born = FakeProcess(pid=8, name="sh", started_ns=at(0) + 10**9, cpu_s=2.0)
    scrapes = folded([OLD], [OLD, born], [OLD, replace(born, name="java", cpu_s=5.0)])
    assert cpu(scrapes[2]) == {"nginx": 0.0, "java": 3.0}


def test_a_number_used_again_is_another_process() -> None:
    again = FakeProcess(pid=7, name="nginx", started_ns=at(0) + 10**9, cpu_s=299.0)
    _, second = folded([OLD], [again])
    assert cpu(second) == {"nginx": 299.0}
    more = FakeProcess(pid=7, name="nginx", started_ns=at(1) + 10**9, cpu_s=400.0)
    assert cpu(folded([OLD], [again], [more])[2]) == {"nginx": 400.0}


def test_a_fall_counts_the_new_value() -> None:
    _, second = folded([OLD], [replace(OLD, cpu_s=1.0)])
    assert cpu(second) == {"nginx": 1.0}
