"""Each OTTL statement and condition by itself: does it parse, and does it say what was meant.

The collector refuses what does not parse. It does not refuse a condition on the wrong context, on a
metric that does not exist, or on the wrong kind of number: those are true for everything or for
nothing, and no log tells (measured at v0.161).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from phoenix.pipelines import ottl_parse, re2
from phoenix.pipelines.components import PROCESS_METRICS, PROCESS_RESOURCE_ATTRIBUTES
from phoenix.pipelines.lint_rules.scraper import misspelt, nearest_metric
from phoenix.pipelines.lint_rules.view import Finding, Path, View, items
from phoenix.pipelines.ottl_parse import Node, Unreadable

NAME = 'resource.attributes["process.executable.name"]'
PID = 'resource.attributes["process.pid"]'
_INTEGERS = frozenset((PID, 'resource.attributes["process.parent_pid"]'))
_TEXT_FUNCTIONS = frozenset((
    "Split", "Substring", "ConvertCase", "HasPrefix", "HasSuffix", "Trim", "TrimPrefix",
    "TrimSuffix", "ToLowerCase", "ToUpperCase", "SHA1", "SHA256", "SHA512", "MD5", "Base64Decode",
))  # fmt: skip
_SINGLE_DOLLAR = re.compile(r"(?<!\$)\$(?:\$\$)*(?![\${])")
_OTHER_SPELLINGS = {"DELTA": "AGGREGATION_TEMPORALITY_DELTA",
                    "CUMULATIVE": "AGGREGATION_TEMPORALITY_CUMULATIVE"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One statement or condition of a processor, as written and (if it parses) as read."""

    processor: str
    path: Path
    text: str
    context: str | None
    group: Path
    is_condition: bool
    node: Node | None
    trouble: Unreadable | None


def of_processor(identifier: str, settings: Mapping[str, Any]) -> list[Written]:
    """Everything in OTTL that a filter or a transform says about metrics."""
    base: Path = ("processors", identifier)
    found: list[Written] = []
    for key, inner in (("metric_statements", "statements"), ("metric_conditions", "conditions")):
        entries = settings.get(key)
        for i, entry in enumerate(items(entries)):
            found += _entry(identifier, (*base, key, i), entry, inner)
    legacy = settings.get("metrics")
    for context, key in (
        ("resource", "resource"),
        ("metric", "metric"),
        ("datapoint", "datapoint"),
    ):
        entries = legacy.get(key) if isinstance(legacy, Mapping) else None
        for i, text in enumerate(items(entries)):
            path = (*base, "metrics", key, i)
            found.append(_written(identifier, path, path, str(text), context, condition=True))
    return found


def every(view: View) -> Iterator[tuple[str, list[Written]]]:
    """Per filter and transform: its identifier and what it says."""
    for wanted in ("filter", "transform"):
        for identifier, settings in view.of_type("processors", wanted):
            yield identifier, of_processor(identifier, settings)


def check(view: View) -> Iterator[Finding]:
    """Every finding of this module."""
    made = _made_metrics(view)
    for _, written in every(view):
        for one in written:
            yield from _dollars(view, one)
            if one.trouble is not None:
                yield _unreadable(view, one, one.trouble)
            if one.node is not None:
                yield from _said(view, one, one.node, made)
        yield from _groups(view, written)
    for identifier, settings in view.of_type("processors", "filter"):
        yield from _styles(view, identifier, settings)
    for wanted in ("filter", "transform"):
        for identifier, settings in view.of_type("processors", wanted):
            yield from _error_mode(view, identifier, settings)


def _entry(identifier: str, path: Path, entry: Any, inner: str) -> list[Written]:
    condition = inner == "conditions"
    if isinstance(entry, str):
        # Statements written as a flat list are one group of one context, inferred from them all.
        return [_written(identifier, path, path[:-1], entry, None, condition=condition)]
    if not isinstance(entry, Mapping):
        return []
    context = entry.get("context")
    context = str(context) if context else None
    texts = entry.get(inner)
    found = [
        _written(identifier, (*path, inner, i), path, str(text), context, condition=condition)
        for i, text in enumerate(items(texts))
    ]
    if not condition:
        extra = entry.get("conditions")
        found += [
            _written(identifier, (*path, "conditions", i), path, str(text), context, condition=True)
            for i, text in enumerate(items(extra))
        ]
    return found


def _written(
    identifier: str, path: Path, group: Path, text: str, context: str | None, *, condition: bool
) -> Written:
    node, trouble = None, None
    plain = re.sub(r"\$\$", "$", text)
    try:
        read = ottl_parse.condition if condition else ottl_parse.statement
        node = read(plain, context)
    except Unreadable as error:
        trouble = error
    return Written(
        processor=identifier, path=path, group=group, text=text, context=context,
        is_condition=condition, node=node, trouble=trouble,
    )  # fmt: skip


