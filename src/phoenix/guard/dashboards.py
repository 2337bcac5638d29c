"""Dashboards from text: Grafana's JSON, whatever its schema, alone, wrapped or in a ConfigMap.

Schemas moved panels about (`rows`, `panels`, `elements`), but a query to Prometheus was always an
object with an `expr`, so the document is walked, and remembers the last title and data source that
it passed. Choices of variables are read where the file holds them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from phoenix.guard import promql, variables
from phoenix.guard.model import NoData, Query, Variable

_LABEL_VALUES = re.compile(
    r"\s*label_values\(\s*(?:(?P<selector>.*),)?\s*(?P<label>[^,]+?)\s*\)\s*\Z", re.DOTALL
)
_QUERY_RESULT = re.compile(r"\s*query_result\((?P<expr>.*)\)\s*\Z", re.DOTALL)
_ALL: Final = "$__all"
_FILLED_BY_FILE: Final = frozenset({"custom", "constant", "textbox", "interval"})
_DEEPEST = 60
_NO_DATA: Final[Mapping[str, NoData]] = {
    "ok": "ok",
    "no_data": "no_data",
    "alerting": "alerting",
    "keep_state": "keep_last",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """What the walk knows where it is."""

    title: str
    datasource: str = ""  # its type, "" when the file does not say
    no_data: NoData | None = None  # of an alert that belongs to the panel


@dataclass(frozen=True, slots=True)
class _Known:
    """The variables of a dashboard, and what each was saved with."""

    variables: Mapping[str, Variable]
    current: Mapping[str, str]


def read(text: str, file: str) -> list[Query] | None:
    """The queries of a dashboard; None when it is none. What cannot be read is one query of kind
    `file` with the reason."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = f"not JSON that can be read: {' '.join(str(error).split())[:200]}"
        return [Query(kind="file", source=file, name=file, expr="", unreadable=why)]
    return of(document, file)


def of(document: Any, file: str) -> list[Query] | None:
    """The queries of a parsed dashboard; None when it is none."""
    if isinstance(document, Mapping):
        for wrapper in ("dashboard", "spec"):
            if isinstance(document.get(wrapper), Mapping):
                document = document[wrapper]
    if not isinstance(document, Mapping) or not (
        {"panels", "rows", "elements", "templating"} & document.keys()
    ):
        return None
    title = str(document.get("title") or file)
    source = f"{file}: {title}" if title != file else file
    known = _variables(document)
    found = [query for query in _asked_by_variables(document, known, source) if query is not None]
    for expr, place in _expressions(document, _Place(title), _DEEPEST):
        found.append(_query(expr, place, known, source))
    return found


def _query(expr: str, place: _Place, known: _Known, source: str) -> Query:
    marked, why = variables.marked(expr, frozenset(known.variables), known.current)
    names = sorted(variables.used(expr) & known.variables.keys())
    return Query(
        kind="panel" if place.no_data is None else "alert",
        source=source,
        name=place.title,
        expr=marked,
        written=expr if marked != expr else "",
        variables=_with_those_they_use(names, known),
        no_data=place.no_data or "ok",
        thresholded=place.no_data is not None,
        unreadable=why or promql.why_not(marked),
    )


def _with_those_they_use(names: list[str], known: _Known) -> tuple[Variable, ...]:
    """The variables named, and those in whose own queries they stand."""
    found: dict[str, Variable] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in known.variables and name not in found:
            found[name] = known.variables[name]
            waiting += variables.MARK.findall(found[name].selector)
    return tuple(found[name] for name in sorted(found))


def _expressions(node: Any, place: _Place, depth: int) -> Iterator[tuple[str, _Place]]:
    """Every expression with its place; those of other languages are left out."""
    if depth == 0:
        return
    if isinstance(node, list):
        for item in node:
            yield from _expressions(item, place, depth - 1)
        return
    if not isinstance(node, Mapping):
        return
    place = _moved(node, place)
    expr = node.get("expr")
    if isinstance(expr, str) and expr.strip() and place.datasource in ("", "prometheus"):
        yield expr, place
    for key, value in node.items():
        if key not in ("templating", "variables"):
            yield from _expressions(value, place, depth - 1)


