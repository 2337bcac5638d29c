"""What one scrape shows, read as the meter reads it: processes, series, sums, by category if told.

A `Reader` takes the scrapes of one stream in order: the recorded ones, or what left a pipeline for
them. Series, levels and counters are those of phoenix.measurement, and what counters rose by is its
rule (phoenix.measurement.increments); this only keeps apart what the meter adds up.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics

from phoenix.measurement.increments import Increments
from phoenix.measurement.otlp import Block, Decoder, Layout

CPU = "process.cpu.time"
MEMORY = "process.memory.usage"
_CATEGORY = "process.category"
_GZIP = 31  # zlib's way of saying: with a gzip header
_LEVEL = 6  # what gzip and the collector's exporters use unless told otherwise

Who = tuple[int, str]
"""Pid and name of the executable: who a process is to somebody who reads a chart."""


@dataclass(slots=True)
class Process:
    """One process in one scrape: CPU seconds since the scrape before, and resident bytes."""

    path: str | None
    owner: str | None
    cpu_s: float = 0.0
    memory_bytes: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One scrape.

    Attributes:
        at_ns: the earliest time of a point; 0 when nothing came.
        processes: those that are told by name and pid, with something that they hold now. Counters
            alone do not show a process: they may be repeated for one that is gone.
        series: numbers that stand for the series of the scrape.
        raw_bytes, wire_bytes: OTLP protobuf, and the same with gzip.
        rises: per metric, category and executable, what counters rose by since the scrape before;
            empty text for what is not told.
        levels: per metric, the sum of what is not a counter.
    """

    at_ns: int
    processes: Mapping[Who, Process]
    series: frozenset[int]
    points: int
    raw_bytes: int
    wire_bytes: int
    rises: Mapping[tuple[str, str, str], float]
    levels: Mapping[str, float]

    def rise(self, metric: str) -> float | None:
        """Over everything; None when the metric has no counter here."""
        of = [rise for (name, _, _), rise in self.rises.items() if name == metric]
        return sum(of) if of else None


class Reader:
    """Reads the scrapes of one stream in order.

    Args:
        interval_s: between two scrapes.
        compress: work out `wire_bytes`, which takes longer than all the rest.
    """

    def __init__(self, interval_s: float, *, compress: bool = False) -> None:
        self._decoder = Decoder()
        self._increments = _PerBlock(interval_s)
        self._compress = compress
        self._categories: dict[int, tuple[Layout, tuple[str, ...]]] = {}
        self._scrape = 0

    def read(self, requests: Iterable[Request]) -> Seen:
        """The next scrape: what left for it, in one request or several."""
        self._scrape += 1
        blocks: list[tuple[str, Block]] = []
        raw = wire = 0
        for request in requests:
            body = request.SerializeToString()
            raw += len(body)
            if self._compress:
                wire += len(zlib.compress(body, _LEVEL, _GZIP))
            read = self._decoder.protobuf(body)
            for resource, block in zip(request.resource_metrics, read, strict=True):
                blocks += self._by_category(resource, block)
        times = [at for _, block in blocks for at in block.times]
        earliest = min(times, default=0)
        each: list[dict[str, float]] = []
        if blocks:
            each = self._increments.of_each(self._scrape, earliest, [block for _, block in blocks])
        rises: dict[tuple[str, str, str], float] = defaultdict(float)
        levels: dict[str, float] = defaultdict(float)
        processes: dict[Who, Process] = {}
        for (category, block), rise in zip(blocks, each, strict=True):
            who = block.layout.resource
            for metric, amount in rise.items():
                rises[metric, category, who.name or ""] += amount
            held = _levels(block)
            for metric, amount in held.items():
                levels[metric] += amount
            if who.pid is not None and who.name is not None and held:
                process = processes.setdefault((who.pid, who.name), Process(who.path, who.owner))
                process.cpu_s += rise.get(CPU, 0.0)
                process.memory_bytes += held.get(MEMORY, 0.0)
        return Seen(
            at_ns=earliest,
            processes=processes,
            series=frozenset(one for _, block in blocks for one in block.layout.ids),
            points=len(times),
            raw_bytes=raw,
            wire_bytes=wire,
            rises=dict(rises),
            levels=dict(levels),
        )

    def _by_category(self, resource: ResourceMetrics, block: Block) -> Iterator[tuple[str, Block]]:
        """The block in one part for each category that it tells."""
        known = self._categories.get(id(block.layout))
        if known is None:  # the layout is kept, so that no other gets its number
            told = tuple(_categories(resource))
            known = self._categories[id(block.layout)] = (block.layout, told)
        categories = known[1]
        distinct = set(categories)
        if len(distinct) <= 1:
            yield categories[0] if categories else "", block
            return
        for category in sorted(distinct):
            mine = [i for i, c in enumerate(categories) if c == category]
            yield category, block.only(mine, distinct=block.layout.distinct)


class _PerBlock(Increments):
    """The meter's increments, with the share of each block."""

    def of_each(self, scrape: int, earliest_ns: int, blocks: list[Block]) -> list[dict[str, float]]:
        self._each: list[dict[str, float]] = []
        self.fold(scrape, earliest_ns, blocks)
        return self._each

    def _one(
        self, block: Block, tick: int, born_after: int, reset_after: int, first: bool
    ) -> dict[str, float]:
        rises = super()._one(block, tick, born_after, reset_after, first)
        self._each.append(rises)
        return rises


def _levels(block: Block) -> dict[str, float]:
    found: dict[str, float] = {}
    for index, metric in block.layout.levels:
        found[metric] = found.get(metric, 0.0) + (block.values[index] or 0.0)
    return found


def _categories(resource: ResourceMetrics) -> Iterator[str]:
    """The category of each point, in the order of the decoder."""
    of_all = _told(resource.resource.attributes)
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points if kind else ():
                yield of_all or _told(point.attributes)


def _told(attributes: Iterable[KeyValue]) -> str:
    return next((a.value.string_value for a in attributes if a.key == _CATEGORY), "")
