"""Rules from text: Prometheus, Mimir and Thanos files, PrometheusRule resources, Grafana alerts.

All of them hold `groups` of `rules`: at the top, in the `spec` of a resource, in a list of
resources, or as text in a ConfigMap. A Grafana alert keeps its queries under `data`, its threshold
outside of them, and says what becomes of it without an answer.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any, Final

from phoenix.guard import promql
from phoenix.guard.model import NoData, Query

_NO_DATA: Final[Mapping[str, NoData]] = {
    "ok": "ok", "normal": "ok", "nodata": "no_data", "alerting": "alerting",
    "keeplast": "keep_last", "keeplaststate": "keep_last", "keepstate": "keep_last",
}  # fmt: skip
_EXPRESSIONS = "__expr__"  # Grafana's own arithmetic over queries, which asks no backend
_NESTED_MAX = 6


def read(text: str, file: str) -> list[Query] | None:
    """The queries of a file of rules; None when it holds none. What cannot be read is one query
    of kind `file` with the reason."""
    from ruamel.yaml import YAML  # noqa: PLC0415  (a tenth of a second that nobody else need pay)
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        documents = list(YAML(typ="safe", pure=True).load_all(io.StringIO(text)))
    except (YAMLError, ValueError, RecursionError, OverflowError) as error:
        why = f"not YAML that can be read: {' '.join(str(error).split())[:200]}"
        return [Query(kind="file", source=file, name=file, expr="", unreadable=why)]
    found: list[Query] = []
    is_rules = False
    for document in documents:
        for groups in _groups(document, _NESTED_MAX):
            is_rules = True
            found.extend(_of_groups(groups, file))
    return found if is_rules else None


def _groups(document: Any, depth: int) -> Iterator[list[Any]]:
    """Every list of groups in a document."""
    if not isinstance(document, Mapping) or depth == 0:
        return
    if isinstance(document.get("groups"), list):
        yield document["groups"]
        return
    if isinstance(document.get("spec"), Mapping):
        yield from _groups(document["spec"], depth - 1)
    items = document.get("items")
    for item in items if isinstance(items, list) else ():
        yield from _groups(item, depth - 1)


def _of_groups(groups: list[Any], file: str) -> Iterator[Query]:
    for group in groups:
        if not isinstance(group, Mapping):
            continue
        source = f"{file}: {group.get('name', 'a group without a name')}"
        rules = group.get("rules")
        for rule in rules if isinstance(rules, list) else ():
            if not isinstance(rule, Mapping):
                continue
            if isinstance(rule.get("data"), list):
                yield from _of_grafana(rule, source)
            elif "expr" in rule:
                yield _of_prometheus(rule, source)


def _of_prometheus(rule: Mapping[str, Any], source: str) -> Query:
    expr = str(rule["expr"])
    recorded = rule.get("record")
    labels = rule.get("labels")
    return Query(
        kind="recording" if recorded else "alert",
        source=source,
        name=str(recorded or rule.get("alert") or "a rule without a name"),
        expr=expr,
        labels=_texts(labels),
        keep_firing_for=str(rule.get("keep_firing_for") or ""),
        unreadable=promql.why_not(expr),
    )


def _of_grafana(rule: Mapping[str, Any], source: str) -> Iterator[Query]:
    """The queries of a Grafana alert, of which each has to answer."""
    said = rule.get("noDataState", rule.get("no_data_state", "NoData"))
    no_data = _NO_DATA.get(str(said).lower().replace("_", ""), "no_data")
    for part in rule["data"]:
        if not isinstance(part, Mapping):
            continue
        model = part.get("model")
        expr = model.get("expr") if isinstance(model, Mapping) else None
        asked = part.get("datasourceUid", part.get("datasource_uid"))
        if not isinstance(expr, str) or str(asked) in (_EXPRESSIONS, "-100"):
            continue
        yield Query(
            kind="alert",
            source=source,
            name=str(rule.get("title") or rule.get("uid") or "an alert without a title"),
            expr=expr,
            labels=_texts(rule.get("labels")),
            no_data=no_data,
            thresholded=True,
            unreadable=promql.why_not(expr),
        )


def _texts(labels: Any) -> dict[str, str]:
    if not isinstance(labels, Mapping):
        return {}
    # A label made by a template depends on the answer; its presence is what matters here.
    return {str(key): str(value) for key, value in labels.items()}
