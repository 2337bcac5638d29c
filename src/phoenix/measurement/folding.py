"""From what two arms sent in a tick to the closed tick: totals, who is seen, who is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil, isfinite

from phoenix.measurement.distinct import Distinct
from phoenix.measurement.increments import Increments
from phoenix.measurement.model import ArmTick, ProcessKey, Tick, Top
from phoenix.measurement.otlp import Block
from phoenix.measurement.ticks import OpenArm
from phoenix.pipelines.critical import matches
from phoenix.pipelines.model import CriticalRule

_MEMORY = "process.memory.usage"
_COUNT = "process.count"
_MISSING_MAX = 500  # names told in a tick; the numbers are always whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What an arm showed of one process (or of one name, where it tells no pid) in a tick."""

    cpu_s: float
    memory_bytes: float
    path: str | None
    owner: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSeen:
    """One arm in one tick, folded."""

    tick: ArmTick
    processes: Mapping[ProcessKey, Process]


class ArmFolder:
    """Folds the ticks of one arm in order; it remembers counters and series."""

    def __init__(self, interval_s: float, distinct: Distinct | None = None) -> None:
        self._increments = Increments(interval_s)
        self.distinct = distinct or Distinct(interval_s)

    def fold(self, tick: int, arm: OpenArm, *, late: int, lone: bool) -> ArmSeen:
        """The arm's part of a tick; `late` points are told with it."""
        before = self._increments.previous_tick
        if arm.blocks:
            earliest = arm.earliest_ns or 0
            rises, cpu = self._increments.fold(tick, earliest, arm.blocks)
        else:
            rises, cpu = ({} if before is not None else None), []
        self.distinct.add(tick, set(arm.seen))
        processes = _processes(arm.blocks, cpu)
        levels = _latest_levels(arm.blocks) if arm.repeated else _levels(arm.blocks)
        levels[_COUNT] = levels.get(_COUNT, 0.0) + len(processes)
        p50, p95, most = _percentiles(arm.delays)
        return ArmSeen(
            tick=ArmTick(
                points=arm.points,
                series=len(arm.seen),
                series_run=self.distinct.run,
                series_20m=self.distinct.window(1200.0),
                series_1h=self.distinct.window(3600.0),
                series_error=self.distinct.error,
                raw_bytes=arm.raw_bytes,
                wire_bytes=arm.wire_bytes,
                requests=arm.requests,
                processes=len(processes),
                levels=dict(sorted(levels.items())),
                increments=None if rises is None else dict(sorted(rises.items())),
                span_ticks=None if before is None else tick - before,
                delay_p50_ms=p50,
                delay_p95_ms=p95,
                delay_max_ms=most,
                duplicates=arm.duplicates,
                late=late,
                lone=arm.points if lone else 0,
                untimed=arm.untimed,
                dropped=arm.dropped,
            ),
            processes=processes,
        )


class Critical:
    """Which processes are critical; remembers its answers, within a bound."""

    def __init__(self, rules: Iterable[CriticalRule]) -> None:
        self._rules = tuple(rules)
        self._known: dict[tuple[str, str | None, str | None], bool] = {}

    def __call__(self, name: str, path: str | None, owner: str | None) -> bool:
        who = (name, path, owner)
        known = self._known.get(who)
        if known is None:
            known = any(matches(rule, name=name, path=path, owner=owner) for rule in self._rules)
            if len(self._known) >= 50_000:
                self._known.clear()
            self._known[who] = known
        return known


def compare(
    *,
    experiment_id: str,
    tick: int,
    at_ns: int,
    baseline: ArmSeen | None,
    candidate: ArmSeen | None,
    with_pids: bool,
    excluded: str | None,
    is_critical: Callable[[str, str | None, str | None], bool],
    top_k: int,
) -> Tick:
    """The closed tick. `with_pids` says whether the candidate's data tells pids."""
    shown = _entities(candidate.processes if candidate else {}, with_pids)
    truth = baseline.processes if baseline else {}
    critical = {
        _entity(key, with_pids)
        for key, process in truth.items()
        if is_critical(key.name, process.path, process.owner)
    }
    missing = sorted(critical - shown, key=_order)
    names = {key.name for key in truth} - {key.name for key in shown}
    top_cpu = _top(truth, lambda p: p.cpu_s, shown, with_pids, top_k)
    top_memory = _top(truth, lambda p: p.memory_bytes, shown, with_pids, top_k)
    return Tick(
        experiment_id=experiment_id,
        tick=tick,
        at=datetime.fromtimestamp(at_ns / 1e9, UTC),
        baseline=baseline.tick if baseline else None,
        candidate=candidate.tick if candidate else None,
        excluded=excluded,
        critical_baseline=len(critical),
        critical_candidate=len(critical) - len(missing),
        missing=tuple(_text(key) for key in missing[:_MISSING_MAX]),
        hidden_names=len(names),
        top_cpu=top_cpu,
        top_memory=top_memory,
        recall_cpu=_recall(top_cpu) if candidate else None,
        recall_memory=_recall(top_memory) if candidate else None,
    )


