"""What a chain of processors does to the data, read as a whole.

Nothing here is visible in one processor: a pid removed is right before a sum and wrong without one;
a sum of counters is right after cumulative_to_delta and wrong before; what one branch drops another
may keep. The measurements behind the rules: removing the pid without summing gave one series up to
94 values within 10 ms; summing counters over exits gave 8.7 times the CPU; a process that executed
another program counted its whole life twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from phoenix.pipelines import ottl_parse
from phoenix.pipelines.components import type_of
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.pipelines.lint_rules.statements import NAME, PID, Written, every, removes
from phoenix.pipelines.lint_rules.view import Finding, Flow, Path, View, items
from phoenix.pipelines.ottl_parse import Node

What = Literal[
    "strip", "identity", "align", "aggregate", "compact", "delta", "cumulative", "batch",
    "mark", "unmark",
]  # fmt: skip
_NAMES = tuple(rule.value for rule in DEFAULT_CRITICAL if rule.kind == "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a processor does to the identity or the values of a process, and where it says so."""

    what: What
    path: Path
    detail: str = ""


def check(view: View) -> Iterator[Finding]:
    """Every finding of this module; what several flows share is found once."""
    written = dict(every(view))
    seen: set[tuple[str, int]] = set()
    for flow in view.flows():
        events = _events(view, flow, written)
        for finding in (*_strips(view, events), *_rest(view, flow, events)):
            if (finding.rule, finding.line) not in seen:
                seen.add((finding.rule, finding.line))
                yield finding
    yield from _lost(view, written)
    yield from _settings(view)


def _events(view: View, flow: Flow, written: Mapping[str, list[Written]]) -> list[Event]:
    events = [e for receiver in flow.receivers for e in _of_scraper(view, receiver)]
    plain: dict[str, What] = {
        "groupbyattrs": "compact", "cumulative_to_delta": "delta",
        "delta_to_cumulative": "cumulative", "batch": "batch",
    }  # fmt: skip
    for identifier in flow.processors:
        given = type_of("processors", identifier)
        path: Path = ("processors", identifier)
        if given in plain:
            events.append(Event(what=plain[given], path=path))
        elif given == "transform":
            for one in written.get(identifier, ()):
                events += _of_statement(one)
        elif given == "resource":
            events += _of_resource(view, identifier)
        elif given == "metrics_transform" and "aggregate_labels" in str(
            view.settings("processors", identifier)
        ):
            events.append(Event(what="aggregate", path=path))
    return events


def _of_scraper(view: View, receiver: str) -> list[Event]:
    path = ("receivers", receiver, "scrapers", "process", "resource_attributes")
    found = view.at(*path)
    setting = found.get("process.pid") if isinstance(found, Mapping) else None
    if isinstance(setting, Mapping) and setting.get("enabled") is False:
        return [Event(what="strip", path=(*path, "process.pid"))]
    return []


def _of_resource(view: View, identifier: str) -> list[Event]:
    path: Path = ("processors", identifier, "attributes")
    actions = view.at(*path)
    return [
        Event(what="strip", path=(*path, i))
        for i, action in enumerate(items(actions))
        if isinstance(action, Mapping)
        and (action.get("key"), action.get("action")) == ("process.pid", "delete")
    ]


def _of_statement(one: Written) -> list[Event]:
    if one.node is None or one.node.kind != "statement":
        return []
    call = one.node.parts[0]
    target = call.parts[0].key() if call.parts else ""
    events: list[Event] = []
    if call.value == "aggregate_on_attributes":
        events.append(Event(what="aggregate", path=one.path))
    if call.value == "set" and target in {"datapoint.time", "datapoint.time_unix_nano"}:
        events.append(Event(what="align", path=one.path))
    if call.value == "set" and _depends_on_value(one.node) and _is_resource_key(call.parts[0]):
        events.append(Event(what="mark", path=one.path, detail=call.parts[0].parts[0].value))
    if target == "resource.attributes":
        events += _of_keys(one, call)
    return events