def _unreadable(view: View, one: Written, trouble: Unreadable) -> Finding:
    if trouble.escape:
        return view.finding(
            "ottl-escape", "error", one.path, f"{trouble}.", 'Double the backslash: "^a\\\\.b".'
        )
    return view.finding(
        "ottl-syntax", "error", one.path, f"The collector cannot read this: {trouble}.",
        "Comparisons are == != < > <= >=; patterns are IsMatch(field, \"pattern\").",
    )  # fmt: skip


def _dollars(view: View, one: Written) -> Iterator[Finding]:
    if _SINGLE_DOLLAR.search(one.text):
        yield view.finding(
            "single-dollar", "warning", one.path,
            "A single dollar sign is for the configuration's own variables.", "Write $$.",
        )  # fmt: skip


def _said(view: View, one: Written, node: Node, made: frozenset[str]) -> Iterator[Finding]:
    yield from _patterns(view, one, node)
    yield from _words(view, one, node)
    yield from _paths(view, one, node)
    yield from _metric_names(view, one, node, made)
    yield from _kinds_of_value(view, one, node)
    yield from _unguarded(view, one, node)
    yield from _aggregations(view, one, node)


def _patterns(view: View, one: Written, node: Node) -> Iterator[Finding]:
    for call in node.walk():
        if call.kind != "call" or call.value not in {"IsMatch", "replace_pattern"}:
            continue
        for argument in call.parts[1:2]:
            reason = re2.why_not_re2(argument.value) if argument.kind == "text" else None
            if reason is not None:
                yield view.finding(
                    "bad-regex", "error", one.path, f"{argument.value!r} is no pattern: {reason}.",
                    "Use RE2 syntax: https://github.com/google/re2/wiki/Syntax",
                )  # fmt: skip
        for word in _named_in(call):
            if (meant := misspelt(word)) is not None:
                yield view.finding(
                    "suspect-name", "warning", one.path,
                    f"{word!r} looks like {meant!r}, misspelt.",
                    f"Write {meant!r}, or make sure that such a process exists.",
                )  # fmt: skip


def _named_in(call: Node) -> list[str]:
    """The plain words of a pattern on the executable's name."""
    if len(call.parts) < 2 or call.parts[0].key() != NAME:
        return []
    return re.findall(r"[A-Za-z][A-Za-z0-9_-]{3,}", call.parts[1].value)


def _words(view: View, one: Written, node: Node) -> Iterator[Finding]:
    for part in node.walk():
        if part.kind == "call" and part.value not in ottl_parse.FUNCTIONS:
            yield view.finding(
                "unknown-function", "error", one.path, f"There is no function {part.value}.",
                "No function ranks processes; see process-threshold-v1."
                if "top" in part.value.lower() else
                "Functions: pkg/ottl/ottlfuncs of the collector's contrib repository.",
            )  # fmt: skip
        if part.kind == "enum" and part.value not in ottl_parse.ENUMS:
            meant = _OTHER_SPELLINGS.get(
                part.value, ", ".join(sorted(ottl_parse.ENUMS)[:3]) + ", …"
            )
            yield view.finding(
                "unknown-enum", "error", one.path, f"There is no constant {part.value}.",
                f"Write {meant}.",
            )  # fmt: skip


def _paths(view: View, one: Written, node: Node) -> Iterator[Finding]:
    for part in node.walk():
        if part.kind != "path":
            continue
        root = part.value.split(".")[0]
        if root not in ottl_parse.ROOTS and part.value in {
            "attributes",
            "name",
            "value_int",
            "value_double",
            "time",
            "type",
        }:
            yield view.finding(
                "unprefixed-path", "error", one.path, f"{part.value} does not say of what.",
                f"Write resource.{part.value}, metric.{part.value} or datapoint.{part.value}.",
            )  # fmt: skip
        if (
            part.value == "datapoint.attributes"
            and part.parts
            and (part.parts[0].value in PROCESS_RESOURCE_ATTRIBUTES)
            and not _assigns(one, part)
        ):
            yield view.finding(
                "resource-attribute-on-datapoint", "error", one.path,
                f"{part.parts[0].value} is an attribute of the resource; on a data point it is "
                "absent, so this is true (or false) for everything.",
                f'Write resource.attributes["{part.parts[0].value}"].',
            )  # fmt: skip


def _assigns(one: Written, part: Node) -> bool:
    """Is `part` what a `set` gives a value to."""
    call = one.node.parts[0] if one.node is not None and one.node.kind == "statement" else None
    return call is not None and call.value == "set" and call.parts[:1] == (part,)


