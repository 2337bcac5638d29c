"""How fast the meter counts, on one core, beside the naive walk over the official decoder.

    python bench/meter.py [--seconds 2]

Payloads are scrapes as the collector writes them (seven points a process, values and times move,
every name stays), 200 and 1,500 processes, each scrape later than the one before. Figures are
points per CPU second of this process, the median of the rounds, with the slowest and the fastest
tenth. "Cold" is the first sight of every process, where the shape cache cannot help.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from phoenix.measurement.compression import unpack
from phoenix.measurement.experiment import ExperimentMeter
from phoenix.measurement.model import ARMS, Subscription
from phoenix.measurement.otlp import Decoder
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.testing.otlp import aged, collector_bytes, processes

_START_NS = 1_800_000_000_000_000_000
_SCRAPES = 20


def naive(body: bytes, seen: set[object]) -> int:
    """The walk that everybody writes first: decode, then tuples of attributes as keys."""
    points = 0
    for rm in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        resource = tuple((a.key, str(a.value)) for a in rm.resource.attributes)
        for sm in rm.scope_metrics:
            for metric in sm.metrics:
                for point in metric.sum.data_points:
                    points += 1
                    attributes = tuple((a.key, a.value.string_value) for a in point.attributes)
                    seen.add((resource, sm.scope.name, metric.name, attributes))
    return points


def counted(decoder: Decoder, body: bytes, seen: set[int]) -> int:
    """The counting path: decode and count points and distinct series."""
    points = 0
    for block in decoder.protobuf(body):
        points += len(block.times)
        seen.update(block.layout.ids)
    return points


Rate = tuple[float, float, float]


def spread(rates: list[float]) -> Rate:
    """Median, slowest tenth, fastest tenth."""
    median, slow, fast = np.percentile(rates, [50, 10, 90])
    return float(median), float(slow), float(fast)


def rate_of(once: Callable[[], int], seconds: float) -> Rate:
    """Points per CPU second of a function that returns how many points it handled."""
    rates: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(rates) < 5:
        began = time.process_time()
        points = once()
        rates.append(points / (time.process_time() - began))
    return spread(rates)


def measure(count: int, seconds: float) -> dict[str, Rate]:
    """Every path over the same scrapes of `count` processes."""
    host = processes(count, seed=7, started_ns=_START_NS)
    plain = [collector_bytes(aged(host, float(i)), _START_NS + i * 10**9) for i in range(_SCRAPES)]
    packed = [gzip.compress(body, 6) for body in plain]
    decoder = Decoder()
    naive_seen: set[object] = set()
    seen: set[int] = set()
    at = 0

    def next_of(bodies: list[bytes]) -> bytes:
        nonlocal at
        at += 1
        return bodies[at % _SCRAPES]

    points = naive(plain[0], naive_seen)
    assert counted(decoder, plain[0], seen) == points == 7 * count
    assert len(seen) == len(naive_seen)
    paths: dict[str, Callable[[], int]] = {
        "naive walk, plain": lambda: naive(next_of(plain), naive_seen),
        "naive walk, zlib gunzip": lambda: naive(zlib.decompress(next_of(packed), 31), naive_seen),
        "counting, plain": lambda: counted(decoder, next_of(plain), seen),
        "counting, gzip": lambda: counted(decoder, unpack(next_of(packed), "gzip"), seen),
        "counting, cold": lambda: counted(Decoder(), next_of(plain), seen),
        "gunzip alone, ISA-L": lambda: points * bool(unpack(next_of(packed), "gzip")),
        "gunzip alone, zlib": lambda: points * bool(zlib.decompress(next_of(packed), 31)),
    }
    results = {name: rate_of(once, seconds) for name, once in paths.items()}
    results["whole tick, gzip, both arms"] = whole_ticks(packed, points)
    return results


def whole_ticks(packed: list[bytes], points: int) -> Rate:
    """Two arms through everything: gunzip, decode, count, critical, totals, top K, tick closed."""
    rates: list[float] = []
    for _ in range(3):
        subscription = Subscription(
            experiment_id="exp-bench000",
            interval_s=1.0,
            critical=DEFAULT_CRITICAL,
            token_sha256={},
            states={},
            created_at=datetime(2027, 1, 1, tzinfo=UTC),
        )
        meter = ExperimentMeter(subscription, now_ns=_START_NS)
        for number, body in enumerate(packed):
            arrived_ns = _START_NS + number * 10**9 + 2 * 10**8
            began = time.process_time()
            for arm in ARMS:
                raw = unpack(body, "gzip")
                meter.accept(
                    arm,
                    meter.decoders[arm].protobuf(raw),
                    raw_bytes=len(raw),
                    wire_bytes=len(body),
                    arrived_ns=arrived_ns,
                )
            closed = meter.close_due(arrived_ns + 10**9)
            spent = time.process_time() - began
            assert [one.excluded for one in closed] == [None]
            assert closed[0].baseline is not None and closed[0].baseline.points == points
            if number:  # the first is cold
                rates.append(2 * points / spent)
    return spread(rates)


def page_faults() -> None:
    """Where the time goes when unpacking and counting take turns."""
    import resource

    host = processes(1500, seed=7, started_ns=_START_NS)
    packed = gzip.compress(collector_bytes(host, _START_NS), 6)
    plain = unpack(packed, "gzip")
    decoder, seen = Decoder(), set[int]()
    counted(decoder, plain, seen)
    for name, act in (
        ("count one body again and again", lambda: counted(decoder, plain, seen)),
        ("gunzip (zlib), drop", lambda: zlib.decompress(packed, 31)),
        ("gunzip (ISA-L), drop", lambda: unpack(packed, "gzip")),
        ("gunzip (ISA-L), count", lambda: counted(decoder, unpack(packed, "gzip"), seen)),
    ):
        before = resource.getrusage(resource.RUSAGE_SELF)
        began = time.process_time()
        for _ in range(30):
            act()
        spent = (time.process_time() - began) / 30
        after = resource.getrusage(resource.RUSAGE_SELF)
        faults = (after.ru_minflt - before.ru_minflt) / 30
        system = (after.ru_stime - before.ru_stime) / 30
        print(
            f"  {name:32} {spent * 1e3:7.2f} ms  {faults:7.0f} page faults  "
            f"{system * 1e3:6.2f} ms in the kernel"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="per path")
    seconds = parser.parse_args().seconds
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for count in (200, 1500):
        results = measure(count, seconds)
        base = results["naive walk, plain"][0]
        print(f"\n{count} processes, {7 * count} points a scrape: points per CPU second")
        for name, (median, slow, fast) in results.items():
            print(
                f"  {name:32} {median:12,.0f}  ({slow:,.0f} to {fast:,.0f})  x {median / base:.1f}"
            )
    print("\nOne scrape of 1,500 processes, per repetition:")
    page_faults()


if __name__ == "__main__":
    main()