def _of_keys(one: Written, call: Node) -> list[Event]:
    """What a statement that removes resource attributes removes."""
    names = {p.value for part in call.parts[1:] for p in part.walk() if p.kind == "text"}
    events: list[Event] = []
    for attribute, what in (("process.pid", "strip"), ("process.executable.name", "identity")):
        if removes(call, attribute):
            events.append(Event(what=what, path=one.path))  # type: ignore[arg-type]
    if call.value in {"delete_key", "delete_keys"}:
        events += [Event(what="unmark", path=one.path, detail=name) for name in sorted(names)]
    if call.value in {"keep_keys", "keep_matching_keys"}:
        events.append(Event(what="unmark", path=one.path, detail="*"))
    return events


def _depends_on_value(node: Node) -> bool:
    where = node.parts[1:] if node.kind == "statement" else ()
    return any(p.value.startswith("datapoint.value") for part in where for p in part.walk())


def _is_resource_key(target: Node) -> bool:
    return target.value == "resource.attributes" and bool(target.parts)


def _first(events: list[Event], what: What, after: int = -1) -> int | None:
    return next((i for i, e in enumerate(events) if e.what == what and i > after), None)


def _strips(view: View, events: list[Event]) -> Iterator[Finding]:
    """The order that a sum over processes needs; each step was measured to be necessary."""
    strip = _first(events, "strip")
    if strip is None:
        return
    where = events[strip].path
    aggregate = _first(events, "aggregate", strip)
    compact = _first(events, "compact", strip)
    if aggregate is None:
        yield view.finding(
            "pid-without-aggregation", "error", where,
            "Without the pid, and without a sum, several processes share one series and contradict "
            "each other in every scrape.",
            "Sum them (groupbyattrs: {}, one timestamp, aggregate_on_attributes), or keep the pid.",
        )  # fmt: skip
        if compact is not None:
            yield view.finding(
                "groupbyattrs-sums-nothing", "error", events[compact].path,
                "groupbyattrs puts points together; it adds none of them up.",
                "Add aggregate_on_attributes(\"sum\", [..]) in a transform after it.",
            )  # fmt: skip
        return
    yield from _sums(view, events, strip, aggregate)


def _sums(view: View, events: list[Event], strip: int, aggregate: int) -> Iterator[Finding]:
    where = events[aggregate].path
    compact, delta = _first(events, "compact", strip), _first(events, "delta")
    align = _first(events, "align")
    if compact is None or compact > aggregate:
        yield view.finding(
            "aggregate-without-compaction", "error", where,
            "Every process is still a metric of its own, so each sum is of one.",
            "Put groupbyattrs: {} after the identity is removed and before the sum.",
        )  # fmt: skip
    if align is None or align > aggregate:
        yield view.finding(
            "aggregate-without-alignment", "error", where,
            "Only equal timestamps are summed, and each process has its own.",
            "First give every point the time of the payload's first (process-aggregated-v1).",
        )  # fmt: skip
    if delta is None or delta > aggregate:
        yield view.finding(
            "cumulative-sum", "error", where,
            "A sum of counters falls when a process exits, which reads as a reset: its whole total "
            "is counted again.",
            "Put cumulative_to_delta before the pid is removed, delta_to_cumulative at the end.",
        )  # fmt: skip
    elif delta > strip:
        yield view.finding(
            "delta-after-strip", "error", events[delta].path,
            "Differences are per series, and without the pid the series of several processes are "
            "one.",
            "Put cumulative_to_delta before the pid is removed.",
        )  # fmt: skip
    elif (identity := _first(events, "identity")) is None or identity > delta:
        yield view.finding(
            "delta-on-mutable-identity", "warning", events[delta].path,
            "A process that is renamed or executes another program becomes a new series, and its "
            "whole life counts a second time.",
            "Before it, keep_keys(resource.attributes, [\"process.pid\", ..]).",
        )  # fmt: skip


