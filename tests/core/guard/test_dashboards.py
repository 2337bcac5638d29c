"""Dashboards are read whatever their schema, with their variables in place of guesses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from phoenix.guard import dashboards, variables
from phoenix.guard.model import Query, Variable

PROCESS = {
    "name": "process",
    "type": "query",
    "query": {
        "query": 'label_values(process_uptime_seconds{host_name=~"$host"},'
        " process_executable_name)",
        "refId": "x",
    },
    "includeAll": True,
    "allValue": ".+",
    "regex": "/^ng/",
    "current": {"value": "$__all"},
}
HOST = {
    "name": "host",
    "type": "custom",
    "query": "web1, web2",
    "current": {"text": "web2", "value": ["web2"]},
}


def board(*exprs: str, templating: Any = (PROCESS, HOST), **more: Any) -> list[Query]:
    document = {
        "title": "Processes",
        "templating": {"list": list(templating)},
        "panels": [{"title": "CPU", "targets": [{"expr": expr} for expr in exprs]}],
        **more,
    }
    found = dashboards.of(document, "b.json")
    assert found is not None
    return [query for query in found if query.kind != "variable"]


def test_panel_keeps_the_place_of_each_variable_in_a_matcher() -> None:
    [panel] = board('rate(process_cpu_time_seconds_total{process_executable_name=~"$process"}[5m])')
    mark = f"{variables.OPEN}process{variables.CLOSE}"
    assert panel.expr == (
        f'rate(process_cpu_time_seconds_total{{process_executable_name=~"{mark}"}}[5m])'
    )
    assert panel.written.endswith('=~"$process"}[5m])')
    assert (panel.kind, panel.source, panel.name) == ("panel", "b.json: Processes", "CPU")
    assert panel.unreadable == ""


def test_panel_carries_its_variables_and_those_that_fill_them() -> None:
    [panel] = board('x{a=~"${process:regex}"}')
    host, process = panel.variables
    assert host == Variable(name="host", values=("web1", "web2"))
    assert (process.label, process.pattern) == ("process_executable_name", "/^ng/")
    assert process.all_value == ".+"
    assert process.selector == (
        f'process_uptime_seconds{{host_name=~"{variables.OPEN}host{variables.CLOSE}"}}'
    )


@pytest.mark.parametrize(
    ("written", "judged"),
    [
        ("rate(x[$__rate_interval])", "rate(x[5m])"),
        ("increase(x[${__range}])", "increase(x[1h])"),
        ("rate(x[$interval])", "rate(x[10m])"),
        ("topk($n, x)", "topk(3, x)"),
        ("sum by ([[label]]) (x)", "sum by (host_name) (x)"),
        ("x > ${__range_s}", "x > 3600"),
        ('label_replace(x, "a", "$1", "b", "(.*)")', 'label_replace(x, "a", "$1", "b", "(.*)")'),
    ],
)
def test_variable_outside_of_text_has_the_value_it_was_saved_with(
    written: str, judged: str
) -> None:
    templating = (
        {"name": "interval", "type": "interval", "query": "10m,1h"},
        {"name": "n", "type": "textbox", "query": "3"},
        {"name": "label", "type": "custom", "current": {"value": "host_name"}, "query": "a"},
    )
    [panel] = board(written, templating=templating)
    assert (panel.expr, panel.unreadable) == (judged, "")


def test_interval_that_grafana_chooses_is_any_interval() -> None:
    auto = {"name": "i", "type": "interval", "current": {"value": "$__auto_interval_i"}}
    [panel] = board("rate(x[$i])", templating=(auto,))
    assert panel.expr == "rate(x[5m])"


def test_variable_without_a_value_is_told() -> None:
    [panel] = board("sum by ($unknown) (x)")
    assert panel.unreadable == "the dashboard does not say what $unknown stands for"


def test_other_languages_are_left_out() -> None:
    loki = {
        "title": "Logs",
        "datasource": {"type": "loki"},
        "targets": [{"expr": '{a="b"} |= "x"'}],
    }
    mixed = {
        "title": "Both",
        "datasource": {"type": "datasource", "uid": "-- Mixed --"},
        "targets": [
            {"expr": "up", "datasource": {"type": "prometheus"}},
            {"expr": '{a="b"} |= "x"', "datasource": {"type": "loki"}},
        ],
    }
    assert [query.expr for query in board(panels=[loki, mixed])] == ["up"]


def test_rows_old_and_new_and_annotations_are_walked() -> None:
    new_row = {
        "type": "row",
        "title": "Row",
        "panels": [{"title": "N", "targets": [{"expr": "b"}]}],
    }
    found = board(
        panels=[new_row],
        rows=[{"title": "Old", "panels": [{"title": "O", "targets": [{"expr": "a"}]}]}],
        annotations={"list": [{"name": "Deploys", "expr": "changes(c[5m])"}]},
    )
    assert {(query.name, query.expr) for query in found} == {
        ("N", "b"),
        ("O", "a"),
        ("Deploys", "changes(c[5m])"),
    }


def test_newest_schema_is_walked_too() -> None:
    spec = {
        "title": "V2",
        "variables": [
            {
                "kind": "QueryVariable",
                "spec": {
                    "name": "p",
                    "query": {"kind": "prometheus", "spec": {"query": "label_values(x, a)"}},
                },
            }
        ],
        "elements": {
            "panel-1": {
                "kind": "Panel",
                "spec": {
                    "title": "E",
                    "data": {"spec": {"queries": [{"spec": {"expr": 'x{a="$p"}'}}]}},
                },
            }
        },
    }  # fmt: skip
    found = dashboards.of({"kind": "Dashboard", "spec": spec}, "v2.json")
    assert found is not None
    variable, panel = found
    assert (variable.kind, variable.expr) == ("variable", "x")
    assert panel.name == "E"
    assert [(each.name, each.label) for each in panel.variables] == [("p", "a")]


def test_alert_of_a_panel_has_its_state_without_data() -> None:
    panel = {
        "title": "A",
        "alert": {"noDataState": "alerting"},
        "targets": [{"expr": "up"}],
    }
    [query] = board(panels=[panel])
    assert (query.kind, query.no_data, query.thresholded) == ("alert", "alerting", True)


def test_lists_of_choices_are_queries_themselves() -> None:
    asked = {"name": "r", "type": "query", "query": "query_result(topk(3, x))"}
    found = dashboards.of({"title": "T", "templating": {"list": [PROCESS, asked]}}, "t.json")
    assert found is not None
    assert [(query.kind, query.name) for query in found] == [
        ("variable", "$process"),
        ("variable", "$r"),
    ]
    assert found[1].expr == "topk(3, x)"


def test_dashboard_from_the_api_is_unwrapped() -> None:
    wrapped = {"meta": {}, "dashboard": {"title": "W", "panels": [{"targets": [{"expr": "up"}]}]}}
    found = dashboards.read(json.dumps(wrapped), "w.json")
    assert found is not None
    assert (found[0].source, found[0].expr) == ("w.json: W", "up")


@pytest.mark.parametrize("text", ["[]", "1", '{"a": 1}', '{"groups": []}'])
def test_json_that_is_no_dashboard_holds_none(text: str) -> None:
    assert dashboards.read(text, "x.json") is None


def test_file_that_is_no_json_is_told_and_not_passed_over() -> None:
    found = dashboards.read("{", "x.json")
    assert found is not None
    assert found[0].unreadable.startswith("not JSON that can be read")


def test_nonsense_inside_a_dashboard_breaks_nothing() -> None:
    document = {
        "templating": {"list": [1, {"name": 2}, {"name": "a", "query": [], "options": 3}]},
        "panels": [1, {"title": 4, "targets": {"expr": 5}, "datasource": 6, "alert": 7}],
        "title": ["x"],
    }
    assert dashboards.of(document, "x.json") == []


def test_panel_survives_being_written_and_read() -> None:
    [panel] = board('x{a=~"$process"}')
    assert Query.from_dict(json.loads(json.dumps(panel.to_dict()))) == panel
