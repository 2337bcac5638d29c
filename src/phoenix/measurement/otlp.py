"""OTLP metrics to blocks of numbers: one block for each resource, its series named once.

The official decoder, walked in Python, reads 180,000 points a second. Most of what it reads it has
read before: the next scrape of a process has the same names, attributes and lengths, only other
numbers. So each block is first looked up by its *shape*:

1. the request is split into ResourceMetrics messages by the protobuf runtime, with a schema that
   declares them as plain bytes (the wire format is the same);
2. the length of a message says which shapes it may have; `struct` cuts it by such a shape into
   statics and windows in one call;
3. statics that are known word for word belong to known series, and the windows are their numbers.

What is not known goes through the official decoder, and its shape is learned only if the shape
gives the same numbers as the decoder. A known message can therefore only be read as the official
decoder would: equal statics mean equal structure, and eight bytes of a fixed64 field are always
valid. The cache has two generations and a bound, so that it forgets what is gone.

The cache holds bytes as they came, command lines included, in memory and only as long as they keep
coming. Nothing else keeps them: a series is a number (64 bits of BLAKE2b) and a resource is its
executable name, path, owner and pid.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics

from phoenix.measurement import registers, wire
from phoenix.measurement.emitted import Described, described
from phoenix.measurement.errors import MalformedBody

LEVEL: Final = 0
COUNTER: Final = 1
DELTA: Final = 2
OTHER: Final = 3
"""How the values of a series add up: a level is summed, a counter is differenced, a delta is taken
as it is, and of all others (gauges, histograms) only the points are counted."""

_DELTA_TEMPORALITY = 1
_ADDITIVE = {"process.cpu.time", "process.disk.io"}
_NAME = "process.executable.name"


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """What a resource says about a process; None where it says nothing."""

    name: str | None
    pid: int | None
    path: str | None
    owner: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series.

    id    64 bits of BLAKE2b over resource, scope, metric name and point attributes
    key   the same for a counter whose process may change its name: pid, metric and attributes;
          equal to `id` where there is no pid
    """

    id: int
    key: int
    metric: str
    kind: int


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The series of a block in their order, sorted once by what is done with them.

    `levels` are (index, metric), `counters` and `deltas` are (index, key, metric); `described` is
    None for a part of a block.
    """

    resource: Resource
    ids: tuple[int, ...]
    levels: tuple[tuple[int, str], ...]
    counters: tuple[tuple[int, int, str], ...]
    deltas: tuple[tuple[int, int, str], ...]
    distinct: bool
    described: Described | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One resource's points: values, times and start times (ns since 1970) beside the layout.

    A value is None for what is not one number. A start time is 0 where the sender gave none.
    """

    layout: Layout
    values: Sequence[float | None]
    times: Sequence[int]
    starts: Sequence[int]

    def only(self, kept: Sequence[int], *, distinct: bool) -> Block:
        """The block with only these points; `distinct` says whether no two are of one series."""
        place = {index: at for at, index in enumerate(kept)}
        layout = Layout(
            resource=self.layout.resource,
            ids=tuple(self.layout.ids[i] for i in kept),
            levels=tuple((place[i], m) for i, m in self.layout.levels if i in place),
            counters=tuple((place[i], k, m) for i, k, m in self.layout.counters if i in place),
            deltas=tuple((place[i], k, m) for i, k, m in self.layout.deltas if i in place),
            distinct=distinct,
        )
        return Block(
            layout,
            [self.values[i] for i in kept],
            [self.times[i] for i in kept],
            [self.starts[i] for i in kept],
        )