def _metric_names(view: View, one: Written, node: Node, made: frozenset[str]) -> Iterator[Finding]:
    for part in node.walk():
        name = _compared_name(part)
        if name is None or not name.startswith("process."):
            continue
        if name not in PROCESS_METRICS and name not in made:
            yield view.finding(
                "dead-metric-name", "error", one.path,
                f"No metric {name} is scraped or made here, so this never matches.",
                nearest_metric(name),
            )  # fmt: skip


def _kinds_of_value(view: View, one: Written, node: Node) -> Iterator[Finding]:
    names = {_compared_name(part) for part in node.walk()} - {None}
    fields = {part.value for part in node.walk() if part.kind == "path"}
    for name in sorted(n for n in names if n in PROCESS_METRICS):
        double = PROCESS_METRICS[str(name)][1]
        wrong = "datapoint.value_int" if double else "datapoint.value_double"
        if len(names) == 1 and wrong in fields:
            right = "datapoint.value_double" if double else "datapoint.value_int"
            yield view.finding(
                "wrong-value-field", "error", one.path,
                f"{name} is a {'double' if double else 'whole number'}: {wrong} of it is always 0.",
                f"Write {right}.",
            )  # fmt: skip
    for call in node.walk():
        target = call.parts[0].key() if call.kind == "call" and call.parts else ""
        if call.value in _TEXT_FUNCTIONS and target in _INTEGERS:
            yield view.finding(
                "wrong-type", "error", one.path,
                f"{call.value} takes text, and {target} is a whole number: it fails every time.",
                f"Write {call.value}(String({target}), ..).",
            )  # fmt: skip


def _unguarded(view: View, one: Written, node: Node) -> Iterator[Finding]:
    """`not IsMatch(name, ..)` in a dropping condition is true of everything that has no name."""
    if not one.is_condition:
        return
    guarded = any(
        part.kind == "compare" and part.value == "!=" and part.parts[0].key() in {PID, NAME}
        and part.parts[1].kind == "nil"
        for part in node.walk()
    )  # fmt: skip
    negated = any(
        part.kind == "not" and any(p.kind == "call" and _named_in_call(p) for p in part.walk())
        for part in node.walk()
    )
    if negated and not guarded:
        yield view.finding(
            "unguarded-negation", "warning", one.path,
            "What has no executable name (system metrics) does not match either, so it is dropped.",
            f"Begin with {PID} != nil and ...",
        )  # fmt: skip


def _named_in_call(call: Node) -> bool:
    return call.value == "IsMatch" and bool(call.parts) and call.parts[0].key() == NAME


def _aggregations(view: View, one: Written, node: Node) -> Iterator[Finding]:
    for call in node.walk():
        if call.kind != "call":
            continue
        if call.value == "TruncateTime":
            yield view.finding(
                "truncated-time", "warning", one.path,
                "A scrape that straddles a boundary is split into two buckets with one timestamp.",
                "Give every point the time of the payload's first point (process-aggregated-v1).",
            )  # fmt: skip
        if call.value != "aggregate_on_attributes" or not call.parts:
            continue
        how = call.parts[0].value
        labels = {p.value for p in (call.parts[1].parts if len(call.parts) > 1 else ())}
        names = {_compared_name(part) for part in node.walk()} - {None}
        if how == "count":
            yield view.finding(
                "aggregate-count", "error", one.path,
                "A group of one keeps its own value instead of 1.",
                "Copy the metric, set its value to 1, and sum.",
            )  # fmt: skip
        if how in {"sum", "mean"} and names & {"process.uptime"} and not _excludes_uptime(node):
            yield view.finding(
                "summed-ratio", "error", one.path, f"The {how} of uptimes means nothing.",
                "Use max for process.uptime.",
            )  # fmt: skip
        if how == "mean" and any("utilization" in str(name) for name in names):
            yield view.finding(
                "summed-ratio", "error", one.path, "A mean of shares is no share.", "Use sum."
            )
        if "state" in labels and "cpu.mode" not in labels:
            yield view.finding(
                "gate-dependent", "warning", one.path,
                "Under the newer semantic conventions `state` is `cpu.mode`, and would be lost.",
                "Add cpu.mode and disk.io.direction to the list.",
            )  # fmt: skip


def _excludes_uptime(node: Node) -> bool:
    return any(
        part.kind == "compare" and part.value == "!=" and part.parts[1].value == "process.uptime"
        for part in node.walk()
    )


def _compared_name(part: Node) -> str | None:
    if part.kind == "compare" and part.parts[0].key() == "metric.name":
        return part.parts[1].value if part.parts[1].kind == "text" else None
    return None


