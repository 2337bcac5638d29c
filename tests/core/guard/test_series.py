"""From what an arm emitted to the series of a backend: labels, `job`, `instance`, `target_info`."""

from __future__ import annotations

from phoenix.guard import series
from phoenix.guard.backend import Backend, preset_of
from phoenix.measurement.emitted import Emitted, Labels, Point

NGINX = (
    ("host.name", "web1"),
    ("process.executable.name", "nginx"),
    ("process.pid", "17"),
    ("service.instance.id", "web1:4317"),
    ("service.name", "hostmetrics"),
    ("service.namespace", "infra"),
)
CPU = Point("process.cpu.time", "s", "counter", (("state", "user"),))


def emitted(*points: Point, resource: Labels = NGINX) -> Emitted:
    return Emitted(resource, points, 1)


def test_remote_write_copies_the_resource_to_every_series() -> None:
    found, info = series.of(emitted(CPU), preset_of("remote_write"))
    assert found == {
        "__name__": "process_cpu_time_seconds_total",
        "host_name": "web1",
        "instance": "web1:4317",
        "job": "infra/hostmetrics",
        "process_executable_name": "nginx",
        "process_pid": "17",
        "service_instance_id": "web1:4317",
        "service_name": "hostmetrics",
        "service_namespace": "infra",
        "state": "user",
    }
    assert info["__name__"] == "target_info"


def test_otlp_endpoint_leaves_the_resource_on_target_info() -> None:
    found, info = series.of(emitted(CPU), preset_of("prometheus_otlp"))
    assert found == {
        "__name__": "process_cpu_time_seconds_total",
        "instance": "web1:4317",
        "job": "infra/hostmetrics",
        "state": "user",
    }
    assert info == {
        "__name__": "target_info",
        "host_name": "web1",
        "instance": "web1:4317",
        "job": "infra/hostmetrics",
        "process_executable_name": "nginx",
        "process_pid": "17",
    }


def test_promoted_attributes_become_labels_where_the_point_has_none_of_that_name() -> None:
    backend = Backend(resource_labels=("host.name", "state", "not.there"), target_info=False)
    resource = (("host.name", "web1"), ("state", "of the resource"))
    found = list(series.of(emitted(CPU, resource=resource), backend))
    assert found == [
        {"__name__": "process_cpu_time_seconds_total", "host_name": "web1", "state": "user"}
    ]


def test_conversion_writes_the_resource_over_the_point() -> None:
    backend = Backend(target_info=False)
    [found] = series.of(emitted(CPU, resource=(("state", "of the resource"),)), backend)
    assert found["state"] == "of the resource"


def test_target_info_needs_an_identity_and_something_to_tell() -> None:
    nobody = emitted(CPU, resource=(("host.name", "web1"),))
    nothing = emitted(CPU, resource=(("service.name", "x"),))
    backend = preset_of("remote_write")
    assert [s["__name__"] for s in series.of(nobody, backend)] == ["process_cpu_time_seconds_total"]
    assert [s["__name__"] for s in series.of(nothing, backend)] == [
        "process_cpu_time_seconds_total"
    ]


def test_identity_stays_on_target_info_when_asked() -> None:
    backend = Backend(resource_labels=(), keep_identifying=True, namespace="otel")
    _, info = series.of(emitted(CPU), backend)
    assert info["__name__"] == "otel_target_info"
    assert info["service_name"] == "hostmetrics"


def test_attributes_that_become_one_label_are_joined_in_order_of_their_names() -> None:
    resource = (("a.b", "1"), ("a_b", "2"), ("empty", ""))
    [found] = series.of(emitted(CPU, resource=resource), Backend(target_info=False))
    assert found["a_b"] == "1;2"
    assert "empty" not in found


def test_external_labels_yield_to_those_of_the_series() -> None:
    backend = Backend(external_labels={"cluster": "eu", "state": "none"}, target_info=False)
    [found] = series.of(emitted(CPU), backend)
    assert (found["cluster"], found["state"]) == ("eu", "user")


def test_delta_points_reach_no_prometheus() -> None:
    delta = Point("process.cpu.time", "s", "counter", (), delta=True)
    assert list(series.of(emitted(delta), Backend(target_info=False))) == []


def test_histogram_is_its_buckets_sum_and_count() -> None:
    point = Point("http.duration", "s", "histogram", (), bounds=("0.1", "1"))
    found = list(series.of(emitted(point, resource=(("a", "b"),)), Backend()))
    assert [(s["__name__"], s.get("le")) for s in found] == [
        ("http_duration_seconds_count", None),
        ("http_duration_seconds_sum", None),
        ("http_duration_seconds_bucket", "0.1"),
        ("http_duration_seconds_bucket", "1"),
        ("http_duration_seconds_bucket", "+Inf"),
    ]


def test_summary_is_its_quantiles_sum_and_count() -> None:
    point = Point("latency", "s", "summary", (), bounds=("0.5",))
    found = list(series.of(emitted(point, resource=()), Backend()))
    assert [(s["__name__"], s.get("quantile")) for s in found] == [
        ("latency_seconds_count", None),
        ("latency_seconds_sum", None),
        ("latency_seconds", "0.5"),
    ]