def _rest(view: View, flow: Flow, events: list[Event]) -> Iterator[Finding]:
    batch = _first(events, "batch")
    if batch is not None and _first(events, "aggregate", batch) is not None:
        yield view.finding(
            "batch-before-aggregation", "error", events[batch].path,
            "A batch splits or merges scrapes, and the sum is over what it made of them.",
            "Put batch last.",
        )  # fmt: skip
    if _first(events, "delta") is not None and _first(events, "cumulative") is None:
        for exporter in flow.exporters:
            if type_of("exporters", exporter) == "prometheus_remote_write":
                yield view.finding(
                    "delta-into-prometheus", "error", ("exporters", exporter),
                    f"{exporter} drops counters that are differences.",
                    "Put delta_to_cumulative last, or leave out cumulative_to_delta.",
                )  # fmt: skip
    for i, event in enumerate(events):
        later = {e.detail for e in events[i:] if e.what == "unmark"}
        if event.what == "mark" and not later & {event.detail, "*"}:
            yield view.finding(
                "marker-left", "warning", event.path,
                f"{event.detail} depends on a value and stays on the resource: the identity of "
                "every series of a process changes each time it crosses the line.",
                f'After the filter: delete_key(resource.attributes, "{event.detail}").',
            )  # fmt: skip
    for i, identifier in enumerate(flow.processors):
        if i and type_of("processors", identifier) == "memory_limiter":
            yield view.finding(
                "memory-limiter-late", "warning", ("processors", identifier),
                "memory_limiter protects only what comes after it.", "Put it first.",
            )  # fmt: skip


def _lost(view: View, written: Mapping[str, list[Written]]) -> Iterator[Finding]:
    """A well-known critical process that a filter names, and that no flow lets through."""
    flows = view.flows()
    reported: set[str] = set()
    for name in _NAMES:
        droppers = [_dropper(flow, written, name) for flow in flows]
        culprits = [d for d in droppers if d is not None]
        if not flows or len(culprits) < len(flows):
            continue
        culprit = culprits[0]
        if culprit.processor in reported:
            continue
        reported.add(culprit.processor)
        lost = [n for n in _NAMES if _drops(culprit, n)]
        yield view.finding(
            "drops-critical", "error", culprit.path,
            f"A filter drops what matches, and this matches {', '.join(lost[:5])}.",
            f"To keep them: {PID} != nil and not (...).",
        )  # fmt: skip


def _dropper(flow: Flow, written: Mapping[str, list[Written]], name: str) -> Written | None:
    for identifier in flow.processors:
        if type_of("processors", identifier) == "filter":
            for one in written.get(identifier, ()):
                if _drops(one, name):
                    return one
    return None


def _drops(one: Written, name: str) -> bool:
    """Does the condition name this process, and hold for it."""
    if one.node is None or not _mentions(one.node, name):
        return False
    known = {NAME: name, PID: "1"}
    return ottl_parse.decide(one.node, known) is True


def _mentions(node: Node, name: str) -> bool:
    word = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
    return any(p.kind == "text" and word.search(p.value.replace("\\", "")) for p in node.walk())


def _settings(view: View) -> Iterator[Finding]:
    for identifier, settings in view.of_type("processors", "cumulative_to_delta"):
        if _never(settings.get("max_staleness")):
            yield view.finding(
                "staleness-unbounded", "warning", ("processors", identifier),
                "Without max_staleness the counters of processes that are gone are kept for ever.",
                "Set max_staleness: 5m, more than two intervals.",
            )  # fmt: skip
    for identifier, _ in view.of_type("processors", "interval"):
        yield view.finding(
            "interval-thins-little", "warning", ("processors", identifier),
            "interval passes memory (non-monotonic sums) and differences through unchanged.",
            "Lengthen the receiver's collection_interval instead.",
        )  # fmt: skip


def _never(value: Any) -> bool:
    return value is None or str(value) in {"0", "0s", "0m", "0h"}