def _groups(view: View, written: list[Written]) -> Iterator[Finding]:
    """Functions of a whole metric cannot share a group with paths of a data point."""
    groups: dict[Path, list[Written]] = {}
    for one in written:
        if not one.is_condition:
            groups.setdefault(one.group, []).append(one)
    for members in groups.values():
        nodes = [n for one in members if one.node is not None for n in one.node.walk()]
        calls = [n.value for n in nodes if n.kind == "call"]
        whole = [name for name in calls if name in ottl_parse.EDITORS_OF_METRICS]
        points = any(n.kind == "path" and n.value.startswith("datapoint.") for n in nodes)
        if whole and points:
            yield view.finding(
                "mixed-context", "error", members[0].path,
                f"{whole[0]} works on a metric, and the same group names a data point.",
                "Split them: - statements: [..] for each.",
            )  # fmt: skip
        elif points:
            yield from _removed_under_points(view, members)


def _removed_under_points(view: View, members: list[Written]) -> Iterator[Finding]:
    """A group of data points runs whole for each point: what it removes is gone for the next."""
    read: set[str] = set()
    for one in members:
        if one.node is None or one.node.kind != "statement":
            continue
        call, *where = one.node.parts
        if call.parts and call.parts[0].key() == "resource.attributes":
            lost = sorted(key for key in read if removes(call, key))
            if lost:
                yield view.finding(
                    "removed-under-points", "error", one.path,
                    f"It runs for each data point, so {', '.join(lost)} is gone after the first "
                    "point of a process, and the statements before find nothing for the others.",
                    "Put it into a group of its own: - statements: [..].",
                )  # fmt: skip
        uses = [p for part in (*call.parts[1:], *where) for p in part.walk()]
        read |= {p.parts[0].value for p in uses if p.value == "resource.attributes" and p.parts}


def removes(call: Node, attribute: str) -> bool:
    """Does this editor, applied to the resource's attributes, take `attribute` away?"""
    names = {p.value for part in call.parts[1:] for p in part.walk() if p.kind == "text"}
    if call.value in {"delete_key", "delete_keys"}:
        return attribute in names
    if call.value == "keep_keys":
        return attribute not in names
    if call.value in {"delete_matching_keys", "keep_matching_keys"}:
        usable = [n for n in names if re2.why_not_both(n) is None]
        matched = any(re2.compiled(n).search(attribute) for n in usable)
        return matched == (call.value == "delete_matching_keys")
    return False


def _styles(view: View, identifier: str, settings: Mapping[str, Any]) -> Iterator[Finding]:
    if "metric_conditions" in settings and "metrics" in settings:
        yield view.finding(
            "filter-two-styles", "error", ("processors", identifier, "metrics"),
            "metrics: and metric_conditions: cannot be in one filter.",
            "Keep metric_conditions.",
        )  # fmt: skip
    for one in of_processor(identifier, settings):
        fields = {n.value for n in one.node.walk() if n.kind == "path"} if one.node else set()
        values = {f for f in fields if f.startswith("datapoint.value")}
        if values and one.is_condition:
            yield view.finding(
                "drops-points", "warning", one.path,
                "It drops single points: a process keeps its other metrics, looks alive and is not "
                "seen whole.",
                "Mark the resource in a transform, drop by the mark, then delete the mark.",
            )  # fmt: skip


def _error_mode(view: View, identifier: str, settings: Mapping[str, Any]) -> Iterator[Finding]:
    mode = settings.get("error_mode")
    if mode == "propagate" or not any(k in settings for k in ("metric_statements", "metrics",
                                                              "metric_conditions")):  # fmt: skip
        return
    given = f"error_mode is {mode}" if mode else "error_mode is not set, so it is ignore"
    yield view.finding(
        "errors-ignored", "warning", ("processors", identifier, "error_mode"),
        f"{given}: what fails passes unchanged, and no metric counts it.",
        "Set error_mode: propagate, and watch otelcol_processor_outgoing_items.",
    )  # fmt: skip


def _made_metrics(view: View) -> frozenset[str]:
    """Names that the configuration itself gives to metrics."""
    made: set[str] = set()
    for _, written in every(view):
        for one in written:
            for part in one.node.walk() if one.node is not None else ():
                if part.kind == "call" and part.value in ottl_parse.FUNCTIONS:
                    made |= {p.value for p in part.parts if p.kind == "text"}
    for _, settings in view.of_type("processors", "metrics_transform"):
        for rule in items(settings.get("transforms")):
            if isinstance(rule, Mapping) and rule.get("new_name"):
                made.add(str(rule["new_name"]))
    return frozenset(made)
