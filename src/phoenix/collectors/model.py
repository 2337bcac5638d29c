"""The nouns of the runtime: a shadow is what one host runs for one experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

MemberState = Literal["starting", "running", "waiting", "paused", "stopped", "failed"]
ShadowPhase = Literal["starting", "ready", "paused", "stopped", "failed"]

SCRAPER = "scraper"
ARMS = ("baseline", "candidate")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSpec:
    """What to run. Tokens are secrets: they reach a collector through its environment only."""

    experiment_id: str
    interval_s: float
    scraper: str  # YAML of the collector that reads the processes
    arms: Mapping[str, str]  # YAML of each arm
    meter_url: str
    token_baseline: str = field(repr=False)
    token_candidate: str = field(repr=False)
    load: Mapping[str, Any] | None
    memory_limit_mib: int

    def token(self, arm: str) -> str:
        """What the arm shows to the meter."""
        return self.token_baseline if arm == "baseline" else self.token_candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberStatus:
    """One collector of a shadow."""

    state: MemberState
    pid: int | None
    restarts: int
    last_error: str | None
    started_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStatus:
    """How a shadow is. `load` tells about the process load it owns, None without one.

    `last_error` is what keeps the shadow as a whole from running; a member has its own.
    """

    phase: ShadowPhase
    members: Mapping[str, MemberStatus]
    load: str | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one member used and sent until a moment; counters since its start.

    member is scraper, baseline, candidate, another part of Phoenix, or host. What was not measured
    is None. For `host`, cpu_s is the busy time of all cores since boot and rss_bytes the memory in
    use; total_cpu_s is the time of all cores. restarts says how often a collector ended by itself
    since its agent started it first.
    """

    id: int = 0  # order of arrival in the database; 0 before it is there
    experiment_id: str
    member: str
    at: datetime
    state: str
    cpu_s: float | None
    rss_bytes: int | None
    sent_points: int | None = None
    exporter_failed_points: int | None = None
    enqueue_failed_points: int | None = None
    queue_size: int | None = None
    total_cpu_s: float | None = None
    restarts: int | None = None
