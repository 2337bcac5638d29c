"""Is it a collector configuration at all: keys, components, references, signals, plain values.

The collector's `validate` refuses nearly all of these; here they come with a line and a remedy, and
without a collector at hand.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from phoenix.pipelines.components import FIELDS, KINDS, Kind, known, type_of, version
from phoenix.pipelines.lint_rules.view import Finding, Path, Pipe, View, items

_TOP = frozenset((*KINDS, "service"))
_SERVICE = frozenset(("extensions", "pipelines", "telemetry"))
_TELEMETRY = frozenset(("logs", "metrics", "traces", "resource"))
_TELEMETRY_METRICS = frozenset(("level", "readers", "views"))
_SIGNALS = ("metrics", "logs", "traces", "profiles")
_REPLACED = {
    "logging": "`logging` was replaced by `debug`.",
    "topk": "`process_budget` ranks processes (process-topk-v1).",
    "probabilistic_sampler": "It samples traces and logs; metrics cannot be sampled by process.",
}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+\Z")
_DURATION_FIELDS = {
    "host_metrics": ("collection_interval", "initial_delay", "timeout"),
    "batch": ("timeout",),
    "memory_limiter": ("check_interval",),
    "cumulative_to_delta": ("max_staleness",),
    "delta_to_cumulative": ("max_stale",),
    "interval": ("interval",),
    "process_budget": ("linger", "save_every", "stale_after", "scrape_window"),
}


def check(view: View) -> Iterator[Finding]:
    """Every finding of this module."""
    for path, line in view.duplicates:
        yield Finding(
            rule="duplicate-key", severity="error", file=view.file, line=line,
            message=f"{path[-1]} is given twice in one mapping.",
            remedy="Keep one; two components of a type are told apart as type/name.",
        )  # fmt: skip
    yield from unknown_keys(view, view.data, (), _TOP, "a collector configuration")
    yield from _service(view)
    for kind in KINDS:
        yield from _components(view, kind)
    for pipe in view.pipes:
        yield from _pipeline(view, pipe)
    yield from _connectors(view)
    yield from _unused(view)
    yield from _values(view)


def unknown_keys(
    view: View, found: Any, path: Path, allowed: frozenset[str], where: str
) -> Iterator[Finding]:
    """Keys of `found`, the value at `path`, that are none of `allowed`; `where` is its name."""
    for key in found if isinstance(found, Mapping) else ():
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            yield view.finding(
                "unknown-field", "error", (*path, key), f"{where} has no field {key!r}.",
                _remedy_of_field(path, str(key))
                or (f"Did you mean {near[0]!r}?" if near else
                    f"It has: {', '.join(sorted(allowed))}."),
            )  # fmt: skip


def _remedy_of_field(path: Path, key: str) -> str | None:
    if path[-2:] == ("telemetry", "metrics") and key == "address":
        return "Write readers: [{pull: {exporter: {prometheus: {host: .., port: ..}}}}]."
    if key == "aggregation_type" and path and str(path[-1]).startswith("groupbyattrs"):
        return "groupbyattrs sums nothing; sum with aggregate_on_attributes in a transform."
    return None


def _service(view: View) -> Iterator[Finding]:
    service = view.at("service")
    yield from unknown_keys(view, service, ("service",), _SERVICE, "service")
    telemetry = view.at("service", "telemetry")
    yield from unknown_keys(view, telemetry, ("service", "telemetry"), _TELEMETRY, "telemetry")
    path = ("service", "telemetry", "metrics")
    yield from unknown_keys(view, view.at(*path), path, _TELEMETRY_METRICS, "telemetry.metrics")
    for i, name in enumerate(items(view.at("service", "extensions"))):
        if str(name) not in view.section("extensions"):
            yield _undefined(view, ("service", "extensions", i), "extensions", str(name))
    if not view.pipes:
        yield view.finding(
            "no-pipeline", "error", ("service",), "No pipeline is defined.",
            "Define service.pipelines.metrics with receivers and exporters.",
        )  # fmt: skip


def _components(view: View, kind: Kind) -> Iterator[Finding]:
    for identifier in view.section(kind):
        given = type_of(kind, identifier)
        if given not in known(kind):
            near = difflib.get_close_matches(given, known(kind), n=1)
            hint = _REPLACED.get(given) or (f"Did you mean {near[0]!r}?" if near else "")
            yield view.finding(
                "unknown-component", "error", (kind, identifier),
                f"The distribution ({version()}) has no {kind.removesuffix('s')} {given!r}.",
                f"{hint} It has: {', '.join(known(kind))}.".strip(),
            )  # fmt: skip
        elif kind == "processors":
            allowed = FIELDS[given]
            settings = view.settings(kind, identifier)
            yield from unknown_keys(view, settings, (kind, identifier), allowed, given)


def _pipeline(view: View, pipe: Pipe) -> Iterator[Finding]:
    where = ("service", "pipelines", pipe.name)
    if pipe.signal not in _SIGNALS:
        yield view.finding(
            "wrong-signal", "error", where, f"{pipe.name!r} is no kind of pipeline.",
            f"A pipeline's name starts with {', '.join(_SIGNALS[:3])}.",
        )  # fmt: skip
        return
    used: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("receivers", pipe.receivers),
        ("processors", pipe.processors),
        ("exporters", pipe.exporters),
    )
    for kind, identifiers in used:
        if kind != "processors" and not identifiers:
            yield view.finding(
                "no-pipeline", "error", where, f"{pipe.name} has no {kind}.", f"Name its {kind}."
            )
        for i, identifier in enumerate(identifiers):
            path = (*where, kind, i)
            if kind != "processors" and identifier in view.section("connectors"):
                continue
            if identifier not in view.section(kind):
                yield _undefined(view, path, kind, identifier)
                continue
            signals = known(kind).get(type_of(kind, identifier))
            if signals is not None and pipe.signal not in signals and pipe.signal != "profiles":
                yield view.finding(
                    "wrong-signal", "error", path,
                    f"{identifier} does not carry {pipe.signal}.",
                    f"It carries {', '.join(signals)}: take it out of {pipe.name}.",
                )  # fmt: skip


def _undefined(view: View, path: tuple[str | int, ...], kind: str, identifier: str) -> Finding:
    near = difflib.get_close_matches(identifier, view.section(kind), n=1)
    return view.finding(
        "undefined-reference", "error", path, f"{identifier} is not defined under {kind}.",
        f"Did you mean {near[0]!r}?" if near else f"Define {kind}.{identifier}, or leave it out.",
    )  # fmt: skip


def _connectors(view: View) -> Iterator[Finding]:
    for identifier in view.section("connectors"):
        fed = any(identifier in pipe.exporters for pipe in view.pipes)
        read = any(identifier in pipe.receivers for pipe in view.pipes)
        if fed != read:
            side = "exporter" if fed else "receiver"
            other = "receiver" if fed else "exporter"
            yield view.finding(
                "connector-one-sided", "error", ("connectors", identifier),
                f"{identifier} is the {side} of a pipeline and the {other} of none.",
                f"Name it among the {other}s of the pipeline at its other end.",
            )  # fmt: skip


def _unused(view: View) -> Iterator[Finding]:
    used = {
        "receivers": {r for p in view.pipes for r in p.receivers},
        "processors": {r for p in view.pipes for r in p.processors},
        "exporters": {r for p in view.pipes for r in p.exporters},
    }
    for kind, names in used.items():
        for identifier in view.section(kind):
            if view.pipes and identifier not in names:
                yield view.finding(
                    "unused-component", "warning", (kind, identifier),
                    f"No pipeline uses {identifier}.",
                    "Name it in a pipeline, or delete it: the collector still compiles it.",
                )  # fmt: skip


def _values(view: View) -> Iterator[Finding]:
    for kind in ("receivers", "processors"):
        for identifier in view.section(kind):
            given = type_of(kind, identifier)
            for name in _DURATION_FIELDS.get(given, ()):
                yield from duration(view, (kind, identifier, name))
    for identifier, settings in view.of_type("processors", "memory_limiter"):
        if not settings.get("limit_mib") and not settings.get("limit_percentage"):
            yield view.finding(
                "memory-limiter-unlimited", "error", ("processors", identifier),
                "memory_limiter has no limit.", "Set limit_mib (or limit_percentage) and "
                "check_interval: 1s.",
            )  # fmt: skip
    for identifier, settings in view.of_type("processors", "batch"):
        size, most = settings.get("send_batch_size", 8192), settings.get("send_batch_max_size", 0)
        if isinstance(size, int) and isinstance(most, int) and 0 < most < size:
            yield view.finding(
                "batch-max-below-size", "error", ("processors", identifier, "send_batch_max_size"),
                f"send_batch_max_size {most} is below send_batch_size {size}.",
                "Raise it, or leave it out.",
            )  # fmt: skip


def duration(view: View, path: Path) -> Iterator[Finding]:
    """What is at `path` if the collector cannot read it as a duration."""
    value = view.at(*path)
    if value is None or (isinstance(value, str) and ("${" in value or _DURATION.match(value))):
        return
    if str(value) == "0":
        return
    yield view.finding(
        "bad-duration", "error", path, f"{path[-1]} cannot be {value!r}.",
        "Write a positive number with its unit, such as 10s or 500ms.",
    )  # fmt: skip
