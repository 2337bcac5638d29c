"""A configuration that somebody has becomes an arm; what does not is named."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phoenix.pipelines import documents, render
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.pipelines.diff import diff
from phoenix.pipelines.errors import BadConfiguration
from phoenix.pipelines.importer import import_config

OF_SOMEBODY = """\
# what runs on our hosts
receivers:
  hostmetrics:
    collection_interval: 30s
    root_path: /hostfs
    scrapers:
      cpu: {}
      load:
      process:
        mute_process_exe_error: true
        exclude: {match_type: regexp, names: ["^kworker"]}
        resource_attributes:
          process.command_line: {enabled: false}
  otlp:
    protocols: {grpc: {}}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 200}
  batch: {}
  resourcedetection: {detectors: [env, system]}
  resource/team:
    attributes: [{key: team, value: "${env:TEAM:-none}", action: upsert}]
  filter/agents:
    metric_conditions: ['resource.attributes["process.executable.name"] == "agent$$"']
  attributes/logs: {actions: [{key: a, action: delete}]}
exporters:
  otlphttp/vendor:
    endpoint: https://ingest.example
    headers: {api-key: "${env:VENDOR_KEY}"}
  prometheusremotewrite: {endpoint: https://prom.example/api}
  debug: {}
connectors:
  forward/x: {}
  count: {}
extensions:
  zpages: {}
service:
  extensions: [zpages]
  telemetry: {logs: {level: error}}
  pipelines:
    metrics:
      receivers: [hostmetrics]
      processors: [memory_limiter, resourcedetection, resource/team]
      exporters: [forward/x, count]
    metrics/out:
      receivers: [forward/x]
      processors: [filter/agents, batch]
      exporters: [otlphttp/vendor, prometheusremotewrite]
    metrics/counts:
      receivers: [count]
      exporters: [debug]
    logs:
      receivers: [otlp]
      processors: [attributes/logs]
      exporters: [debug]
"""


def test_the_scrape_and_the_chain_of_processors_are_taken_over() -> None:
    imported = import_config(OF_SOMEBODY, "configs/My Otelcol.yaml")
    assert imported.interval_s == Decimal(30)
    assert imported.pipeline.name == "imported-my-otelcol"
    arm = documents.load(render.arm(imported.pipeline, {}, DEFAULT_CRITICAL, 1).config, "arm")
    assert arm["processors"]["memory_limiter"]["limit_mib"] == 200
    assert arm["service"]["pipelines"]["metrics"]["processors"] == [
        "memory_limiter",
        "resource/team",
        "filter/agents",
    ]
    assert list(arm["exporters"]) == ["otlp_http/meter"]


def test_the_scraper_makes_the_scrape_of_the_imported_baseline() -> None:
    pipeline = import_config(OF_SOMEBODY, "o.yaml").pipeline
    text = render.scraper(pipeline, {}, 2, ["baseline"], ["/opt/phoenix/"], True).config
    document = documents.load(text, "scraper")
    receiver = document["receivers"]["host_metrics"]
    assert receiver["collection_interval"] == "2s"
    assert "root_path" not in receiver
    assert list(receiver["scrapers"]) == ["process"]
    scrape = receiver["scrapers"]["process"]
    assert scrape["exclude"] == {"match_type": "regexp", "names": ["^kworker"]}
    # The filter of our own processes looks at the command line; nobody downstream sees it.
    assert scrape["resource_attributes"]["process.command_line"]["enabled"] is True
    assert 'delete_key(resource.attributes, "process.command_line")' in text
    assert "filter/agents" not in text


def test_production_keeps_what_the_shadow_leaves_out() -> None:
    pipeline = import_config(OF_SOMEBODY, "o.yaml").pipeline
    document = documents.load(render.production(pipeline, {}, (), 30).config, "production")
    assert document["receivers"]["host_metrics"]["root_path"] == "/hostfs"
    assert document["service"]["pipelines"]["metrics"]["processors"][-1] == "batch"


@pytest.mark.parametrize(
    "named",
    ["receiver otlp:", "scrapers cpu, load", "pipeline logs:", "processor attributes/logs:",
     "processor resourcedetection:", "exporter otlphttp/vendor:", "exporter debug:",
     "exporter prometheusremotewrite:", "connector count:", "extension zpages:",
     "service.telemetry:", "batch:", "several exporters", "root_path:", "collection_interval:",
     "variable TEAM:", "pipeline metrics/counts:"],
)  # fmt: skip
def test_what_is_not_taken_over_is_named(named: str) -> None:
    left_out = import_config(OF_SOMEBODY, "o.yaml").left_out
    assert [line for line in left_out if line.startswith(named)]


def test_no_secret_of_an_exporter_is_taken_over() -> None:
    imported = import_config(OF_SOMEBODY, "o.yaml")
    assert "VENDOR_KEY" not in imported.pipeline.template
    assert "VENDOR_KEY" not in " ".join(imported.left_out)


def test_branches_stay_branches() -> None:
    text = OF_SOMEBODY.replace(
        "    logs:\n",
        "    metrics/second:\n      receivers: [forward/x]\n      processors: [batch]\n"
        "      exporters: [debug]\n    logs:\n",
    )
    arm = render.arm(import_config(text, "o.yaml").pipeline, {}, (), 1).config
    pipelines = documents.load(arm, "arm")["service"]["pipelines"]
    assert set(pipelines) == {"metrics/scrape", "metrics/branch_1", "metrics/branch_2"}
    assert pipelines["metrics/branch_2"]["processors"] == ["memory_limiter", "resource/team"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "just text",
        "a: [",
        "x" * (1 << 20) + "y",
        "receivers: {otlp: {}}\nexporters: {debug: {}}\n",
        "receivers: 3\nservice: []\n",
        "receivers: {host_metrics: {scrapers: {cpu: {}}}}\nexporters: {debug: {}}\n"
        "service: {pipelines: {metrics: {receivers: [host_metrics], exporters: [debug]}}}\n",
        "receivers: {host_metrics: {scrapers: {process: {}}}}\n"
        "service: {pipelines: {logs: {receivers: [host_metrics], exporters: [debug]}}}\n",
        "receivers: {host_metrics: {scrapers: {process: [1]}}}\n"
        "service: {pipelines: {metrics: {receivers: [host_metrics], exporters: [debug]}}}\n",
        "receivers: {host_metrics: {scrapers: {process: {}}}}\nreceivers: {}\n",
        "a: &a [*a, *a]",
        OF_SOMEBODY.replace("${env:TEAM:-none}", "${file:/etc/shadow}"),
        OF_SOMEBODY.replace("${env:TEAM:-none}", "${http://x.example/y}"),
        OF_SOMEBODY.replace("${env:TEAM:-none}", "${env:PHOENIX_METER_TOKEN}"),
        OF_SOMEBODY.replace("${env:TEAM:-none}", "$$${env:PHOENIX_METER_TOKEN}"),
        OF_SOMEBODY.replace("${env:TEAM:-none}", "${env:A:-${file:/etc/shadow}}"),
        OF_SOMEBODY.replace("filter/agents", "filter/phoenix_own"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(BadConfiguration) as refusal:
        import_config(text, "given.yaml")
    assert refusal.value.remedy
    assert "given.yaml" in refusal.value.message


def test_braces_of_a_template_mean_nothing_in_an_imported_configuration() -> None:
    text = OF_SOMEBODY.replace("agent$$", "{{ 7 * 7 }}{% if x %}")
    assert (
        "{{ 7 * 7 }}{% if x %}"
        in render.arm(import_config(text, "o.yaml").pipeline, {}, (), 1).config
    )


def test_a_difference_reads_as_a_unified_diff() -> None:
    assert diff("a: 1\n", "a: 1\n", "x", "y") == ""
    assert diff("a: 1\n", "a: 2\n", "x", "y") == "--- x\n+++ y\n@@ -1 +1 @@\n-a: 1\n+a: 2\n"


@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_mangled_configuration_is_imported_or_refused_and_never_breaks(
    data: st.DataObject,
) -> None:
    lines = OF_SOMEBODY.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        key = lines[at].split(":")[0]
        values = ["", "null", "[3, {}]", "{a: 1}", "7", "text", "{enabled: 0}", "[[]]", "'${env:'"]
        lines[at] = f"{key}: {data.draw(st.sampled_from(values))}"
    try:
        pipeline = import_config("\n".join(lines), "mangled.yaml").pipeline
        for revision in (
            render.arm(pipeline, {}, DEFAULT_CRITICAL, 1),
            render.scraper(pipeline, {}, 1, ["baseline"], [], True),
            render.production(pipeline, {}, DEFAULT_CRITICAL, 30),
        ):
            assert documents.load(revision.config, "rendered")
    except BadConfiguration as refusal:
        assert refusal.remedy