def _processes(blocks: list[Block], cpu: list[float]) -> dict[ProcessKey, Process]:
    sums: dict[tuple[str, int | None], list[float]] = {}
    about: dict[tuple[str, int | None], tuple[str | None, str | None]] = {}
    for block, cpu_s in zip(blocks, cpu, strict=True):
        resource = block.layout.resource
        if resource.name is None:
            continue
        who = (resource.name, resource.pid)
        entry = sums.get(who)
        if entry is None:
            entry = sums[who] = [0.0, 0.0]
            about[who] = (resource.path, resource.owner)
        entry[0] += cpu_s
        for index, metric in block.layout.levels:
            if metric == _MEMORY:
                entry[1] += _number(block.values[index])
    return {
        ProcessKey(name=who[0], pid=who[1]): Process(
            cpu_s=entry[0], memory_bytes=entry[1], path=about[who][0], owner=about[who][1]
        )
        for who, entry in sums.items()
    }


def _levels(blocks: list[Block]) -> dict[str, float]:
    levels: dict[str, float] = {}
    for block in blocks:
        values = block.values
        for index, metric in block.layout.levels:
            levels[metric] = levels.get(metric, 0.0) + _number(values[index])
    return levels


def _latest_levels(blocks: list[Block]) -> dict[str, float]:
    """Levels where a series came twice in a tick: its latest value counts."""
    latest: dict[int, tuple[int, str, float]] = {}
    for block in blocks:
        for index, metric in block.layout.levels:
            at, one = block.times[index], block.layout.ids[index]
            if one not in latest or latest[one][0] <= at:
                latest[one] = (at, metric, _number(block.values[index]))
    levels: dict[str, float] = {}
    for _, metric, value in latest.values():
        levels[metric] = levels.get(metric, 0.0) + value
    return levels


def _number(value: float | None) -> float:
    return value if value is not None and isfinite(value) else 0.0


def _percentiles(delays: list[tuple[float, int]]) -> tuple[float, float, float]:
    """Median, 95th percentile (nearest rank) and maximum of delays weighted by points."""
    if not delays:
        return 0.0, 0.0, 0.0
    ordered = sorted(delays)
    total = sum(n for _, n in ordered)
    marks = [ceil(total * 0.5), ceil(total * 0.95)]
    found: list[float] = []
    passed = 0
    for delay, n in ordered:
        passed += n
        while len(found) < len(marks) and passed >= marks[len(found)]:
            found.append(round(delay, 3))
    return found[0], found[1], round(ordered[-1][0], 3)


def _entity(key: ProcessKey, with_pids: bool) -> ProcessKey:
    return key if with_pids else ProcessKey(name=key.name, pid=None)


def _entities(processes: Iterable[ProcessKey], with_pids: bool) -> set[ProcessKey]:
    return {_entity(key, with_pids) for key in processes}


def _top(
    processes: Mapping[ProcessKey, Process],
    by: Callable[[Process], float],
    shown: set[ProcessKey],
    with_pids: bool,
    k: int,
) -> tuple[Top, ...]:
    largest = sorted(
        ((by(process), key) for key, process in processes.items() if by(process) > 0),
        key=lambda pair: (-pair[0], *_order(pair[1])),
    )[:k]
    return tuple(
        Top(name=key.name, pid=key.pid, value=value, shown=_entity(key, with_pids) in shown)
        for value, key in largest
    )


def _recall(top: tuple[Top, ...]) -> float | None:
    return sum(one.shown for one in top) / len(top) if top else None


def _order(key: ProcessKey) -> tuple[str, int]:
    return key.name, -1 if key.pid is None else key.pid


def _text(key: ProcessKey) -> str:
    return key.name if key.pid is None else f"{key.name}[{key.pid}]"
