"""What an arm emitted, described: which resources with which points, and in how many ticks.

Counts say how much an arm emits; whether an alert still answers depends on what it is. So every
block is described when its layout is learned (not again for each scrape), and the description is
counted once a tick in which both arms were there. Processes of a kind share the description of
their points, so that a process costs a few hundred bytes.

Values of points are not part of it, and command lines are never kept: of their attributes only the
names are, so that who asks for them can be told that they are there.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics

Kind = Literal["counter", "gauge", "sum", "histogram", "native_histogram", "summary"]
"""`counter` is a monotonic sum, `sum` one that is not; `native_histogram` an exponential one."""
Labels = tuple[tuple[str, str], ...]
"""Names and values, in order of name."""

RESOURCES_MAX: Final = 20_000
"""Resources of one arm that are listed; one more is counted, unless a listed one differs from it
in its pid only."""
NEVER_KEPT: Final = ("process.command", "process.title")
"""Attributes that begin so may hold secrets: their values are not kept."""
_VALUE_MAX: Final = 512
_SHARED_MAX: Final = 4096
_OF_A_PID: Final = frozenset({"process.pid", "process.parent_pid"})
_DELTA: Final = 1


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a metric, without its value: what tells a series of a resource apart.

    `bounds` are those of a histogram's buckets or a summary's quantiles, as Prometheus writes them.
    """

    metric: str
    unit: str
    kind: Kind
    attributes: Labels
    delta: bool = False
    bounds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Emitted:
    """One resource of one arm and its points, and in how many ticks they came."""

    resource: Labels
    points: tuple[Point, ...]
    ticks: int
    withheld: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Described:
    """A block without its numbers. It is looked up in every tick, so its key is made once: equal
    blocks have equal keys."""

    resource: Labels
    withheld: frozenset[str]
    points: tuple[Point, ...]
    key: int


def describing(resource: Labels, withheld: frozenset[str], points: tuple[Point, ...]) -> Described:
    """A description with its key, which holds in this process only."""
    return Described(resource, withheld, points, hash((resource, withheld, points)))


_shared: dict[tuple[object, ...], tuple[Point, ...]] = {}


def described(block: ResourceMetrics, signature: tuple[object, ...]) -> Described:
    """What a block is, without its numbers.

    Args:
        signature: what tells its points apart: names, units and attributes in canonical bytes.
    """
    resource: list[tuple[str, str]] = []
    withheld: list[str] = []
    for attribute in block.resource.attributes:
        key = attribute.key
        if key.startswith(NEVER_KEPT):
            withheld.append(key)
        else:
            resource.append((key, text_of(attribute.value)))
    resource.sort()
    shared = _shared.get(signature)
    if shared is None:
        if len(_shared) >= _SHARED_MAX:
            _shared.clear()
        shared = _shared[signature] = _points(block)
    return describing(tuple(resource), frozenset(withheld), shared)


