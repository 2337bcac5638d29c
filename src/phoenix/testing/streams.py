"""What left a pipeline, as a backend sees it: streams, and what `increase` makes of them.

`Streams` collects the samples of every series of the counters asked for. `increase` is Prometheus's
own arithmetic (promql/functions.go, extrapolatedRate) taken apart, so that an error has a cause:

- *rise*: what the samples rose by, a fall counting the new value. A consumer that ignores first
  samples sees exactly this;
- *begin* and *end*: what is added because a stream does not reach the edge of the range. Within 1.1
  average intervals of an edge it is drawn out to it; further away by half an interval, at the
  beginning never below zero. So a stream of n samples that ends inside the range counts 0.5/(n-1)
  of its rise too much, and one that starts at zero nothing at its beginning.

A stream of one sample counts nothing. A test lets a real Prometheus agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

_CLOSE = 1.1

Sample = tuple[int, float]
"""Unix milliseconds and value."""


@dataclass(frozen=True, slots=True)
class Key:
    """What makes a series: metric, resource attributes, point attributes."""

    metric: str
    resource: frozenset[tuple[str, str]]
    point: frozenset[tuple[str, str]]

    def get(self, attribute: str) -> str:
        """An attribute of the resource or of the point, or the empty text."""
        return dict(self.resource | self.point).get(attribute, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Increase:
    """An increase and its parts; they add up to it."""

    rise: float = 0.0
    begin: float = 0.0
    end: float = 0.0

    @property
    def total(self) -> float:
        """What Prometheus answers."""
        return self.rise + self.begin + self.end

    def __add__(self, other: Increase) -> Increase:
        return Increase(
            rise=self.rise + other.rise,
            begin=self.begin + other.begin,
            end=self.end + other.end,
        )


class Streams:
    """The samples of every series of some counters, in order of arrival."""

    def __init__(self, metrics: Collection[str]) -> None:
        self._metrics = frozenset(metrics)
        self._samples: dict[Key, list[Sample]] = defaultdict(list)
        self._resources: dict[bytes, frozenset[tuple[str, str]]] = {}

    def fold(self, request: Request) -> None:
        """Take the samples of a request."""
        for resource in request.resource_metrics:
            wire = resource.resource.SerializeToString()
            of_resource = self._resources.get(wire)
            if of_resource is None:
                of_resource = frozenset(_pairs(resource.resource.attributes))
                self._resources[wire] = of_resource
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name not in self._metrics:
                        continue
                    for point in metric.sum.data_points:
                        key = Key(metric.name, of_resource, frozenset(_pairs(point.attributes)))
                        value = point.as_double or float(point.as_int)
                        at_ms = point.time_unix_nano // 1_000_000
                        self._samples[key].append((at_ms, value))

    def of(self, metric: str) -> Iterator[tuple[Key, Sequence[Sample]]]:
        """Every series of a metric."""
        return ((key, got) for key, got in self._samples.items() if key.metric == metric)

    def increase(self, metric: str, after_ms: int, until_ms: int) -> Increase:
        """The sum over all series of what Prometheus would answer for the range."""
        parts = (increase(got, after_ms, until_ms) for _, got in self.of(metric))
        return sum(parts, start=Increase())


def rises(samples: Sequence[Sample]) -> Iterator[tuple[int, float]]:
    """Time and rise of each sample but the first."""
    for (_, before), (at_ms, value) in pairwise(samples):
        yield at_ms, value - before if value >= before else value


def increase(samples: Sequence[Sample], after_ms: int, until_ms: int) -> Increase:
    """What `increase` makes of one stream over the range (after_ms, until_ms]."""
    inside = [one for one in samples if after_ms < one[0] <= until_ms]
    if len(inside) < 2:
        return Increase()
    rise = sum(rose for _, rose in rises(inside))
    first, last = inside[0], inside[-1]
    sampled = last[0] - first[0]
    average = sampled / (len(inside) - 1)
    begin, end = float(first[0] - after_ms), float(until_ms - last[0])
    if begin >= _CLOSE * average:
        begin = average / 2
    if rise > 0 and first[1] >= 0:
        begin = min(begin, sampled * first[1] / rise)
    if end >= _CLOSE * average:
        end = average / 2
    return Increase(rise=rise, begin=rise * begin / sampled, end=rise * end / sampled)


def _pairs(attributes: Iterable[KeyValue]) -> Iterator[tuple[str, str]]:
    for attribute in attributes:
        kind = attribute.value.WhichOneof("value")
        yield attribute.key, str(getattr(attribute.value, kind)) if kind else ""
