"""What each arm emitted is described without values, and counted by ticks."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from phoenix.measurement import emitted
from phoenix.measurement.emitted import Catalogue, Emitted, Point, text_of
from phoenix.measurement.experiment import ExperimentMeter, Resume
from phoenix.measurement.model import ARMS, Subscription
from phoenix.measurement.otlp import Decoder
from phoenix.testing.otlp import FakeProcess, aged, collector_bytes, processes

NS = 1_000_000_000
BEGIN = 1_800_000_000 * NS
NGINX = FakeProcess(
    pid=17, name="nginx", started_ns=BEGIN - NS, command_line=" --token=hunter2", owner="www"
)


def meter(resume: Resume | None = None) -> ExperimentMeter:
    subscription = Subscription(
        experiment_id="exp-abc12345",
        interval_s=1.0,
        critical=(),
        token_sha256={"baseline": "a", "candidate": "b"},
        states={"baseline": "alive", "candidate": "alive"},
        created_at=datetime(2027, 1, 15, tzinfo=UTC),
    )
    return ExperimentMeter(subscription, now_ns=BEGIN, resume=resume)


def scrapes(counting: ExperimentMeter, count: int, candidate: list[FakeProcess]) -> None:
    host = [NGINX, *processes(3, seed=5, started_ns=BEGIN)]
    for number in range(count):
        at_ns = BEGIN + number * NS
        for arm in ARMS:
            told = aged(host if arm == "baseline" else candidate, float(number))
            body = collector_bytes(told, at_ns)
            blocks = counting.decoders[arm].protobuf(body)
            counting.accept(
                arm, blocks, raw_bytes=len(body), wire_bytes=len(body), arrived_ns=at_ns + NS // 10
            )
        counting.close_due(at_ns + 2 * NS)
    counting.close_all()


def test_process_is_described_by_its_attributes_and_points() -> None:
    counting = meter()
    scrapes(counting, 3, [NGINX])
    [one] = counting.emitted["candidate"].all()
    resource = dict(one.resource)
    assert (resource["process.executable.name"], resource["process.pid"]) == ("nginx", "17")
    assert resource["process.owner"] == "www"
    assert one.ticks == 3
    assert Point("process.memory.usage", "By", "sum", ()) in one.points
    assert Point("process.cpu.time", "s", "counter", (("state", "user"),)) in one.points
    assert len(one.points) == 7
    assert len(counting.emitted["baseline"].all()) == 4


def test_command_line_is_never_kept() -> None:
    counting = meter()
    scrapes(counting, 1, [NGINX])
    [one] = counting.emitted["candidate"].all()
    assert "process.command_line" in one.withheld
    assert b"hunter2" not in repr(one).encode()
    assert not any(key.startswith("process.command") for key, _ in one.resource)


def test_arm_that_sends_nothing_has_emitted_nothing() -> None:
    counting = meter()
    for number in range(2):
        at_ns = BEGIN + number * NS
        body = collector_bytes([NGINX], at_ns)
        blocks = counting.decoders["baseline"].protobuf(body)
        counting.accept("baseline", blocks, raw_bytes=1, wire_bytes=1, arrived_ns=at_ns)
        counting.close_due(at_ns + 3 * NS)
    counting.close_all()
    assert counting.emitted["candidate"].all() == []
    assert counting.emitted["candidate"].last_tick == counting.emitted["baseline"].last_tick
    assert [one.ticks for one in counting.emitted["baseline"].all()] == [2]


def test_catalogue_goes_on_after_a_restart_of_the_meter() -> None:
    first = meter()
    scrapes(first, 3, [NGINX])
    packed = {arm: Catalogue.unpacked(first.emitted[arm].packed()) for arm in ARMS}
    last = packed["baseline"].last_tick
    assert last is not None
    assert packed["candidate"].all() == first.emitted["candidate"].all()
    second = meter(Resume(last_tick=0, sketches={}, names=(), emitted=packed))
    scrapes(second, 2, [NGINX])
    [one] = second.emitted["candidate"].all()
    assert one.ticks == 5


def test_beyond_the_bound_only_new_kinds_count_as_unlisted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emitted, "RESOURCES_MAX", 1)
    points = (Point("process.uptime", "s", "gauge", ()),)

    def of(name: str, pid: int) -> emitted.Described:
        resource = (("process.executable.name", name), ("process.pid", str(pid)))
        return emitted.describing(resource, frozenset(), points)

    catalogue = Catalogue()
    catalogue.saw(1, [of("nginx", 1), of("nginx", 1), None])
    catalogue.saw(2, [of("nginx", 2)])
    assert (catalogue.unlisted, len(catalogue.all())) == (0, 1)
    catalogue.saw(3, [of("etcd", 3)])
    assert (catalogue.unlisted, [one.ticks for one in catalogue.all()]) == (1, [1])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (AnyValue(string_value="x"), "x"),
        (AnyValue(int_value=7), "7"),
        (AnyValue(bool_value=True), "true"),
        (AnyValue(double_value=0.5), "0.5"),
        (AnyValue(bytes_value=b"\x01"), "01"),
        (AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1)])), "[1]"),
        (
            AnyValue(
                kvlist_value=KeyValueList(
                    values=[KeyValue(key="a", value=AnyValue(bool_value=False))]
                )
            ),
            '{"a":false}',
        ),
        (AnyValue(), ""),
        (AnyValue(string_value="x" * 600), "x" * 512),
    ],
)
def test_attribute_is_the_text_that_exporters_make_of_it(value: AnyValue, text: str) -> None:
    assert text_of(value) == text


def points_of(metric: Metric) -> tuple[Point, ...]:
    request = ExportMetricsServiceRequest()
    request.resource_metrics.add().scope_metrics.add().metrics.append(metric)
    [block] = Decoder().protobuf(request.SerializeToString())
    assert block.layout.described is not None
    return block.layout.described.points


def test_every_kind_of_metric_is_told_apart() -> None:
    delta = Metric(name="d")
    delta.sum.is_monotonic = True
    delta.sum.aggregation_temporality = 1
    delta.sum.data_points.add(time_unix_nano=time.time_ns(), as_int=1)
    histogram = Metric(name="h", unit="s")
    histogram.histogram.aggregation_temporality = 2
    histogram.histogram.data_points.add(explicit_bounds=[0.1, 1])
    native = Metric(name="n")
    native.exponential_histogram.aggregation_temporality = 2
    native.exponential_histogram.data_points.add()
    summary = Metric(name="s")
    summary.summary.data_points.add().quantile_values.add(quantile=0.5)
    gauge = Metric(name="g")
    gauge.gauge.data_points.add(as_double=1)
    assert [points_of(metric)[0] for metric in (delta, histogram, native, summary, gauge)] == [
        Point("d", "", "counter", (), delta=True),
        Point("h", "s", "histogram", (), bounds=("0.1", "1")),
        Point("n", "", "native_histogram", ()),
        Point("s", "", "summary", (), bounds=("0.5",)),
        Point("g", "", "gauge", ()),
    ]


def test_same_description_of_two_processes_is_kept_once() -> None:
    counting = meter()
    scrapes(counting, 1, [NGINX])
    shapes = {id(one.points) for one in counting.emitted["baseline"].all()}
    assert len(shapes) == 1
    assert isinstance(counting.emitted["baseline"].all()[0], Emitted)
