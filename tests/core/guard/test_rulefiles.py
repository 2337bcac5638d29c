"""Rules are read from every form that people keep them in; what cannot be read is told."""

from __future__ import annotations

import json

import pytest

from phoenix.guard import promql, rulefiles
from phoenix.guard.model import Query

PROMETHEUS = """
groups:
- name: web
  rules:
  - alert: NginxDown
    expr: absent(process_uptime_seconds{process_executable_name="nginx"})
    for: 5m
    keep_firing_for: 10m
    labels: {severity: critical}
  - record: process:cpu:rate5m
    expr: sum by (process_executable_name) (rate(process_cpu_time_seconds_total[5m]))
    labels: {team: web}
"""


def read(text: str) -> list[Query]:
    found = rulefiles.read(text, "rules.yaml")
    assert found is not None
    return found


def test_prometheus_rules_keep_what_decides_about_their_answer() -> None:
    alert, recording = read(PROMETHEUS)
    assert alert == Query(
        kind="alert",
        source="rules.yaml: web",
        name="NginxDown",
        expr='absent(process_uptime_seconds{process_executable_name="nginx"})',
        labels={"severity": "critical"},
        keep_firing_for="10m",
    )
    assert (recording.kind, recording.name) == ("recording", "process:cpu:rate5m")
    assert recording.labels == {"team": "web"}


def test_resources_lists_and_several_documents_are_looked_into() -> None:
    spec = PROMETHEUS.replace("\n", "\n  ")
    resource = f"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:{spec}"
    listed = "kind: List\nitems:\n- " + resource.replace("\n", "\n  ")
    assert [query.name for query in read(f"{resource}\n---\n{listed}")] == [
        "NginxDown",
        "process:cpu:rate5m",
    ] * 2


def test_mimir_file_with_its_namespace_is_the_same() -> None:
    assert len(read(f"namespace: team\n{PROMETHEUS}")) == 2


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("OK", "ok"),
        ("NoData", "no_data"),
        ("Alerting", "alerting"),
        ("KeepLast", "keep_last"),
        ("no_data", "no_data"),
        ("something else", "no_data"),
    ],
)
def test_grafana_alert_says_what_it_becomes_without_an_answer(said: str, meant: str) -> None:
    rule = {
        "title": "No leader",
        "noDataState": said,
        "data": [
            {"refId": "A", "datasourceUid": "prom", "model": {"expr": "min(etcd_has_leader)"}},
            {"refId": "B", "datasourceUid": "__expr__", "model": {"expression": "A", "expr": "$A"}},
        ],
    }
    [query] = read(json.dumps({"apiVersion": 1, "groups": [{"name": "g", "rules": [rule]}]}))
    assert (query.name, query.expr, query.no_data) == ("No leader", "min(etcd_has_leader)", meant)
    assert query.thresholded


def test_expression_that_is_no_promql_cannot_be_judged() -> None:
    [query] = read("groups: [{name: g, rules: [{alert: A, expr: 'sum(rate(x[5m])'}]}]")
    assert query.unreadable.startswith("not PromQL that can be read: ")


def test_file_that_is_no_yaml_is_told_and_not_passed_over() -> None:
    [query] = read("groups:\n- name: {{ .Values.name }}\n  rules: [")
    assert query.kind == "file"
    assert "not YAML" in query.unreadable


@pytest.mark.parametrize("text", ["a: 1", "- 1", "", "text", "spec: {a: 1}"])
def test_file_without_groups_holds_no_rules(text: str) -> None:
    assert rulefiles.read(text, "other.yaml") is None


@pytest.mark.parametrize(
    "text",
    [
        "groups: [1, {rules: 2}, {rules: [3, {alert: A}, {title: T, data: [4, {model: 5}]}]}]",
        "groups: [{name: g, rules: [{alert: [x], expr: {a: b}, labels: 3}]}]",
    ],
)
def test_nonsense_inside_groups_breaks_nothing(text: str) -> None:
    assert all(query.unreadable for query in read(text))


def test_query_survives_being_written_and_read() -> None:
    for query in read(PROMETHEUS):
        assert Query.from_dict(json.loads(json.dumps(query.to_dict()))) == query


def test_enormous_expression_is_not_parsed() -> None:
    assert "longer than" in promql.why_not("a + " * 10_000 + "a")


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        ("(" * 101 + "x" + ")" * 101, "nested more than"),
        ("sum(" * 2_500 + "x" + ")" * 2_500, "nested more than"),
        ("-" * 9_000 + "x", "operators"),
        (" or ".join(["x"] * 402), "operators"),
        ("{" * 5_000, "nested more than"),
    ],
)
def test_expression_that_would_break_the_parser_never_reaches_it(expr: str, why: str) -> None:
    assert why in promql.why_not(expr)


@pytest.mark.parametrize(
    "expr",
    [
        "(" * 100 + "x" + ")" * 100,
        " + ".join(["x"] * 400),
        'x{a="' + "(" * 500 + '"} # ' + "(" * 500,
        """x{a='"((((("}""".replace('"}', """'}"""),
    ],
)
def test_deep_and_long_expressions_are_read_up_to_the_bound(expr: str) -> None:
    assert promql.why_not(expr) == ""


@pytest.mark.parametrize(
    "expr",
    [
        '{"process.cpu.time", "process.executable.name"=~"nginx|envoy"}',
        "topk(5, rate(x[5m])) or vector(0)",
        'x{a="1" or b="2"}',
        "x @ start() offset -5m",
        "max_over_time(sum(x)[1h:5m])",
        'sum by ("process.executable.name") (x)',
    ],
)
def test_grammar_of_prometheus_3_is_read(expr: str) -> None:
    assert promql.why_not(expr) == ""
