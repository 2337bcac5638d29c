"""What processes really used between scrapes, by the stated rule, read from the raw scrapes alone.

The yardstick for everything that a pipeline or a backend makes of them, written a second time on
purpose: nothing here is shared with the meter (phoenix.measurement.increments) or with a processor.
The rule, for each counter of each process:

- a process is its pid and its start: a pid seen alive at some time is another process only if its
  start is later than that. Exec and a new name do not make a new process;
- the rise since its previous sample counts; a fall counts the new value;
- a first sample counts in full if the process started after the first scrape, and nothing if it is
  older, since most of that was used before anybody looked.

What no scrape saw is not in it: work between the last scrape and exit, and processes that lived
between two scrapes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics

COUNTERS = ("process.cpu.time", "process.disk.io")

Rises = Mapping[tuple[str, str], float]
"""By metric and name of the executable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """One scrape: when its first and last point were read, and what rose since the one before.

    Attributes:
        alive: the numbers of the processes that it shows, each with its start.
    """

    first_ns: int
    last_ns: int
    alive: Mapping[int, int]
    rises: Rises

    @property
    def processes(self) -> int:
        """How many it shows."""
        return len(self.alive)

    def total(self, metric: str) -> float:
        """Over all processes."""
        return sum(rise for (of, _), rise in self.rises.items() if of == metric)


@dataclass(slots=True)
class _Process:
    started_ns: int
    seen_ns: int
    values: dict[tuple[str, ...], float] = field(default_factory=dict)


class Truth:
    """Takes the scrapes of one host in order."""

    def __init__(self, metrics: Collection[str] = COUNTERS) -> None:
        self._metrics = frozenset(metrics)
        self._began_ns: int | None = None
        self._known: dict[int, _Process] = {}

    def fold(self, request: Request) -> Scrape:
        """What rose since the scrape before; nothing for the first one."""
        read = [
            (resource, metric)
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name in self._metrics
        ]
        at = [point.time_unix_nano for _, metric in read for point in metric.sum.data_points]
        earliest, latest = min(at, default=0), max(at, default=0)
        first = self._began_ns is None
        began = self._began_ns = earliest if self._began_ns is None else self._began_ns
        rises: dict[tuple[str, str], float] = defaultdict(float)
        alive = {}
        for resource, metric in read:
            pid, name = _who(resource)
            rises[metric.name, name] += self._one(pid, metric, began, first)
            alive[pid] = self._known[pid].started_ns
        return Scrape(first_ns=earliest, last_ns=latest, alive=alive, rises=dict(rises))

    def _one(self, pid: int, metric: Metric, began_ns: int, first: bool) -> float:
        total = 0.0
        for point in metric.sum.data_points:
            start, value = point.start_time_unix_nano, point.as_double or float(point.as_int)
            known = self._known.get(pid)
            if known is None or start > known.seen_ns:
                known = self._known[pid] = _Process(started_ns=start, seen_ns=0)
            known.seen_ns = max(known.seen_ns, point.time_unix_nano)
            key = (metric.name, *(a.value.string_value for a in point.attributes))
            before = known.values.get(key)
            known.values[key] = value
            if before is not None:
                total += value - before if value >= before else value
            elif not first and known.started_ns > began_ns:
                total += value
        return total


def _who(resource: ResourceMetrics) -> tuple[int, str]:
    pid, name = 0, ""
    for attribute in resource.resource.attributes:
        if attribute.key == "process.pid":
            pid = attribute.value.int_value
        elif attribute.key == "process.executable.name":
            name = attribute.value.string_value
    assert pid, "a raw scrape has one resource per process"
    return pid, name
