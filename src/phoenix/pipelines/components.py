"""The components of our collector distribution, the signals each carries, and their fields.

`components.json` is generated from the built collector:

    otelcol-phoenix components > components.yaml
    python -c 'import json, sys; from phoenix.pipelines import components as c; \\
        print(json.dumps(c.table_from(open(sys.argv[1]).read()), indent=2))' components.yaml

The fields of processors and the metrics of the process scraper were read from the sources of the
same version (`config.go` of each processor, `metadata.yaml` of the process scraper); those of
`process_budget` are compared with its `config.go` by a test.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, Literal

Kind = Literal["receivers", "processors", "exporters", "connectors", "extensions"]
KINDS: tuple[Kind, ...] = ("receivers", "processors", "exporters", "connectors", "extensions")

# Names from before v0.144, still accepted by the collector.
_ALIASES: dict[str, str] = {
    "hostmetrics": "host_metrics",
    "otlphttp": "otlp_http",
    "cumulativetodelta": "cumulative_to_delta",
    "deltatocumulative": "delta_to_cumulative",
    "metricstransform": "metrics_transform",
    "metricstarttime": "metric_start_time",
    "prometheusremotewrite": "prometheus_remote_write",
}

FIELDS: dict[str, frozenset[str]] = {
    "attributes": frozenset(("actions", "include", "exclude")),
    "batch": frozenset((
        "timeout", "send_batch_size", "send_batch_max_size", "metadata_keys",
        "metadata_cardinality_limit",
    )),
    "cumulative_to_delta": frozenset(("max_staleness", "initial_value", "include", "exclude")),
    "delta_to_cumulative": frozenset(("max_stale", "max_streams")),
    "filter": frozenset((
        "error_mode", "metrics", "logs", "spans", "traces", "profiles", "metric_conditions",
        "log_conditions", "trace_conditions", "profile_conditions",
    )),
    "groupbyattrs": frozenset(("keys",)),
    "interval": frozenset(("interval", "pass_through")),
    "memory_limiter": frozenset((
        "check_interval", "limit_mib", "spike_limit_mib", "limit_percentage",
        "spike_limit_percentage", "min_gc_interval_when_soft_limited",
        "min_gc_interval_when_hard_limited", "max_gc_interval_when_soft_limited",
        "max_gc_interval_when_hard_limited",
    )),
    "metric_start_time": frozenset(("strategy", "gc_interval", "start_time_metric_regex")),
    "metrics_transform": frozenset(("transforms",)),
    "process_budget": frozenset((
        "max_processes", "max_critical", "critical", "categories", "other_category",
        "unseen_category", "category_attribute", "reason_attribute", "host_attributes", "top",
        "hysteresis", "hog", "anomaly", "tiers", "adaptive", "slots", "temporality", "linger",
        "gauges", "storage", "save_every", "stale_after", "max_tracked", "scrape_window",
    )),
    "resource": frozenset(("attributes",)),
    "transform": frozenset((
        "error_mode", "trace_statements", "metric_statements", "log_statements",
        "profile_statements", "flatten_data",
    )),
}  # fmt: skip

# Metric of the process scraper: its point attributes and whether its values are doubles.
PROCESS_METRICS: dict[str, tuple[frozenset[str], bool]] = {
    "process.context_switches": (frozenset(("type", "context_switch_type")), False),
    "process.cpu.time": (frozenset(("state",)), True),
    "process.cpu.utilization": (frozenset(("state",)), True),
    "process.disk.io": (frozenset(("direction",)), False),
    "process.disk.operations": (frozenset(("direction",)), False),
    "process.handles": (frozenset(), False),
    "process.memory.usage": (frozenset(), False),
    "process.memory.utilization": (frozenset(), True),
    "process.memory.virtual": (frozenset(), False),
    "process.open_file_descriptors": (frozenset(), False),
    "process.paging.faults": (frozenset(("type", "paging_fault_type")), False),
    "process.signals_pending": (frozenset(), False),
    "process.threads": (frozenset(), False),
    "process.uptime": (frozenset(), True),
}
# They exist only behind a feature gate, under which the old names and attributes are gone.
GATED_METRICS = frozenset(
    ("process.thread.count", "process.unix.file_descriptor.count", "process.windows.handle.count")
)
PROCESS_RESOURCE_ATTRIBUTES = frozenset((
    "process.cgroup", "process.linux.cgroup", "process.command", "process.command_line",
    "process.executable.name", "process.executable.path", "process.owner", "process.parent_pid",
    "process.pid",
))  # fmt: skip


def type_of(kind: Kind, identifier: str) -> str:
    """The canonical type in `type/name`, with the old spellings brought up to date."""
    given = str(identifier).split("/", 1)[0]
    if kind == "exporters" and given == "otlp":
        return "otlp_grpc"
    return _ALIASES.get(given, given)


def known(kind: Kind) -> dict[str, list[str]]:
    """Type to signals (for connectors, `metrics-to-metrics` and the like) of the distribution."""
    found: dict[str, list[str]] = _table()[kind]
    return found


def version() -> str:
    """The version of the collector that the table was made from."""
    return str(_table()["collector"])


def table_from(output: str) -> dict[str, Any]:
    """The table in `output`, which is what `otelcol-phoenix components` prints (YAML)."""
    from phoenix.pipelines import documents  # noqa: PLC0415  (only for making the table)

    printed = documents.load(output, "components")
    table: dict[str, Any] = {
        "collector": printed["buildinfo"]["version"],
        "made_by": "otelcol-phoenix components, then phoenix.pipelines.components.table_from",
    }
    for kind in KINDS:
        found = {
            item["name"]: sorted(
                s for s, level in item["stability"].items() if level != "Undefined"
            )
            for item in printed[kind]
        }
        table[kind] = dict(sorted(found.items()))
    return table


@cache
def _table() -> dict[str, Any]:
    file = resources.files("phoenix.pipelines") / "components.json"
    table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return table
