"""Builders of what arms emit, and of what is asked of it, for tests of the guard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from phoenix.guard.backend import Backend
from phoenix.guard.judging import Finding, Judge
from phoenix.guard.model import Query
from phoenix.measurement.emitted import Emitted, Point

CPU = tuple(
    Point("process.cpu.time", "s", "counter", (("state", state),)) for state in ("system", "user")
)
MEMORY = Point("process.memory.usage", "By", "sum", ())
UPTIME = Point("process.uptime", "s", "gauge", ())
COUNT = Point("process.count", "{process}", "sum", ())
POINTS = (*CPU, MEMORY, UPTIME)
TICKS = 100


def process(
    name: str, pid: int = 1, *, points: Sequence[Point] = POINTS, ticks: int = TICKS, **more: str
) -> Emitted:
    """A process as an arm shows it; more attributes are those of `process.`."""
    attributes = {
        "host.name": "web1",
        "process.executable.name": name,
        "process.owner": "root",
        "process.pid": str(pid),
        "service.name": "hosts",
        **{f"process.{key}": value for key, value in more.items()},
    }
    return Emitted(tuple(sorted(attributes.items())), tuple(points), ticks)


def lacking(emitted: Emitted, *attributes: str) -> Emitted:
    """The same without some attributes of its resource."""
    kept = tuple((key, value) for key, value in emitted.resource if key not in attributes)
    return replace(emitted, resource=kept)


def folded(category: str) -> Emitted:
    """The sum of many, as an aggregating candidate emits it."""
    point = tuple(
        replace(each, attributes=(("process.category", category), *each.attributes))
        for each in (*POINTS, COUNT)
    )
    return Emitted((("host.name", "web1"), ("service.name", "hosts")), point, TICKS)


ALL = (process("nginx", 1), process("etcd", 2), process("bash", 3), process("bash", 4))
"""What the baselines of most tests show."""


def alert(expr: str, **more: object) -> Query:
    """An alert."""
    return Query(kind="alert", source="rules.yaml: g", name="A", expr=expr, **more)  # type: ignore[arg-type]


def panel(expr: str, **more: object) -> Query:
    """A panel."""
    return Query(kind="panel", source="b.json: B", name="P", expr=expr, **more)  # type: ignore[arg-type]


def recording(name: str, expr: str, **labels: str) -> Query:
    """A recording rule."""
    return Query(kind="recording", source="rules.yaml: g", name=name, expr=expr, labels=labels)


def found(
    query: Query,
    candidate: Iterable[Emitted],
    *,
    baseline: Iterable[Emitted] = ALL,
    others: Sequence[Query] = (),
    conserved: Sequence[str] = (),
    backend: Backend | None = None,
) -> Finding:
    """What becomes of one query."""
    judge = Judge(baseline, candidate, backend or Backend(), conserved)
    return judge.judge([query, *others])[0]


def answer(query: Query | str, candidate: Iterable[Emitted], **more: object) -> str:
    """What becomes of one query, in a word; a text is an alert."""
    asked = alert(query) if isinstance(query, str) else query
    return found(asked, candidate, **more).answer.value  # type: ignore[arg-type]
