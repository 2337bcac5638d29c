"""Names as backends write them. The vectors are published behaviour: the specification "Prometheus
and OpenMetrics Compatibility" (opentelemetry.io/docs/specs/otel/compatibility), the documentation
of github.com/prometheus/otlptranslator (commit 51da7739) and prometheus.io's escaping schemes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from phoenix.guard import names
from phoenix.guard.backend import PRESETS, Backend, preset_of
from phoenix.guard.errors import UnknownBackend
from phoenix.measurement.emitted import Kind

WITH = Backend(strategy="UnderscoreEscapingWithSuffixes")
WITHOUT = Backend(strategy="UnderscoreEscapingWithoutSuffixes")
UTF8 = Backend(strategy="NoUTF8EscapingWithSuffixes")
AS_IS = Backend(strategy="NoTranslation")


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        # What the process scraper emits.
        ("process.cpu.time", "s", "counter", "process_cpu_time_seconds_total"),
        ("process.memory.usage", "By", "sum", "process_memory_usage_bytes"),
        ("process.memory.virtual", "By", "sum", "process_memory_virtual_bytes"),
        ("process.memory.utilization", "%", "gauge", "process_memory_utilization_percent"),
        ("process.cpu.utilization", "1", "gauge", "process_cpu_utilization_ratio"),
        ("process.disk.io", "By", "counter", "process_disk_io_bytes_total"),
        ("process.threads", "{threads}", "sum", "process_threads"),
        ("process.uptime", "s", "gauge", "process_uptime_seconds"),
        ("process.paging.faults", "{faults}", "counter", "process_paging_faults_total"),
        # README of the translator.
        ("requests.count", "1", "counter", "requests_count_total"),
        ("cpu.utilization", "1", "gauge", "cpu_utilization_ratio"),
        ("http.server.request.duration", "s", "histogram", "http_server_request_duration_seconds"),
        # Suffixes that are there already.
        ("requests_total", "", "counter", "requests_total"),
        ("cpu_usage_ratio", "1", "gauge", "cpu_usage_ratio"),
        ("response_time_seconds", "s", "gauge", "response_time_seconds"),
        ("items", "1", "counter", "items_total"),
        # Units.
        ("requests", "1/s", "gauge", "requests_per_second"),
        ("throughput", "By/s", "gauge", "throughput_bytes_per_second"),
        ("custom_metric", "custom_unit", "gauge", "custom_metric_custom_unit"),
        ("custom_metric", "By/{custom}", "gauge", "custom_metric_bytes"),
        ("speed", "m/min", "gauge", "speed_meters_per_min"),
        ("uptime", "d", "gauge", "uptime_days"),
        ("memory", "MiBy", "gauge", "memory_mebibytes"),
        ("temperature", "Cel", "gauge", "temperature_celsius"),
        # Characters.
        ("(lambda).function.executions(#)", "", "gauge", "lambda_function_executions"),
        (
            "metric__with__multiple__underscores",
            "unit__multiple__underscores",
            "gauge",
            "metric_with_multiple_underscores_unit_multiple_underscores",
        ),
        (
            "custom_metric",
            "unit@with#special/chars",
            "gauge",
            "custom_metric_unit_with_special_per_chars",
        ),
        ("123_requests", "", "counter", "_123_requests_total"),
        ("@#$%", "", "gauge", None),
    ],
)
def test_metric_gets_its_unit_and_type_in_words(
    name: str, unit: str, kind: Kind, expected: str | None
) -> None:
    assert names.metric_name(WITH, name, unit, kind) == expected


@pytest.mark.parametrize(
    ("backend", "name", "unit", "kind", "expected"),
    [
        (WITHOUT, "process.cpu.time", "s", "counter", "process_cpu_time"),
        (WITHOUT, "metric@@##$$name", "", "gauge", "metric_name"),
        (WITHOUT, "123metric", "", "gauge", "_123metric"),
        (WITHOUT, "___", "", "gauge", "___"),
        (WITHOUT, "@_#_$_%", "", "gauge", None),
        (UTF8, "process.cpu.time", "s", "counter", "process.cpu.time_seconds_total"),
        (UTF8, "requêsts", "1/s", "gauge", "requêsts_per_second"),
        (UTF8, "cpu_usagé", "1", "gauge", "cpu_usagé_ratio"),
        (UTF8, "cpu_seconds_total", "s", "counter", "cpu_seconds_total"),
        (UTF8, "otelcol_process_cpu_seconds", "s", "counter", "otelcol_process_cpu_seconds_total"),
        (UTF8, "@#$%", "", "counter", "@#$%_total"),
        (AS_IS, "process.cpu.time", "s", "counter", "process.cpu.time"),
        (AS_IS, "métric_with_ñ_chars", "", "gauge", "métric_with_ñ_chars"),
    ],
)
def test_every_strategy_of_prometheus_has_its_own_name(
    backend: Backend, name: str, unit: str, kind: Kind, expected: str | None
) -> None:
    assert names.metric_name(backend, name, unit, kind) == expected


@pytest.mark.parametrize(
    ("backend", "namespace", "name", "unit", "expected"),
    [
        (WITH, "app", "requests", "1/s", "app_requests_per_second_total"),
        (WITH, "app", "123_requests", "", "app_123_requests_total"),
        (WITHOUT, "test@namespace!!??", "metric", "", "test_namespace_metric"),
        (UTF8, "ñamespace", "requêsts", "1/s", "ñamespace_requêsts_per_second_total"),
        (UTF8, "test@namespace", "metric", "", "test@namespace_metric_total"),
    ],
)
def test_namespace_stands_before_every_metric(
    backend: Backend, namespace: str, name: str, unit: str, expected: str
) -> None:
    named = replace(backend, namespace=namespace)
    assert names.metric_name(named, name, unit, "counter") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("process.executable.name", "process_executable_name"),
        ("label:with:colons", "label_with_colons"),
        ("LabelWithCapitalLetters", "LabelWithCapitalLetters"),
        ("label!with&special$chars)", "label_with_special_chars_"),
        ("label_with_foreign_characters_字符", "label_with_foreign_characters_"),
        (".foo", "_foo"),
        ("123label", "key_123label"),
        ("_label_starting_with_underscore", "_label_starting_with_underscore"),
        ("__label_starting_with_2underscores", "_label_starting_with_2underscores"),
        ("label__with__double__underscores", "label_with_double_underscores"),
        ("__reserved__label__name__", "__reserved_label_name__"),
        ("trailing_underscores___", "trailing_underscores_"),
        ("ようこそ", None),
        ("__", None),
        ("", None),
    ],
)
def test_label_keeps_letters_and_digits(name: str, expected: str | None) -> None:
    assert names.label_name(WITH, name) == expected


def test_label_in_utf8_stays_as_it_is() -> None:
    assert names.label_name(AS_IS, "process.executable.name") == "process.executable.name"
    assert names.label_name(AS_IS, "label:with:colons") == "label:with:colons"


@pytest.mark.parametrize(
    ("escaping", "expected"),
    [
        ("none", "process.cpu_time"),
        ("underscores", "process_cpu_time"),
        ("dots", "process_dot_cpu__time"),
        ("values", "U__process_2e_cpu__time"),
    ],
)
def test_name_in_utf8_is_escaped_for_who_cannot_read_it(escaping: str, expected: str) -> None:
    backend = Backend.from_dict({"strategy": "NoTranslation", "escaping": escaping})
    assert names.metric_name(backend, "process.cpu_time", "", "gauge") == expected


def test_legacy_name_is_not_escaped_by_value() -> None:
    backend = Backend.from_dict({"strategy": "NoTranslation", "escaping": "values"})
    assert names.metric_name(backend, "no_need", "", "gauge") == "no_need"


def test_backend_survives_being_written_and_read() -> None:
    for backend in PRESETS.values():
        assert Backend.from_dict(backend.to_dict()) == backend
    promoted = Backend(resource_labels=("process.pid",), external_labels={"cluster": "eu"})
    assert Backend.from_dict(promoted.to_dict()) == promoted


@pytest.mark.parametrize(
    "value", [{"name": "graphite"}, {"strategy": "Guess"}, {"escaping": "x"}, {"colour": "red"}]
)
def test_unknown_backend_is_refused(value: dict[str, str]) -> None:
    with pytest.raises(UnknownBackend):
        Backend.from_dict(value)


def test_presets_say_what_the_two_exporters_do() -> None:
    assert preset_of("remote_write").resource_labels == "all"
    assert preset_of("prometheus_otlp").resource_labels == ()