class _Shape:
    """One way of cutting a message of one length, and the messages known to be cut so."""

    __slots__ = ("cut", "known", "older", "start_at", "stride", "time_at", "value_at")

    def __init__(self, length: int, windows: list[wire.Window]) -> None:
        """
        Raises:
            NoShape: the points differ in which of value, time and start time they carry.
        """
        stride = _stride(windows)
        form = ["<"]
        at = 0
        for window in windows:
            # A static may be empty: "0s" keeps statics and windows alternating.
            form.append(f"{window.offset - at}s{_CODE[window.kind]}")
            at = window.offset + 8
        form.append(f"{length - at}s")
        self.cut = struct.Struct("".join(form))
        self.stride = 2 * stride
        kinds = [_ROLE[w.kind] for w in windows[:stride]]
        self.value_at = 2 * kinds.index("v") + 1
        self.time_at = 2 * kinds.index("t") + 1
        self.start_at = 2 * kinds.index("s") + 1 if "s" in kinds else None
        self.known: dict[tuple[Any, ...], Layout] = {}
        self.older: dict[tuple[Any, ...], Layout] = {}

    def numbers(self, flat: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
        step = self.stride
        values, times = flat[self.value_at :: step], flat[self.time_at :: step]
        starts = flat[self.start_at :: step] if self.start_at is not None else (0,) * len(times)
        return values, times, starts


_CODE = {"d": "d", "q": "q", "t": "Q", "s": "Q"}
_ROLE = {"d": "v", "q": "v", "t": "t", "s": "s"}


def _stride(windows: list[wire.Window]) -> int:
    """How many windows a point has, if all have the same in the same order."""
    roles = [_ROLE[w.kind] for w in windows]
    for stride in (3, 2):
        first = roles[:stride]
        uniform = len(roles) % stride == 0 and roles == first * (len(roles) // stride)
        if uniform and len(set(first)) == len(first) and {"v", "t"} <= set(first):
            return stride
    raise wire.NoShape


class Decoder:
    """Reads the requests of one arm, and remembers the shapes it has seen.

    `known_bytes_max` bounds each of the two generations of remembered messages; `settle` runs
    before each request (see `registers`).
    """

    def __init__(
        self, *, known_bytes_max: int = 32 << 20, settle: Callable[[], None] = registers.settle
    ) -> None:
        self._settle = settle
        self._shapes: dict[int, list[_Shape]] = {}
        self._known_bytes = 0
        self._known_bytes_max = known_bytes_max
        self.fast_points = 0
        self.slow_points = 0

    def protobuf(self, body: bytes) -> list[Block]:
        """The blocks of an ExportMetricsServiceRequest.

        Raises:
            MalformedBody: it is not one.
        """
        self._settle()
        try:
            messages = _Split.FromString(body).resource_metrics
        except DecodeError as reason:
            raise _not_otlp() from reason
        blocks = []
        shapes_of = self._shapes.get
        fast = 0
        for message in messages:
            for shape in shapes_of(len(message), ()):
                flat = shape.cut.unpack(message)
                layout = shape.known.get(flat[::2])
                if layout is not None:
                    block = Block(layout, *shape.numbers(flat))
                    fast += len(layout.ids)
                    break
            else:
                block = self._learn(message)
            blocks.append(block)
        self.fast_points += fast
        return blocks

    def json(self, body: bytes) -> list[Block]:
        """The blocks of a request in OTLP's JSON encoding.

        Raises:
            MalformedBody: it is not one.
        """
        try:
            value = orjson.loads(body)
            if not isinstance(value, dict):
                raise _not_otlp()
            request = ExportMetricsServiceRequest()
            json_format.ParseDict(value, request, ignore_unknown_fields=True)
        except (ValueError, TypeError, AttributeError, RecursionError, json_format.Error) as reason:
            raise _not_otlp() from reason
        blocks = [read(resource_metrics) for resource_metrics in request.resource_metrics]
        self.slow_points += sum(len(block.times) for block in blocks)
        return blocks

    def _learn(self, message: bytes) -> Block:
        """Read a message that is not in the young generation."""
        for shape in self._shapes.get(len(message), ()):
            flat = shape.cut.unpack(message)
            layout = shape.older.get(flat[::2])
            if layout is not None:
                self._remember(shape, flat[::2], layout, len(message))
                return Block(layout, *shape.numbers(flat))
        try:
            official = ResourceMetrics.FromString(message)
        except DecodeError as reason:
            raise _not_otlp() from reason
        block = read(official)
        self.slow_points += len(block.times)
        self._try_shape(message, block)
        return block

    def _try_shape(self, message: bytes, block: Block) -> None:
        """Remember the message's shape if it yields exactly what the official decoder yielded."""
        try:
            shape = _Shape(len(message), wire.windows(message))
        except wire.NoShape:
            return
        siblings = self._shapes.get(len(message), [])
        for sibling in siblings:
            if sibling.cut.format == shape.cut.format:
                shape = sibling
                break
        flat = shape.cut.unpack(message)
        if not _same(shape.numbers(flat), block):
            return
        if shape not in siblings:
            if len(siblings) >= _MOST_SHAPES_OF_A_LENGTH:
                siblings.pop()
            siblings.insert(0, shape)
            self._shapes[len(message)] = siblings
        self._remember(shape, flat[::2], block.layout, len(message))

    def _remember(
        self, shape: _Shape, statics: tuple[Any, ...], layout: Layout, size_bytes: int
    ) -> None:
        self._known_bytes += size_bytes + _AROUND_BYTES
        if self._known_bytes > self._known_bytes_max:
            self._grow_old()
            self._known_bytes = size_bytes + _AROUND_BYTES
        shape.known[statics] = layout

    def _grow_old(self) -> None:
        kept: dict[int, list[_Shape]] = {}
        for length, shapes in self._shapes.items():
            for shape in shapes:
                shape.older, shape.known = shape.known, {}
            alive = [shape for shape in shapes if shape.older]
            if alive:
                kept[length] = alive
        self._shapes = kept


_MOST_SHAPES_OF_A_LENGTH = 8
_AROUND_BYTES = 3_000  # the Python objects around the bytes of one message of seven points


def read(resource_metrics: ResourceMetrics) -> Block:
    """The block of an officially decoded message: the slow, and defining, reading."""
    attributes = resource_metrics.resource.attributes
    resource_id = _digest(_canonical(attributes))
    resource = _resource(attributes)
    ids: list[int] = []
    levels: list[tuple[int, str]] = []
    counters: list[tuple[int, int, str]] = []
    deltas: list[tuple[int, int, str]] = []
    values: list[float | None] = []
    times: list[int] = []
    starts: list[int] = []
    signature: list[object] = []
    for scope_metrics in resource_metrics.scope_metrics:
        scope = scope_metrics.scope
        scope_id = _digest(
            [scope.name.encode(), scope.version.encode(), *_canonical(scope.attributes)]
        )
        for metric in scope_metrics.metrics:
            kind, points = _kind(metric)
            name = metric.name
            signature += (name, metric.unit)
            for point in points:
                canonical = _canonical(point.attributes)
                signature.append(tuple(canonical))
                series = _series(resource_id, scope_id, resource, name, kind, canonical)
                index = len(ids)
                ids.append(series.id)
                if kind == LEVEL:
                    levels.append((index, name))
                elif kind == COUNTER:
                    counters.append((index, series.key, name))
                elif kind == DELTA:
                    deltas.append((index, series.key, name))
                values.append(_value(point) if kind != OTHER or _is_number(metric) else None)
                times.append(point.time_unix_nano)
                starts.append(point.start_time_unix_nano)
    layout = Layout(
        resource=resource,
        ids=tuple(ids),
        levels=tuple(levels),
        counters=tuple(counters),
        deltas=tuple(deltas),
        distinct=len(set(ids)) == len(ids),
        described=described(resource_metrics, tuple(signature)),
    )
    return Block(layout, values, times, starts)


def _series(
    resource_id: bytes,
    scope_id: bytes,
    resource: Resource,
    metric: str,
    kind: int,
    attributes: list[bytes],
) -> Series:
    tail = [metric.encode(), *attributes]
    identity = _number([resource_id, scope_id, *tail])
    if kind in (COUNTER, DELTA) and resource.pid is not None:
        key = _number([b"pid", str(resource.pid).encode(), *tail])
    else:
        key = identity
    return Series(identity, key, metric, kind)


def _kind(metric: Metric) -> tuple[int, Iterable[Any]]:
    which = metric.WhichOneof("data")
    if which == "sum":
        if metric.sum.aggregation_temporality == _DELTA_TEMPORALITY:
            return DELTA, metric.sum.data_points
        # Cumulative sums that are not monotonic, like resident bytes, are levels.
        counts = metric.sum.is_monotonic or metric.name in _ADDITIVE
        return (COUNTER if counts else LEVEL), metric.sum.data_points
    if which is None:
        return OTHER, ()
    if which == "gauge":
        return OTHER, metric.gauge.data_points
    return OTHER, getattr(metric, which).data_points


def _is_number(metric: Metric) -> bool:
    return metric.WhichOneof("data") in ("sum", "gauge")


def _value(point: Any) -> float | None:
    which = point.WhichOneof("value")
    return getattr(point, which) if which else None


def _resource(attributes: Iterable[KeyValue]) -> Resource:
    found: dict[str, Any] = {}
    for attribute in attributes:
        value = attribute.value
        which = value.WhichOneof("value")
        if which in ("string_value", "int_value"):
            found[attribute.key] = getattr(value, which)
    name, pid = found.get(_NAME), found.get("process.pid")
    path, owner = found.get("process.executable.path"), found.get("process.owner")
    return Resource(
        name=name[:256] if isinstance(name, str) and name else None,
        pid=pid if isinstance(pid, int) else None,
        path=path[:4096] if isinstance(path, str) and path else None,
        owner=owner if isinstance(owner, str) and owner else None,
    )


def _canonical(attributes: Iterable[KeyValue]) -> list[bytes]:
    """Attributes in an order of their own, so that the sender's order makes no new series."""
    return sorted(attribute.SerializeToString(deterministic=True) for attribute in attributes)


def _digest(parts: Iterable[bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(4, "little"))
        digest.update(part)
    return digest.digest()


def _number(parts: Iterable[bytes]) -> int:
    return int.from_bytes(_digest(parts)[:8], "little")


def _same(numbers: tuple[tuple[Any, ...], ...], block: Block) -> bool:
    values, times, starts = numbers
    if list(times) != list(block.times) or list(starts) != list(block.starts):
        return False
    if len(values) != len(block.values):
        return False
    return all(
        b is not None and type(a) is type(b) and (a == b or (math.isnan(a) and math.isnan(b)))
        for a, b in zip(values, block.values, strict=True)
    )


def _not_otlp() -> MalformedBody:
    return MalformedBody(
        "The body is not an OTLP ExportMetricsServiceRequest.",
        remedy="Send metrics with an OTLP/HTTP exporter; its Content-Type must fit the body.",
    )


def _split_schema() -> Any:
    """ExportMetricsServiceRequest with its ResourceMetrics as plain bytes (same wire format)."""
    file = descriptor_pb2.FileDescriptorProto(
        name="phoenix/measurement/split.proto", package="phoenix.measurement", syntax="proto3"
    )
    message = file.message_type.add(name="Split")
    message.field.add(
        name="resource_metrics",
        number=1,
        type=descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
        label=descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("phoenix.measurement.Split")
    return message_factory.GetMessageClass(found)


_Split = _split_schema()
