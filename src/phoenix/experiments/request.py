"""What a person may ask for when creating an experiment; the service turns it into a frozen
specification. Whatever is None takes the profile's value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRequest:
    """A catalog pipeline with parameters, or the text of a collector configuration."""

    pipeline: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    config: str | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """Real processes to start beside the host's own."""

    profile: str
    seed: int = 1
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRequest:
    """Everything that can be chosen."""

    baseline: ArmRequest
    candidate: ArmRequest
    name: str | None = None
    description: str = ""
    profile: str = "demo"
    critical: list[str] | None = None
    interval_s: float | None = None
    warmup_ticks: int | None = None
    evidence_ticks_max: int | None = None
    required_reduction: float | None = None
    coverage_margin: float | None = None
    min_recall_top_k: float | None = None
    load: LoadRequest | None = None
    redact: bool = True
    guard: Mapping[str, Any] | None = None  # queries and backend, as `guarding.Asked` writes them
    allow_lost_totals: bool = False  # report what the candidate's totals lose; do not require it
