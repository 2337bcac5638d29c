"""The only place that asks for the time. Everything else is given a Clock, or a `now`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a process needs to know about time."""

    def now(self) -> datetime:
        """The present instant, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean something."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def rfc3339(at: datetime) -> str:
    """`at` as RFC 3339 in UTC with microseconds and `Z` (RFC 3339 section 5.6)."""
    assert at.tzinfo is not None, "instants carry their zone"
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
