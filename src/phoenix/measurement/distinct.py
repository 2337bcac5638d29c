"""How many different series: in the run so far, in the last 20 minutes, in the last hour.

Exact up to EXACT_MAX series; beyond that a HyperLogLog sketch takes over, with a relative standard
error of 1.6 % for each number. A window is then cut into minutes, one sketch each, so that its edge
is a minute coarse.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from phoenix.measurement.sketch import STANDARD_ERROR, Sketch

EXACT_MAX: Final = 100_000
SKETCH_ERROR: Final = STANDARD_ERROR
"""Relative standard error of a sketched count."""

_WINDOWS_S = (1200.0, 3600.0)
_MINUTE_S = 60.0


class Distinct:
    """The distinct series of one arm. Feed it every tick in order, then ask."""

    def __init__(self, interval_s: float, *, exact_max: int = EXACT_MAX) -> None:
        self._interval_s = interval_s
        self._exact_max = exact_max
        self._first: int | None = None
        self._last = 0
        self._run: set[int] | None = set()
        self._run_sketch = Sketch()
        self._seen: dict[int, int] | None = {}  # series -> its last tick
        self._per_tick: Counter[int] = Counter()  # tick -> series last seen in it
        self._minutes: deque[tuple[int, Sketch]] = deque()

    @classmethod
    def resumed(cls, interval_s: float, run_sketch: bytes) -> Distinct:
        """A counter whose run goes on from the sketch that `saved` gave; windows start anew."""
        distinct = cls(interval_s)
        distinct._run = None
        distinct._run_sketch = Sketch.from_bytes(run_sketch)
        return distinct

    def saved(self) -> bytes:
        """The sketch of the run, 4 KiB."""
        if self._run is not None:
            return _sketch_of(self._run).to_bytes()
        return self._run_sketch.to_bytes()

    def add(self, tick: int, series: set[int]) -> None:
        """The series of a tick; ticks come in order."""
        if self._first is None:
            self._first = tick
        self._last = tick
        self._add_to_run(series)
        if self._seen is not None:
            self._add_exactly(tick, series)
            if len(self._seen) > self._exact_max:
                self._begin_sketching()
        else:
            self._add_to_minute(tick, series)

    @property
    def run(self) -> int:
        """Distinct series so far."""
        if self._run is not None:
            return len(self._run)
        return self._run_sketch.estimate()

    @property
    def error(self) -> float:
        """Relative standard error: 0.0 while everything is exact."""
        return 0.0 if self._run is not None and self._seen is not None else SKETCH_ERROR

    def window(self, window_s: float) -> int | None:
        """Distinct series of the last `window_s`; None until that much time was measured."""
        if self._first is None:
            return None
        if (self._last - self._first + 1) * self._interval_s < window_s:
            return None
        after = self._last - round(window_s / self._interval_s)
        if self._seen is not None:
            return sum(n for tick, n in self._per_tick.items() if tick > after)
        union = Sketch()
        for minute, sketch in self._minutes:
            if (minute + 1) * _MINUTE_S / self._interval_s > after + 1:
                union.merge(sketch)
        return union.estimate()

    def _add_to_run(self, series: set[int]) -> None:
        if self._run is None:
            self._run_sketch.add(series)
            return
        self._run |= series
        if len(self._run) > self._exact_max:
            self._run_sketch = _sketch_of(self._run)
            self._run = None

    def _add_exactly(self, tick: int, series: set[int]) -> None:
        assert self._seen is not None
        before = Counter(map(self._seen.get, series))
        for last, n in before.items():
            if last is not None:
                self._per_tick[last] -= n
        self._per_tick[tick] += len(series)
        self._seen.update(dict.fromkeys(series, tick))
        oldest = tick - round(max(_WINDOWS_S) / self._interval_s)
        if len(self._per_tick) > tick - oldest + 256:
            self._seen = {one: last for one, last in self._seen.items() if last > oldest}
            self._per_tick = Counter({t: n for t, n in self._per_tick.items() if t > oldest and n})

    def _begin_sketching(self) -> None:
        """Only the last tick of a series matters for windows that end later."""
        assert self._seen is not None
        by_tick: dict[int, list[int]] = {}
        for one, tick in self._seen.items():
            by_tick.setdefault(tick, []).append(one)
        for tick in sorted(by_tick):
            self._minute(tick).add(by_tick[tick])
        self._seen = None
        self._per_tick.clear()

    def _add_to_minute(self, tick: int, series: set[int]) -> None:
        self._minute(tick).add(series)

    def _minute(self, tick: int) -> Sketch:
        minute = int(tick * self._interval_s // _MINUTE_S)
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, Sketch()))
            while self._minutes[0][0] < minute - max(_WINDOWS_S) / _MINUTE_S:
                self._minutes.popleft()
        return self._minutes[-1][1]


def _sketch_of(series: set[int]) -> Sketch:
    sketch = Sketch()
    sketch.add(series)
    return sketch
