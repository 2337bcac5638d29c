"""What a collector's own metrics are reduced to, in each form a collector may print them."""

from __future__ import annotations

import pytest

from phoenix.collectors.selfmetrics import SelfMetrics, parse

PLAIN = """\
# TYPE otelcol_receiver_accepted_metric_points counter
otelcol_receiver_accepted_metric_points{receiver="otlp",transport="http"} 1400
# HELP otelcol_exporter_sent_metric_points Number of metric points successfully sent
# TYPE otelcol_exporter_sent_metric_points counter
otelcol_exporter_sent_metric_points{exporter="otlp_http/baseline",service="x"} 1363
otelcol_exporter_sent_metric_points{exporter="otlp_http/candidate",service="x"} 1360
# HELP otelcol_exporter_queue_size Current size of the retry queue (in batches)
# TYPE otelcol_exporter_queue_size gauge
otelcol_exporter_queue_size{data_type="metrics",exporter="otlp_http/baseline"} 0
otelcol_exporter_queue_size{data_type="metrics",exporter="otlp_http/candidate"} 3
# HELP otelcol_exporter_queue_capacity Fixed capacity of the retry queue (in batches)
# TYPE otelcol_exporter_queue_capacity gauge
otelcol_exporter_queue_capacity{exporter="otlp_http/candidate"} 60
# HELP otelcol_process_memory_rss Total physical memory
# TYPE otelcol_process_memory_rss gauge
otelcol_process_memory_rss 5.4e+07
"""
FAILING = """\
# TYPE otelcol_exporter_send_failed_metric_points counter
otelcol_exporter_send_failed_metric_points{exporter="otlp_http/meter",error_permanent="true"} 40
otelcol_exporter_send_failed_metric_points{exporter="otlp_http/meter",error_permanent="false"} 2
# TYPE otelcol_exporter_enqueue_failed_metric_points counter
otelcol_exporter_enqueue_failed_metric_points{exporter="otlp_http/meter"} 11924
"""


def with_total(text: str) -> str:
    """The same with the suffix that counters carry when type suffixes are on."""
    for name in ("sent", "send_failed", "enqueue_failed"):
        text = text.replace(f"{name}_metric_points", f"{name}_metric_points_total")
    return text


@pytest.mark.parametrize("form", [str, with_total])
def test_exporters_are_summed_and_what_never_happened_is_zero(form: type[str]) -> None:
    assert parse(form(PLAIN)) == SelfMetrics(
        received_points=1400,
        sent_points=2723,
        exporter_failed_points=0,
        enqueue_failed_points=0,
        queue_size=3,
    )


@pytest.mark.parametrize("form", [str, with_total])
def test_failures_are_summed_over_their_kinds(form: type[str]) -> None:
    said = parse(form(PLAIN + FAILING))
    assert (said.exporter_failed_points, said.enqueue_failed_points) == (42, 11924)


def test_a_collector_that_counts_nothing_yet_has_sent_nothing() -> None:
    assert parse("") == SelfMetrics(
        received_points=0,
        sent_points=0,
        exporter_failed_points=0,
        enqueue_failed_points=0,
        queue_size=0,
    )
