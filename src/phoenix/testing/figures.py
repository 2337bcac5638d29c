"""What a pipeline keeps of a scrape and what it hides, against the scrape itself.

The truth is the default scrape: every process by name and pid. A process is *visible* if what left
the pipeline tells its name and its pid. From that:

- *coverage*: the share of critical processes that are visible;
- *recall*: of the ten processes with the largest CPU time since the scrape before (or the largest
  memory), the share that is visible. A hidden one is excused if it is within the margin (10 %) of
  the eleventh: which of the two is in the top ten says nothing. `strict` excuses nobody;
- *hidden hogs*: processes above 5 % of one core since the scrape before, or above 5 % of the host's
  memory, that are not visible;
- *conservation*: what counters rose by after the pipeline against what they rose by before it, by
  one rule (phoenix.measurement.increments), and levels of each scrape against levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from phoenix.measurement.folding import Critical
from phoenix.pipelines.critical import DEFAULT_CRITICAL
from phoenix.pipelines.model import CriticalRule
from phoenix.testing.sightings import Process, Seen, Who

TOP = 10
MARGIN = 0.10
HOG_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Of the top ten: how many are visible, hidden, and hidden but excused."""

    hits: int
    misses: int
    excused: int

    @property
    def share(self) -> float | None:
        """None when there is nobody to recall."""
        counted = self.hits + self.misses
        return self.hits / counted if counted else None

    @property
    def strict(self) -> float | None:
        """The same with nobody excused."""
        counted = self.hits + self.misses + self.excused
        return self.hits / counted if counted else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One pipeline in one scrape.

    Attributes:
        shown: visible processes; critical: those to be shown, and critical_shown those that are.
        cpu_hogs, memory_hogs: how many there are; hidden: those that are not visible.
        rises, levels: per metric, (arrived, left); only metrics that the pipeline emits.
        categories: per metric and category, (arrived, left); empty where no category is told.
    """

    series: int
    points: int
    raw_bytes: int
    wire_bytes: int
    shown: int
    critical: int
    critical_shown: int
    cpu: Recall
    memory: Recall
    cpu_hogs: int
    memory_hogs: int
    hidden: tuple[Who, ...]
    rises: Mapping[str, tuple[float, float]]
    levels: Mapping[str, tuple[float, float]]
    categories: Mapping[tuple[str, str], tuple[float, float]]

    @property
    def coverage(self) -> float | None:
        """The share of critical processes that are visible."""
        return self.critical_shown / self.critical if self.critical else None


class Judge:
    """Compares what left with what arrived.

    Args:
        host_memory_bytes: what 5 % of memory are 5 % of.
        critical: which processes must be visible.
        category: of an executable's name, where the pipeline sorts by it.
    """

    def __init__(
        self,
        host_memory_bytes: float,
        *,
        critical: Iterable[CriticalRule] = DEFAULT_CRITICAL,
        category: Callable[[str], str] | None = None,
    ) -> None:
        self._memory_line = HOG_SHARE * host_memory_bytes
        self._is_critical = Critical(critical)
        self._category = category

    def judge(self, arrived: Seen, left: Seen, elapsed_s: float) -> Figures:
        """Compare one scrape; `elapsed_s` since the one before."""
        truth, visible = arrived.processes, left.processes
        critical = {
            who for who, process in truth.items()
            if self._is_critical(who[1], process.path, process.owner)
        }  # fmt: skip
        cpu_hogs = {w for w, p in truth.items() if p.cpu_s > HOG_SHARE * elapsed_s}
        memory_hogs = {w for w, p in truth.items() if p.memory_bytes > self._memory_line}
        return Figures(
            series=len(left.series),
            points=left.points,
            raw_bytes=left.raw_bytes,
            wire_bytes=left.wire_bytes,
            shown=len(visible),
            critical=len(critical),
            critical_shown=len(critical & visible.keys()),
            cpu=recall({w: p.cpu_s for w, p in truth.items()}, visible),
            memory=recall({w: p.memory_bytes for w, p in truth.items()}, visible),
            cpu_hogs=len(cpu_hogs),
            memory_hogs=len(memory_hogs),
            hidden=tuple(sorted((cpu_hogs | memory_hogs) - visible.keys())),
            rises={
                metric: (arrived.rise(metric) or 0.0, left.rise(metric) or 0.0)
                for metric in sorted({metric for metric, _, _ in left.rises})
            },
            levels={
                metric: (arrived.levels[metric], amount)
                for metric, amount in left.levels.items()
                if metric in arrived.levels
            },
            categories=self._by_category(arrived, left),
        )

    def _by_category(
        self, arrived: Seen, left: Seen
    ) -> Mapping[tuple[str, str], tuple[float, float]]:
        if self._category is None:
            return {}
        emitted = {metric for metric, _, _ in left.rises}
        true, got = self._sorted(arrived), self._sorted(left)
        return {
            key: (true.get(key, 0.0), got.get(key, 0.0))
            for key in sorted(true.keys() | got.keys())
            if key[0] in emitted
        }

    def _sorted(self, seen: Seen) -> dict[tuple[str, str], float]:
        """What rose by metric and category: as told, else by the executable's name."""
        assert self._category is not None, "asked for"
        found: dict[tuple[str, str], float] = {}
        for (metric, told, name), rise in seen.rises.items():
            key = (metric, told or self._category(name))
            found[key] = found.get(key, 0.0) + rise
        return found


def recall(values: Mapping[Who, float], visible: Mapping[Who, Process]) -> Recall:
    """Whether the ten largest are visible; those that used nothing are no part of it."""
    ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    top = [(who, value) for who, value in ranked[:TOP] if value > 0]
    eleventh = ranked[TOP][1] if len(ranked) > TOP else 0.0
    hidden = [value for who, value in top if who not in visible]
    excused = sum(value <= eleventh * (1 + MARGIN) for value in hidden)
    return Recall(hits=len(top) - len(hidden), misses=len(hidden) - excused, excused=excused)