def text_of(value: AnyValue) -> str:
    """An attribute's value as a label's text; what is no scalar is JSON, as exporters write it."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value[:_VALUE_MAX]
        case "int_value":
            return str(value.int_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "double_value":
            return f"{value.double_value:.17g}"
        case "bytes_value":
            return value.bytes_value.hex()[:_VALUE_MAX]
        case "array_value" | "kvlist_value":
            return json.dumps(_plain(value), separators=(",", ":"), sort_keys=True)[:_VALUE_MAX]
    return ""


class Catalogue:
    """What one arm has emitted so far, within a bound."""

    def __init__(
        self,
        known: Iterable[Emitted] = (),
        *,
        unlisted: int = 0,
        last_tick: int | None = None,
    ) -> None:
        self._listed: dict[int, Described] = {}
        self._ticks: dict[int, int] = {}
        for each in known:
            one = describing(each.resource, each.withheld, each.points)
            self._listed[one.key], self._ticks[one.key] = one, each.ticks
        self._kinds = {_kind_of(one) for one in self._listed.values()}
        self.unlisted = unlisted
        self.last_tick = last_tick

    def saw(self, tick: int, blocks: Iterable[Described | None]) -> None:
        """One tick's blocks; None is one that was cut up and came before."""
        self.last_tick = tick
        ticks = self._ticks
        for key, one in {block.key: block for block in blocks if block is not None}.items():
            if key in ticks:
                ticks[key] += 1
            elif len(ticks) < RESOURCES_MAX:
                ticks[key] = 1
                self._listed[key] = one
                self._kinds.add(_kind_of(one))
            elif _kind_of(one) not in self._kinds:
                self.unlisted += 1

    def all(self) -> list[Emitted]:
        """Everything listed."""
        return [
            Emitted(one.resource, one.points, self._ticks[key], one.withheld)
            for key, one in list(self._listed.items())
        ]

    def packed(self) -> bytes:
        """Everything, for the database: compressed JSON in which points are told once."""
        places: dict[tuple[Point, ...], int] = {}
        rows = []
        # In one step: another thread may count meanwhile.
        for key, one in list(self._listed.items()):
            place = places.setdefault(one.points, len(places))
            rows.append([one.resource, sorted(one.withheld), place, self._ticks[key]])
        shapes = [
            [[p.metric, p.unit, p.kind, p.attributes, p.delta, p.bounds] for p in points]
            for points in places
        ]
        body = {
            "points": shapes,
            "resources": rows,
            "unlisted": self.unlisted,
            "last_tick": self.last_tick,
        }
        return zlib.compress(orjson.dumps(body), 1)

    @classmethod
    def unpacked(cls, packed: bytes) -> Catalogue:
        """What `packed` wrote."""
        body: Mapping[str, Any] = orjson.loads(zlib.decompress(packed))
        shapes = [
            tuple(
                Point(metric, unit, kind, _labels(attributes), delta, tuple(bounds))
                for metric, unit, kind, attributes, delta, bounds in shape
            )
            for shape in body["points"]
        ]
        return cls(
            (
                Emitted(_labels(resource), shapes[place], ticks, frozenset(withheld))
                for resource, withheld, place, ticks in body["resources"]
            ),
            unlisted=body["unlisted"],
            last_tick=body["last_tick"],
        )


def _labels(pairs: Iterable[Iterable[str]]) -> Labels:
    return tuple((key, value) for key, value in pairs)


def _kind_of(one: Described) -> tuple[object, ...]:
    """What a block shares with those of other processes of the same program."""
    return (tuple(pair for pair in one.resource if pair[0] not in _OF_A_PID), one.points)


def _points(block: ResourceMetrics) -> tuple[Point, ...]:
    """The points of a block, in its order."""
    found: list[Point] = []
    for scope in block.scope_metrics:
        for metric in scope.metrics:
            which = metric.WhichOneof("data")
            if which is not None:
                found += (_point(metric, point) for point in getattr(metric, which).data_points)
    return tuple(found)


def _point(metric: Metric, point: Any) -> Point:
    which = metric.WhichOneof("data")
    delta = False
    bounds: tuple[str, ...] = ()
    kind: Kind = "gauge"
    match which:
        case "sum":
            kind = "counter" if metric.sum.is_monotonic else "sum"
            delta = metric.sum.is_monotonic and metric.sum.aggregation_temporality == _DELTA
        case "histogram":
            kind = "histogram"
            delta = metric.histogram.aggregation_temporality == _DELTA
            bounds = tuple(f"{bound:g}" for bound in point.explicit_bounds)
        case "exponential_histogram":
            kind = "native_histogram"
            delta = metric.exponential_histogram.aggregation_temporality == _DELTA
        case "summary":
            kind = "summary"
            bounds = tuple(f"{each.quantile:g}" for each in point.quantile_values)
    attributes = sorted((each.key, text_of(each.value)) for each in point.attributes)
    return Point(metric.name, metric.unit, kind, tuple(attributes), delta, bounds)


def _plain(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case "array_value":
            return [_plain(each) for each in value.array_value.values]
        case "kvlist_value":
            return {each.key: _plain(each.value) for each in value.kvlist_value.values}
        case "int_value":
            return value.int_value
        case "bool_value":
            return value.bool_value
        case "double_value":
            return value.double_value
    return text_of(value) or None
