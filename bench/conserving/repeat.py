"""What if a stream that ended went on for a while? Tried on what leaves, not in a collector.

`increase()` adds half an average interval at the end of a stream. Repeating the last value makes
the average rise smaller, and a stream that is repeated up to the edge has no end at all. No
processor does this; the measurement says what it would be worth and what it would cost.
"""

from __future__ import annotations

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest as Request,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics


class Repeater:
    """Adds to each request what left in the scrapes before it and is missing from it.

    Args:
        scrapes: for how many scrapes a stream goes on after its last one.
    """

    def __init__(self, scrapes: int) -> None:
        self._scrapes = scrapes
        self._last: dict[tuple[bytes, str], tuple[int, ResourceMetrics]] = {}
        self._number = 0
        self._points = 0

    @property
    def points(self) -> float:
        """The points that were added to a scrape, on average."""
        return self._points / max(1, self._number)

    def fold(self, request: Request, at_ns: int) -> None:
        """Add what is missing, as of `at_ns`, Unix nanoseconds."""
        self._number += 1
        for resource in request.resource_metrics:
            identity = resource.resource.SerializeToString()
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kept = ResourceMetrics(resource=resource.resource)
                    kept.scope_metrics.add().metrics.add().CopyFrom(metric)
                    self._last[identity, metric.name] = self._number, kept
        for key, (number, kept) in list(self._last.items()):
            if number == self._number:
                continue
            if self._number - number > self._scrapes:
                del self._last[key]
                continue
            again = request.resource_metrics.add()
            again.CopyFrom(kept)
            for point in again.scope_metrics[0].metrics[0].sum.data_points:
                point.time_unix_nano = at_ns
                self._points += 1
