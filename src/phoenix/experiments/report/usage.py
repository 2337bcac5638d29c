"""What a member used within a tick, read off samples that were taken at other moments.

Samples come once an interval and never at the very moment of a scrape. Between two of them a
counter is taken to rise evenly, so the use within a tick is the part of the rise that lies in it.
Where a counter fell (its process was restarted) or was not read, nothing is known of that stretch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime

from phoenix.collectors.model import Sample


class Counter:
    """The CPU seconds of one member over time."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        """`samples` of one member, ascending."""
        self._at = [s.at.timestamp() for s in samples]
        self._value = [s.cpu_s for s in samples]

    def rise(self, begin: datetime, end: datetime) -> float | None:
        """CPU seconds used from `begin` to `end`; None if any part of that is not known."""
        parts = self._parts(begin.timestamp(), end.timestamp())
        known = [part for part in parts if part is not None]
        return sum(known) if parts and len(known) == len(parts) else None

    def known_rise(self, begin: datetime, end: datetime) -> float:
        """The same, with zero for what is not known: a member that does not run uses nothing."""
        parts = self._parts(begin.timestamp(), end.timestamp())
        return sum(part for part in parts if part is not None)

    def _parts(self, begin: float, end: float) -> list[float | None]:
        """The rise of every stretch between two samples that overlaps; None for an unknown one."""
        if not self._at:
            return [None]
        parts: list[float | None] = []
        if begin < self._at[0] or end > self._at[-1]:
            parts.append(None)
        first = max(1, bisect_right(self._at, begin))
        for i in range(first, len(self._at)):
            start, stop = self._at[i - 1], self._at[i]
            if start >= end:
                break
            if stop > start:
                share = (min(stop, end) - max(start, begin)) / (stop - start)
                parts.append(_rise(self._value[i - 1], self._value[i], share))
        return parts


class Level:
    """The resident memory of one member over time."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        """`samples` of one member, ascending."""
        self._at = [s.at.timestamp() for s in samples]
        self._value = [s.rss_bytes for s in samples]

    def near(self, at: datetime, within_s: float) -> int | None:
        """Bytes in the sample nearest to `at`; None without one at most `within_s` away."""
        moment = at.timestamp()
        after = bisect_right(self._at, moment)
        around = [i for i in (after - 1, after) if 0 <= i < len(self._at)]
        nearest = min(around, key=lambda i: abs(self._at[i] - moment), default=None)
        if nearest is None or abs(self._at[nearest] - moment) > within_s:
            return None
        return self._value[nearest]


def _rise(before: float | None, after: float | None, share: float) -> float | None:
    if before is None or after is None or after < before:
        return None
    return (after - before) * share
