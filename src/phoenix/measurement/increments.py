"""What counters rose by between two ticks, whoever restarted, was born, or changed its name.

The rule, for each series of an arm:

- an increase since the previous sample counts;
- a first sample counts in full if the series began after the arm was first seen: all of it was
  used meanwhile, even if a scrape missed it (a program on its way from fork to exec, a file that
  could not be read). What began earlier counts nothing, since most of it happened before;
- a fall with a new start time is a reset: the new value counts. A fall without one is the source's
  fault and counts nothing;
- points of delta temporality count as they are.

A process is its pid and start time here, not its name: exec keeps both, and a renamed process
would otherwise count its lifetime twice. The same rule serves sums over processes, whose start
time says when the sum began.
"""

from __future__ import annotations

from math import isfinite

from phoenix.measurement.otlp import Block

_FORGET_AFTER_TICKS = 300  # forgotten and seen again, a young process would count twice
_CPU = "process.cpu.time"
SERIES_MAX = 300_000
"""Counters remembered for one arm; beyond that, new ones count nothing and are told."""


class Increments:
    """The counters of one arm."""

    def __init__(self, interval_s: float) -> None:
        # What aligns timestamps may set a start time a little before the previous scrape.
        self._tolerance_ns = int(interval_s * 1e9 / 4)
        self._last: dict[int, tuple[int, float, int]] = {}  # key -> start, value, tick
        self._began_ns: int | None = None
        self._previous_ns: int | None = None
        self._previous_tick: int | None = None
        self._cleaned = 0
        self.unknown = 0

    @property
    def previous_tick(self) -> int | None:
        """The last tick folded in, or None before the first."""
        return self._previous_tick

    def fold(
        self, tick: int, earliest_ns: int, blocks: list[Block]
    ) -> tuple[dict[str, float] | None, list[float]]:
        """Fold a tick's blocks in: the rise per metric, and the CPU seconds of each block.

        The rise is None for the first tick of an arm.
        """
        first = self._previous_ns is None
        if self._began_ns is None:
            self._began_ns = earliest_ns
        born_after = self._began_ns - self._tolerance_ns
        reset_after = (self._previous_ns or earliest_ns) - self._tolerance_ns
        totals: dict[str, float] = {}
        cpu = []
        for block in blocks:
            totals_of = self._one(block, tick, born_after, reset_after, first)
            for metric, rise in totals_of.items():
                totals[metric] = totals.get(metric, 0.0) + rise
            cpu.append(totals_of.get(_CPU, 0.0))
        self._previous_ns, self._previous_tick = earliest_ns, tick
        if tick - self._cleaned > _FORGET_AFTER_TICKS:
            self._forget(tick)
        return (None if first else totals), cpu

    def _one(
        self, block: Block, tick: int, born_after: int, reset_after: int, first: bool
    ) -> dict[str, float]:
        last = self._last
        values, starts = block.values, block.starts
        rises: dict[str, float] = {}
        for index, key, metric in block.layout.counters:
            value, start = values[index], starts[index]
            if value is None or not isfinite(value):
                continue
            before = last.get(key)
            if before is None:
                rise = value if start > born_after and not first else 0.0
                if len(last) >= SERIES_MAX:
                    self.unknown += 1
                    continue
            elif value >= before[1] and not start > max(reset_after, before[0]):
                rise = value - before[1]
            else:
                rise = value if start > before[0] else 0.0
            last[key] = (start, value, tick)
            rises[metric] = rises.get(metric, 0.0) + rise
        for index, _, metric in block.layout.deltas:
            value = values[index]
            if value is not None and isfinite(value):
                rises[metric] = rises.get(metric, 0.0) + value
        return rises

    def _forget(self, tick: int) -> None:
        oldest = tick - _FORGET_AFTER_TICKS
        self._last = {key: seen for key, seen in self._last.items() if seen[2] >= oldest}
        self._cleaned = tick
