"""How fast the meter counts, on one core, beside the naive walk over the official decoder.

    python bench/meter.py [--rounds 30]

Payloads are scrapes as the collector writes them (seven points a process, values and times move,
every name stays), 200 and 1,500 processes, each scrape later than the one before. Figures are
points per CPU second of this process: the median over the rounds, with the slowest and the fastest
tenth. All paths take turns within a round, so that a busy neighbour slows them alike; measured one
after the other they differ by the minute they ran in, and parts seem not to add up. "Cold" is the
first sight of every process, where the shape cache cannot help.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import struct
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
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
    request: Any = ExportMetricsServiceRequest.FromString(body)
    for rm in request.resource_metrics:
        resource = tuple((a.key, str(a.value)) for a in rm.resource.attributes)
        for sm in rm.scope_metrics:
            for metric in sm.metrics:
                for point in metric.sum.data_points:
                    points += 1
                    attributes = tuple((a.key, a.value.string_value) for a in point.attributes)
                    seen.add((resource, sm.scope.name, metric.name, attributes))
    return points


def _lazy_schema() -> Any:
    """The request with resources and points as bytes: the fastest reading without a cache."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="lazy.proto", package="lazy", syntax="proto3")
    shapes = {
        "Points": [("data_points", 1, None, True)],
        "Metric": [("name", 1, None, False), ("sum", 7, "Points", False)],
        "Scope": [("scope", 1, None, False), ("metrics", 2, "Metric", True)],
        "Resource": [("resource", 1, None, False), ("scope_metrics", 2, "Scope", True)],
        "Request": [("resource_metrics", 1, "Resource", True)],
    }
    for name, fields in shapes.items():
        message = file.message_type.add(name=name)
        for field, number, of, repeated in fields:
            added = message.field.add(name=field, number=number, type=kinds.TYPE_BYTES)
            added.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if of is not None:
                added.type = kinds.TYPE_MESSAGE
                added.type_name = f".lazy.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("lazy.Request"))


_LAZY = _lazy_schema()
_HEAD = struct.Struct("<BdBQBQ")


def lazy(body: bytes, seen: set[object]) -> int:
    """The lazy schema: decode less, read a point's head with struct, keep raw bytes as keys."""
    points = 0
    for rm in _LAZY.FromString(body).resource_metrics:
        resource = rm.resource
        for sm in rm.scope_metrics:
            for metric in sm.metrics:
                name = metric.name
                for point in metric.sum.data_points:
                    _HEAD.unpack_from(point)
                    seen.add((resource, name, point[27:]))
                    points += 1
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


def in_turns(paths: dict[str, Callable[[], int]], rounds: int) -> dict[str, Rate]:
    """Points per CPU second of functions that return how many points they handled."""
    rates: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, once in paths.items():
            once()  # what ran before leaves the caches to another path
            began = time.process_time()
            points = once()
            rates[name].append(points / (time.process_time() - began))
    return {name: spread(found) for name, found in rates.items()}


def measure(count: int, rounds: int) -> dict[str, Rate]:
    """Every path over the same scrapes of `count` processes."""
    host = processes(count, seed=7, started_ns=_START_NS)
    plain = [collector_bytes(aged(host, float(i)), _START_NS + i * 10**9) for i in range(_SCRAPES)]
    packed = [gzip.compress(body, 6) for body in plain]
    decoder, unsettled = Decoder(), Decoder(settle=lambda: None)
    naive_seen: set[object] = set()
    lazy_seen: set[object] = set()
    seen: set[int] = set()
    at = 0

    def next_of(bodies: list[bytes]) -> bytes:
        nonlocal at
        at += 1
        return bodies[at % _SCRAPES]

    points = naive(plain[0], naive_seen)
    assert counted(decoder, plain[0], seen) == points == 7 * count
    assert lazy(plain[0], lazy_seen) == points
    assert len(seen) == len(naive_seen)
    paths: dict[str, Callable[[], int]] = {
        "naive walk, plain": lambda: naive(next_of(plain), naive_seen),
        "naive walk, zlib gunzip": lambda: naive(zlib.decompress(next_of(packed), 31), naive_seen),
        "lazy schema, plain": lambda: lazy(next_of(plain), lazy_seen),
        "lazy schema, zlib gunzip": lambda: lazy(zlib.decompress(next_of(packed), 31), lazy_seen),
        "counting, plain": lambda: counted(decoder, next_of(plain), seen),
        "counting, gzip": lambda: counted(decoder, unpack(next_of(packed), "gzip"), seen),
        "counting, gzip, not settled": lambda: counted(
            unsettled, unpack(next_of(packed), "gzip"), seen
        ),
        "counting, cold": lambda: counted(Decoder(), next_of(plain), seen),
        "gunzip alone, ISA-L": lambda: points * bool(unpack(next_of(packed), "gzip")),
        "gunzip alone, zlib": lambda: points * bool(zlib.decompress(next_of(packed), 31)),
    }
    results = in_turns(paths, rounds)
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


def add_up(results: dict[str, Rate]) -> None:
    """Does unpacking and counting together take what its parts take?"""
    for name, whole, unpacked in (
        ("lazy schema", "lazy schema, zlib gunzip", "gunzip alone, zlib"),
        ("counting", "counting, gzip, not settled", "gunzip alone, ISA-L"),
        ("counting", "counting, gzip", "gunzip alone, ISA-L"),
    ):
        parts = 1 / results[f"{name}, plain"][0] + 1 / results[unpacked][0]
        print(
            f"  {whole}: the parts make {1 / parts:,.0f} points/s, "
            f"measured {results[whole][0]:,.0f} ({results[whole][0] * parts:.0%})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for count in (200, 1500):
        results = measure(count, rounds)
        base = results["naive walk, plain"][0]
        print(f"\n{count} processes, {7 * count} points a scrape: points per CPU second")
        for name, (median, slow, fast) in results.items():
            print(
                f"  {name:30}{median:12,.0f}  ({slow:,.0f} to {fast:,.0f})"
                f"  {median / base:5.1f} x naive"
            )
        add_up(results)


if __name__ == "__main__":
    main()
