"""How the meter watches itself: counters for its /metrics, in a registry of its own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class MeterMetrics:
    """The meter's own metrics; see docs/reference/meter.md for their meaning."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "phoenix_meter_requests",
            "Requests by answer.",
            ["status"],
            registry=self.registry,
        )
        self.points = Counter(
            "phoenix_meter_points", "Data points counted.", ["arm"], registry=self.registry
        )
        self.dropped = Counter(
            "phoenix_meter_dropped_points",
            "Data points beyond the meter's bounds.",
            registry=self.registry,
        )
        self.wire_bytes = Counter(
            "phoenix_meter_wire_bytes", "Bytes of bodies as received.", registry=self.registry
        )
        self.raw_bytes = Counter(
            "phoenix_meter_raw_bytes", "Bytes of bodies once unpacked.", registry=self.registry
        )
        self.ticks = Counter(
            "phoenix_meter_ticks", "Closed ticks.", ["kind"], registry=self.registry
        )
        self.unwritten = Gauge(
            "phoenix_meter_unwritten_ticks",
            "Closed ticks waiting for the database.",
            registry=self.registry,
        )
        self.experiments = Gauge(
            "phoenix_meter_experiments", "Experiments being counted.", registry=self.registry
        )
        self.request_seconds = Histogram(
            "phoenix_meter_request_seconds",
            "Time to unpack, decode and count one request.",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
            registry=self.registry,
        )
