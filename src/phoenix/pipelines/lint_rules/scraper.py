"""What the process scraper is told to read: metrics, attributes and names it does not know.

Facts behind the rules: metadata.yaml of the process scraper at v0.161; measured there: the default
aggregation of process.cpu.utilization is the average, so that dropping its states reports a third.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from phoenix.pipelines import re2
from phoenix.pipelines.components import (
    GATED_METRICS,
    PROCESS_METRICS,
    PROCESS_RESOURCE_ATTRIBUTES,
)
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.pipelines.lint_rules.view import Finding, Path, View, items

_STRATEGIES = ("sum", "avg", "min", "max")
_KNOWN_NAMES = tuple(rule.value for rule in DEFAULT_CRITICAL if rule.kind == "name")


def check(view: View) -> Iterator[Finding]:
    """Every finding of this module."""
    for identifier, settings in view.of_type("receivers", "host_metrics"):
        scrapers = settings.get("scrapers")
        process = scrapers.get("process") if isinstance(scrapers, Mapping) else None
        if isinstance(process, Mapping):
            path: Path = ("receivers", identifier, "scrapers", "process")
            yield from _metrics(view, path, process)
            yield from _resource_attributes(view, path, process)
            for side in ("include", "exclude"):
                yield from _selection(view, (*path, side), process.get(side))


def _metrics(view: View, path: Path, process: Mapping[str, Any]) -> Iterator[Finding]:
    found = process.get("metrics")
    for name, settings in found.items() if isinstance(found, Mapping) else ():
        where = (*path, "metrics", name)
        if name not in PROCESS_METRICS:
            yield view.finding(
                "unknown-metric", "error", where, f"The process scraper has no metric {name!r}.",
                nearest_metric(str(name)),
            )  # fmt: skip
        elif isinstance(settings, Mapping):
            yield from _metric(view, where, str(name), settings)


def _metric(view: View, path: Path, name: str, settings: Mapping[str, Any]) -> Iterator[Finding]:
    attributes, strategy = settings.get("attributes"), settings.get("aggregation_strategy")
    allowed = PROCESS_METRICS[name][0]
    for i, attribute in enumerate(items(attributes)):
        if str(attribute) not in allowed:
            yield view.finding(
                "unknown-point-attribute", "error", (*path, "attributes", i),
                f"{name} has no attribute {attribute!r}.",
                f"It has {', '.join(sorted(allowed)) or 'none'}.",
            )  # fmt: skip
    if strategy is not None and strategy not in _STRATEGIES:
        yield view.finding(
            "bad-aggregation-strategy", "error", (*path, "aggregation_strategy"),
            f"There is no aggregation strategy {strategy!r}.", f"Use {', '.join(_STRATEGIES)}.",
        )  # fmt: skip
    averaged = name == "process.cpu.utilization" and strategy in (None, "avg")
    if attributes == [] and averaged:
        yield view.finding(
            "utilization-averaged", "error", (*path, "attributes"),
            f"{name} without attributes is the average of its three states: a third of the truth.",
            "Add aggregation_strategy: sum.",
        )  # fmt: skip


def _resource_attributes(view: View, path: Path, process: Mapping[str, Any]) -> Iterator[Finding]:
    found = process.get("resource_attributes")
    for name in found if isinstance(found, Mapping) else ():
        if name not in PROCESS_RESOURCE_ATTRIBUTES:
            yield view.finding(
                "unknown-resource-attribute", "error", (*path, "resource_attributes", name),
                f"The process scraper has no resource attribute {name!r}.",
                f"It has: {', '.join(sorted(PROCESS_RESOURCE_ATTRIBUTES))}.",
            )  # fmt: skip


def _selection(view: View, path: Path, chosen: Any) -> Iterator[Finding]:
    if not isinstance(chosen, Mapping):
        return
    names = [str(name) for name in items(chosen.get("names"))]
    match_type = chosen.get("match_type")
    if names and match_type not in ("strict", "regexp"):
        yield view.finding(
            "match-type-missing", "error", (*path, "match_type"),
            f"{path[-1]}.names needs a match_type.", "Add match_type: strict, or regexp.",
        )  # fmt: skip
    for i, name in enumerate(names):
        plain = name.replace("$$", "$")
        reason = re2.why_not_re2(plain) if match_type == "regexp" else None
        if reason is not None:
            yield view.finding(
                "bad-regex", "error", (*path, "names", i), f"{name!r} is no pattern: {reason}.",
                "Use RE2 syntax: https://github.com/google/re2/wiki/Syntax",
            )  # fmt: skip
        elif (meant := misspelt(plain)) is not None:
            yield view.finding(
                "suspect-name", "warning", (*path, "names", i),
                f"{name!r} looks like {meant!r}, misspelt; a name that matches nothing is silent.",
                f"Write {meant!r}, or make sure that such a process exists.",
            )  # fmt: skip


def nearest_metric(name: str) -> str:
    """The remedy for a metric that does not exist."""
    if name in GATED_METRICS:
        return "It exists only behind the feature gate of the newer semantic conventions."
    if name == "process.memory.physical":
        return "Write process.memory.usage: it is the resident memory."
    near = difflib.get_close_matches(name, PROCESS_METRICS, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"There are: {', '.join(PROCESS_METRICS)}."


def misspelt(name: str) -> str | None:
    """The well-known process that `name` was meant for: two neighbouring letters exchanged."""
    if name in _KNOWN_NAMES:
        return None
    for known in _KNOWN_NAMES:
        if len(known) == len(name) and sorted(known) == sorted(name):
            different = [i for i, (a, b) in enumerate(zip(known, name, strict=True)) if a != b]
            if len(different) == 2 and different[1] - different[0] == 1:
                return known
    return None
