"""A collector configuration as the rules see it: values, the line of each, and how data flows.

A *flow* is one way of the data from a receiver to an exporter: the processors in order, through
connectors. What one branch drops another may keep, so some rules look at all flows together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from phoenix.pipelines.components import Kind, type_of
from phoenix.pipelines.model import CriticalRule

Severity = Literal["error", "warning"]
Path = tuple[str | int, ...]
_MOST_FLOWS = 64
_LONGEST_WAY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong, where, and what to do about it. Lines count from 1."""

    rule: str
    severity: Severity
    file: str
    line: int
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.severity} {self.rule}: {self.message} {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipe:
    """One entry of `service.pipelines`."""

    name: str
    signal: str
    receivers: tuple[str, ...]
    processors: tuple[str, ...]
    exporters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One way of metrics: where they come from, what they pass, where they go.

    Of the connectors only `forward` hands on what it gets; what others make is something else.
    """

    pipes: tuple[str, ...]
    receivers: tuple[str, ...]
    processors: tuple[str, ...]
    exporters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The configuration, its lines, and what it is called."""

    file: str
    data: Mapping[str, Any]
    lines: Mapping[Path, int]
    duplicates: tuple[tuple[Path, int], ...] = ()
    environment: frozenset[str] | None = None
    critical: tuple[CriticalRule, ...] = ()
    pipes: tuple[Pipe, ...] = field(default=())

    def section(self, kind: Kind | str) -> dict[str, Any]:
        """A top-level section as a mapping of identifier to settings, both always usable."""
        found = self.data.get(kind)
        return {str(k): v for k, v in found.items()} if isinstance(found, Mapping) else {}

    def settings(self, kind: Kind, identifier: str) -> dict[str, Any]:
        """The settings of one component; empty when there are none or they are no mapping."""
        found = self.section(kind).get(identifier)
        return dict(found) if isinstance(found, Mapping) else {}

    def of_type(self, kind: Kind, wanted: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every defined component of that canonical type, with its settings."""
        for identifier in self.section(kind):
            if type_of(kind, identifier) == wanted:
                yield identifier, self.settings(kind, identifier)

    def line(self, *path: str | int) -> int:
        """The line of the value at `path`, or of the nearest thing around it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return 1

    def at(self, *path: str | int) -> Any:
        """The value at `path`, or None."""
        value: Any = self.data
        for step in path:
            if isinstance(value, Mapping):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int):
                value = value[step] if step < len(value) else None
            else:
                return None
        return value

    def finding(self, rule: str, severity: Severity, path: Path, say: str, do: str) -> Finding:
        """A finding at the line of `path`: `say` is what is wrong, `do` the remedy."""
        return Finding(
            rule=rule,
            severity=severity,
            file=self.file,
            line=self.line(*path),
            message=say,
            remedy=do,
        )

    def scalars(self) -> Iterator[tuple[Path, Any]]:
        """Every value that is neither mapping nor list, with where it is."""
        yield from _scalars(self.data, ())

    def flows(self) -> tuple[Flow, ...]:
        """The ways of metrics from receivers that are no connectors to exporters that are none."""
        connectors = set(self.section("connectors"))
        found: list[Flow] = []
        starts = [p for p in self.pipes if p.signal == "metrics" and set(p.receivers) - connectors]
        for start in starts:
            read = tuple(r for r in start.receivers if r not in connectors)
            self._follow((start,), read, connectors, found)
        return tuple(found[:_MOST_FLOWS])

    def _follow(
        self,
        way: tuple[Pipe, ...],
        read: tuple[str, ...],
        connectors: set[str],
        found: list[Flow],
    ) -> None:
        pipe = way[-1]
        out = tuple(e for e in pipe.exporters if e not in connectors)
        if out:
            passed = tuple(step for part in way for step in part.processors)
            names = tuple(part.name for part in way)
            found.append(Flow(pipes=names, receivers=read, processors=passed, exporters=out))
        if len(way) > _LONGEST_WAY or len(found) > _MOST_FLOWS:
            return
        passing = (e for e in pipe.exporters if e in connectors)
        for through in (e for e in passing if type_of("connectors", e) == "forward"):
            for after in self.pipes:
                if through in after.receivers and after.signal == "metrics" and after not in way:
                    self._follow((*way, after), read, connectors, found)


def items(value: Any) -> list[Any]:
    """`value` if it is a list; what should be one and is not has nothing in it."""
    return value if isinstance(value, list) else []


def pipes_of(data: Mapping[str, Any]) -> tuple[Pipe, ...]:
    """The pipelines that `data` defines; what is malformed counts as empty."""
    service = data.get("service")
    pipelines = service.get("pipelines") if isinstance(service, Mapping) else None
    if not isinstance(pipelines, Mapping):
        return ()
    return tuple(
        Pipe(
            name=str(name),
            signal=str(name).split("/", 1)[0],
            receivers=_names(settings, "receivers"),
            processors=_names(settings, "processors"),
            exporters=_names(settings, "exporters"),
        )
        for name, settings in pipelines.items()
    )


def _names(settings: Any, key: str) -> tuple[str, ...]:
    found = settings.get(key) if isinstance(settings, Mapping) else None
    return tuple(str(item) for item in found) if isinstance(found, list) else ()


def _scalars(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _scalars(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _scalars(item, (*path, i))
    else:
        yield path, value
