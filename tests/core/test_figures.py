"""What is hidden, forgotten or lost is counted, and what is shown is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)

from phoenix.testing import hosts
from phoenix.testing.figures import Figures, Judge, recall
from phoenix.testing.sightings import Process, Reader, Who

INTERVAL_S = 10.0
SCRAPES = 20


def told(resource: object, key: str) -> object:
    for attribute in resource.attributes:  # type: ignore[attr-defined]
        if attribute.key == key:
            return attribute.value.string_value or attribute.value.int_value
    return None


def without(hidden: Callable[[str], bool], body: bytes) -> Request:
    request = Request.FromString(body)
    kept = [
        each
        for each in request.resource_metrics
        if not hidden(str(told(each.resource, "process.executable.name")))
    ]
    left = Request()
    left.resource_metrics.extend(kept)
    return left


def judged(hidden: Callable[[str], bool]) -> list[Figures]:
    host = hosts.Host(7, interval_s=INTERVAL_S)
    before, after = Reader(INTERVAL_S), Reader(INTERVAL_S, compress=True)
    judge = Judge(hosts.MEMORY_BYTES)
    found = []
    for _ in range(SCRAPES):
        body = host.scrape()
        arrived = before.read([Request.FromString(body)])
        found.append(judge.judge(arrived, after.read([without(hidden, body)]), INTERVAL_S))
    return found[1:]


def test_a_pipeline_that_hides_nobody_is_without_fault() -> None:
    for figures in judged(lambda name: False):
        assert figures.coverage == 1.0
        assert figures.cpu.strict == figures.memory.strict == 1.0
        assert figures.hidden == ()
        assert all(arrived == left for arrived, left in figures.rises.values())
        assert all(arrived == left for arrived, left in figures.levels.values())
        assert 0 < figures.wire_bytes < figures.raw_bytes
        assert figures.series == figures.points


def test_hidden_critical_processes_lower_the_coverage() -> None:
    found = judged(lambda name: name == "nginx")
    assert all(f.coverage is not None and f.coverage < 1 for f in found)
    assert all(0 < f.critical_shown < f.critical for f in found)


def test_hidden_hogs_are_counted_and_named() -> None:
    found = judged(lambda name: name in {"ffmpeg", "xz", "clamscan", "duckdb"})
    hidden = {name for f in found for _, name in f.hidden}
    assert hidden and hidden <= {"ffmpeg", "xz", "clamscan", "duckdb"}
    assert sum(f.memory_hogs for f in found) > 0
    assert sum(f.cpu_hogs for f in found) > 0
    assert min(f.cpu.share or 0.0 for f in found) < 1


def test_what_is_dropped_is_missing_in_the_totals() -> None:
    for figures in judged(lambda name: name == "postgres"):
        arrived, left = figures.levels["process.memory.usage"]
        assert left < arrived
    totals = [f.rises["process.disk.io"] for f in judged(lambda name: name == "postgres")]
    assert sum(left for _, left in totals) < sum(arrived for arrived, _ in totals)


def test_counters_that_are_only_repeated_do_not_show_their_process() -> None:
    request = Request.FromString(hosts.Host(7).scrape())
    for resource in request.resource_metrics[:3]:
        for scope in resource.scope_metrics:
            counters = [m for m in scope.metrics if not m.name.startswith("process.memory")]
            del scope.metrics[:]
            scope.metrics.extend(counters)
    seen = Reader(INTERVAL_S).read([request])
    assert len(seen.processes) == len(request.resource_metrics) - 3


def values(*used: float) -> dict[Who, float]:
    return {(n, f"p{n}"): value for n, value in enumerate(used, start=1)}


def shown(*pids: int) -> dict[Who, Process]:
    return {(pid, f"p{pid}"): Process(None, None) for pid in pids}


@pytest.mark.parametrize(
    ("tenth", "hits", "misses", "excused"), [(2.0, 9, 1, 0), (1.11, 9, 1, 0), (1.1, 9, 0, 1)]
)
def test_a_miss_within_the_margin_of_the_eleventh_is_excused(
    tenth: float, hits: int, misses: int, excused: int
) -> None:
    of = values(*[9.0] * 9, tenth, 1.0)
    got = recall(of, shown(*range(1, 10), 11))
    assert (got.hits, got.misses, got.excused) == (hits, misses, excused)
    assert got.strict == 0.9


def test_processes_that_used_nothing_are_not_among_the_top() -> None:
    got = recall(values(3.0, 0.0, 0.0), shown())
    assert (got.hits, got.misses, got.excused, got.share) == (0, 1, 0, 0.0)
    assert recall(values(0.0), shown()).share is None


def test_the_same_seed_makes_the_same_host() -> None:
    one, same, other = hosts.Host(3), hosts.Host(3), hosts.Host(4)
    first = [one.scrape() for _ in range(5)]
    assert [same.scrape() for _ in range(5)] == first
    assert [other.scrape() for _ in range(5)] != first
