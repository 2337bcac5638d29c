"""What each member of a shadow used and lost: a fold over the runtime's samples.

Samples hold counters since a process started. A counter that falls is that of a new process and
counts from zero again. Samples from before the evidence only set the starting points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol


class Sampled(Protocol):
    """What is read of a runtime sample: cumulative counters of one process at one moment."""

    @property
    def member(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def cpu_s(self) -> float | None: ...
    @property
    def rss_bytes(self) -> int | None: ...
    @property
    def exporter_failed_points(self) -> int | None: ...
    @property
    def enqueue_failed_points(self) -> int | None: ...
    @property
    def restarts(self) -> int | None: ...
    @property
    def queue_size(self) -> int | None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """What one process of the shadow used during the evidence. Counters may restart at zero.

    Crashes are counted from the start of the shadow: one that never comes to evidence counts too.
    """

    last_at: str | None = None
    last_cpu_s: float = 0.0
    last_failed: int = 0
    last_restarts: int = 0
    crashes: int = 0
    queues: tuple[int, int] = (0, 0)  # requests waiting at the last two samples
    cpu_s: float = 0.0
    seconds: float = 0.0
    rss_max_bytes: int | None = None
    failed_points: int = 0
    failed_intervals: int = 0  # intervals between samples with at least one failed point
    samples: int = 0

    @property
    def cores(self) -> float | None:
        """Mean share of one core; None without two samples."""
        return self.cpu_s / self.seconds if self.seconds > 0 else None


def used(use: Use, sample: Sampled, started_at: str | None, *, meter_away: bool) -> Use:
    at = sample.at
    failed = _failed(use, sample)
    cpu = sample.cpu_s or 0.0
    last = None if use.last_at is None else datetime.fromisoformat(use.last_at)
    if last is not None and at <= last:
        return use
    moved = replace(
        _crashed(use, sample.restarts or 0),
        last_at=at.isoformat(), last_cpu_s=cpu, last_failed=failed,
    )  # fmt: skip
    begun = None if started_at is None else datetime.fromisoformat(started_at)
    if begun is None or at < begun:
        return moved
    highest = max(use.rss_max_bytes or 0, sample.rss_bytes or 0) or None
    moved = replace(moved, rss_max_bytes=highest, samples=use.samples + 1)
    if last is None:
        return moved
    new_failures = failed - use.last_failed if failed >= use.last_failed else failed
    if meter_away:
        new_failures = 0
    return replace(
        moved,
        cpu_s=use.cpu_s + (cpu - use.last_cpu_s if cpu >= use.last_cpu_s else cpu),
        seconds=use.seconds + (at - last).total_seconds(),
        failed_points=use.failed_points + new_failures,
        failed_intervals=use.failed_intervals + (new_failures > 0),
    )


def _failed(use: Use, sample: Sampled) -> int:
    """Points lost since its start; a collector that did not answer has lost what it said last."""
    if sample.exporter_failed_points is None and sample.enqueue_failed_points is None:
        return use.last_failed
    return (sample.exporter_failed_points or 0) + (sample.enqueue_failed_points or 0)


def queued(use: Use, sample: Sampled) -> Use:
    if sample.queue_size is None:
        return use
    return replace(use, queues=(use.queues[1], sample.queue_size))


def _crashed(use: Use, restarts: int) -> Use:
    """A count that falls is that of a new agent, which counts from zero again."""
    more = restarts - use.last_restarts if restarts >= use.last_restarts else restarts
    return replace(use, last_restarts=restarts, crashes=use.crashes + more)
