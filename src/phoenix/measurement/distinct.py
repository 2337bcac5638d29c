"""How many different series: in the run so far, in the last 20 minutes, in the last hour.

Exact up to EXACT_MAX series; beyond that a HyperLogLog sketch (Apache DataSketches, lg_k = 12,
HLL_8) takes over, with a relative standard error of 1.04 / sqrt(4096) = 1.6 % for each number. A
window is then cut into minutes, one sketch each, so that its edge is a minute coarse.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from datasketches import hll_sketch, hll_union, tgt_hll_type

EXACT_MAX: Final = 100_000
SKETCH_ERROR: Final = 0.01625
"""Relative standard error of a sketched count: 1.04 / sqrt(2**12)."""

_LG_K = 12
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
        self._run_sketch = _sketch()
        self._seen: dict[int, int] | None = {}  # series -> its last tick
        self._per_tick: Counter[int] = Counter()  # tick -> series last seen in it
        self._minutes: deque[tuple[int, hll_sketch]] = deque()

    @classmethod
    def resumed(cls, interval_s: float, run_sketch: bytes) -> Distinct:
        """A counter whose run goes on from the sketch that `saved` gave; windows start anew."""
        distinct = cls(interval_s)
        distinct._run = None
        distinct._run_sketch = hll_sketch.deserialize(run_sketch)
        return distinct

    def saved(self) -> bytes:
        """The sketch of the run, at most about 4 KiB."""
        if self._run is not None:
            return bytes(_sketch_of(self._run).serialize_compact())
        return bytes(self._run_sketch.serialize_compact())

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
        return _estimate(self._run_sketch)

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
        union = hll_union(_LG_K)
        for minute, sketch in self._minutes:
            if (minute + 1) * _MINUTE_S / self._interval_s > after + 1:
                union.update(sketch)
        return _estimate(union)

    def _add_to_run(self, series: set[int]) -> None:
        if self._run is None:
            for one in series:
                self._run_sketch.update(one)
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
        for one, tick in sorted(self._seen.items(), key=lambda item: item[1]):
            self._minute(tick).update(one)
        self._seen = None
        self._per_tick.clear()

    def _add_to_minute(self, tick: int, series: set[int]) -> None:
        sketch = self._minute(tick)
        for one in series:
            sketch.update(one)

    def _minute(self, tick: int) -> hll_sketch:
        minute = int(tick * self._interval_s // _MINUTE_S)
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, _sketch()))
            while self._minutes[0][0] < minute - max(_WINDOWS_S) / _MINUTE_S:
                self._minutes.popleft()
        return self._minutes[-1][1]


def _estimate(sketch: hll_sketch | hll_union) -> int:
    estimate: float = sketch.get_estimate()
    return round(estimate)


def _sketch() -> hll_sketch:
    return hll_sketch(_LG_K, tgt_hll_type.HLL_8)


def _sketch_of(series: set[int]) -> hll_sketch:
    sketch = _sketch()
    for one in series:
        sketch.update(one)
    return sketch
