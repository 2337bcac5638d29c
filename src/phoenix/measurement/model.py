"""The nouns of the meter: a subscription says what to count, a tick is what was counted.

A tick is one scrape interval of one host. Its number is absolute, `round((t - phase) / interval)`
with t the earliest point's time in seconds since 1970, so that ticks of two arms pair by number
whoever scraped, and a restarted meter goes on with the numbers it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from phoenix.base.clock import rfc3339
from phoenix.pipelines.model import CriticalRule

Arm = Literal["baseline", "candidate"]
ARMS: tuple[Arm, Arm] = ("baseline", "candidate")
ArmState = Literal["alive", "dead", "paused", "reloading"]

METER_RESTARTED = "meter_restarted"
"""Reason of exclusion: the first tick after a start of the meter has no previous one."""


def unpaired(arm: Arm) -> str:
    """Reason of exclusion: `arm` is missing in the tick and was not alive to send nothing."""
    return f"unpaired:{arm}"


def catching_up(arm: Arm) -> str:
    """Reason of exclusion: `arm` is missing, and its data may wait in its queue since the meter
    started or refused it."""
    return f"catching_up:{arm}"


def gap_before(arm: Arm) -> str:
    """Reason of exclusion: `arm` alone missed the tick before, so its increments cover more."""
    return f"gap_before:{arm}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessKey:
    """Who a process is for coverage: its executable, and its pid where the data carries one."""

    name: str
    pid: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """One of the K largest of the baseline in a tick, and whether the candidate shows it."""

    name: str
    pid: int | None
    value: float
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTick:
    """What one arm emitted in one tick.

    points             data points, lone ones and duplicates included
    series             distinct (resource, scope, metric, attributes) in the tick
    series_run         distinct since the first tick of the subscription
    series_20m/_1h     distinct in the last 20 min / 1 h, None until that much time was measured
    series_error       relative standard error of the last three: 0.0 exact, else of the sketch
    raw_bytes          OTLP protobuf (or JSON) before compression; wire_bytes as they came
    levels             sum per non-monotonic metric, for example process.memory.usage in bytes
    increments         rise per counter metric since this arm's previous tick, in the metric's
                       unit; None where there is no previous tick
    delay_*            milliseconds from the time of a point to its arrival
    duplicates         points with the identity and time of an earlier one of the same tick
    late               points that came after their tick had closed (counted in the next closed one)
    lone               points of a tick in which the other arm sent nothing
    untimed            points without a usable time, counted in the tick of their request
    dropped            points beyond the meter's bounds: counted as points, not looked into
    span_ticks         how many ticks `increments` cover: 1, or more after ticks without this arm
    """

    points: int
    series: int
    series_run: int
    series_20m: int | None
    series_1h: int | None
    raw_bytes: int
    wire_bytes: int
    requests: int
    processes: int
    levels: dict[str, float]
    increments: dict[str, float] | None
    delay_p50_ms: float
    delay_p95_ms: float
    delay_max_ms: float
    duplicates: int
    late: int
    lone: int
    series_error: float = 0.0
    dropped: int = 0
    untimed: int = 0
    span_ticks: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One closed tick of one experiment; `excluded` says why it is no evidence, or None.

    critical_baseline and critical_candidate count entities: (name, pid) where the candidate's data
    carries pids, else names. `missing` are those the baseline shows and the candidate does not.
    `hidden_names` are executable names of the baseline that the candidate does not show.
    """

    experiment_id: str
    tick: int
    at: datetime
    baseline: ArmTick | None
    candidate: ArmTick | None
    excluded: str | None
    critical_baseline: int
    critical_candidate: int
    missing: tuple[str, ...]
    hidden_names: int
    top_cpu: tuple[Top, ...]
    top_memory: tuple[Top, ...]
    recall_cpu: float | None
    recall_memory: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `at` is RFC 3339."""
        return {**asdict(self), "at": rfc3339(self.at)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Tick:
        """What `to_dict` wrote."""
        return cls(
            **{
                **value,
                "at": datetime.fromisoformat(value["at"]),
                "baseline": _arm_tick(value["baseline"]),
                "candidate": _arm_tick(value["candidate"]),
                "missing": tuple(value["missing"]),
                "top_cpu": tuple(Top(**top) for top in value["top_cpu"]),
                "top_memory": tuple(Top(**top) for top in value["top_memory"]),
            }
        )


def _arm_tick(value: Mapping[str, Any] | None) -> ArmTick | None:
    return None if value is None else ArmTick(**value)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSeen:
    """One executable name over a whole experiment.

    cpu_s and memory_bytes come from the baseline: CPU seconds used in all ticks, and the largest
    sum of resident bytes in one tick. A name with candidate_ticks 0 was lost or folded.
    """

    name: str
    baseline_ticks: int
    candidate_ticks: int
    cpu_s: float
    memory_bytes: float
    critical: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What the meter counts for one experiment, and who may send. Tokens are kept as SHA-256."""

    experiment_id: str
    interval_s: float
    critical: tuple[CriticalRule, ...]
    token_sha256: Mapping[Arm, str]
    top_k: int = 10
    shared_scrape: bool = True  # both arms carry the same scrape
    states: Mapping[Arm, ArmState]
    created_at: datetime