def _moved(node: Mapping[str, Any], place: _Place) -> _Place:
    if isinstance(node.get("title"), str) and node["title"]:
        place = replace(place, title=node["title"])
    elif isinstance(node.get("expr"), str) and isinstance(node.get("name"), str):
        place = replace(place, title=node["name"])  # an annotation
    source = node.get("datasource")
    if isinstance(source, Mapping) and isinstance(source.get("type"), str):
        # "mixed" panels say it again at each query.
        kind = source["type"]
        place = replace(place, datasource="" if kind in ("mixed", "datasource") else kind)
    alert = node.get("alert")
    if isinstance(alert, Mapping):
        said = _NO_DATA.get(str(alert.get("noDataState", "no_data")), "no_data")
        place = replace(place, no_data=said)
    return place


def _variables(document: Mapping[str, Any]) -> _Known:
    known: dict[str, Variable] = {}
    current: dict[str, str] = {}
    declared = list(_declared(document))
    names = frozenset(str(each["name"]) for each in declared)
    for each in declared:
        name = str(each["name"])
        saved = _saved(each)
        if saved:
            current[name] = saved
        if each.get("type") not in ("datasource", "adhoc"):
            known[name] = _variable(name, each, names, current)
    return _Known(known, current)


def _declared(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    templating = document.get("templating")
    listed = templating.get("list") if isinstance(templating, Mapping) else None
    for each in listed if isinstance(listed, list) else document.get("variables") or ():
        if not isinstance(each, Mapping):
            continue
        if isinstance(each.get("spec"), Mapping):  # the newer schema: {kind: QueryVariable, spec}
            kind = str(each.get("kind", "")).removesuffix("Variable").lower()
            each = {"type": kind, **each["spec"]}  # noqa: PLW2901  (the same thing, flattened)
        if isinstance(each.get("name"), str):
            yield each


def _saved(declared: Mapping[str, Any]) -> str:
    """The choice that the dashboard was saved with, or its first one; "" when there is none."""
    current = declared.get("current")
    value = current.get("value", current.get("text")) if isinstance(current, Mapping) else None
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, str) and first and first != _ALL:
        return first
    choices = _choices(declared)
    return choices[0] if choices else ""


def _choices(declared: Mapping[str, Any]) -> tuple[str, ...]:
    options = declared.get("options")
    values = [
        str(option["value"])
        for option in (options if isinstance(options, list) else ())
        if isinstance(option, Mapping) and option.get("value") not in (None, "", _ALL)
    ]
    query = declared.get("query")
    if not values and declared.get("type") in _FILLED_BY_FILE and isinstance(query, str):
        values = [part.strip().partition(" : ")[2] or part.strip() for part in query.split(",")]
    return tuple(value for value in dict.fromkeys(values) if value)


def _variable(
    name: str, declared: Mapping[str, Any], names: frozenset[str], current: Mapping[str, str]
) -> Variable:
    pattern = declared.get("regex")
    every = declared.get("allValue") if declared.get("includeAll") else None
    found = Variable(
        name=name,
        pattern=pattern if isinstance(pattern, str) else "",
        all_value=every if isinstance(every, str) else "",
    )
    if declared.get("type") in _FILLED_BY_FILE:
        return replace(found, values=_choices(declared))
    asked = _LABEL_VALUES.match(_asked(declared))
    if asked is None:
        return found
    selector, _ = variables.marked(asked["selector"] or "", names, current)
    return replace(found, selector=selector.strip(), label=asked["label"])


def _asked(declared: Mapping[str, Any]) -> str:
    query = declared.get("query")
    if isinstance(query, Mapping):
        spec = query.get("spec")
        query = query.get("query") or (spec.get("query") if isinstance(spec, Mapping) else None)
    return query if isinstance(query, str) else str(declared.get("definition") or "")


def _asked_by_variables(document: Mapping[str, Any], known: _Known, source: str) -> Iterator[Query]:
    """The queries that fill the dashboard's lists of choices."""
    for declared in _declared(document):
        name = str(declared["name"])
        variable = known.variables.get(name)
        result = _QUERY_RESULT.match(_asked(declared))
        if declared.get("type") != "query" or variable is None:
            continue
        expr = result["expr"] if result else variable.selector
        if expr:
            query = _query(expr, _Place(f"${name}"), known, source)
            yield replace(query, kind="variable", written=_asked(declared))
