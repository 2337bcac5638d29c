"""What the verdict knew, told again from stored ticks and samples.

A report must count the very ticks that the verdict rests on: which tick is evidence is decided by
`Evidence` alone, from the tick and from how the members of the shadow were around it. So this folds
them once more, the same way, and keeps what it counted and how the band narrowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from phoenix.collectors.model import Sample
from phoenix.experiments import rules
from phoenix.experiments.evidence import Evidence
from phoenix.experiments.model import Spec
from phoenix.experiments.timeline import intervals
from phoenix.measurement.model import Tick

# The band of the long run is drawn at about this many moments.
TRAJECTORY_POINTS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TrajectoryPoint:
    """What was known of the reduction after so many ticks; the band is of the long run."""

    ticks: int
    reduction: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retold:
    """The evidence, the ticks that it counted, and what was known on the way."""

    evidence: Evidence
    counted: tuple[Tick, ...]
    trajectory: tuple[TrajectoryPoint, ...]


def retold(spec: Spec, ticks: Sequence[Tick], samples: Sequence[Sample]) -> Retold:
    """Fold `ticks`, ascending, and the samples taken around them."""
    told = intervals(samples)
    every = max(1, len(ticks) // TRAJECTORY_POINTS)
    evidence = Evidence()
    counted: list[Tick] = []
    trajectory: list[TrajectoryPoint] = []
    for number, tick in enumerate(ticks):
        before = evidence.ticks
        evidence = evidence.updated(tick, spec, told)
        if evidence.ticks > before:
            counted.append(tick)
        if evidence.ticks and (number % every == 0 or number == len(ticks) - 1):
            trajectory.append(_point(spec, evidence))
    # Afterwards: what was used counts from the first tick of evidence on.
    evidence = evidence.with_samples(samples)
    return Retold(evidence=evidence, counted=tuple(counted), trajectory=tuple(trajectory))


def _point(spec: Spec, evidence: Evidence) -> TrajectoryPoint:
    known = rules.progress(spec, evidence)
    low, high = known["band"] or (None, None)
    return TrajectoryPoint(ticks=evidence.ticks, reduction=known["reduction"], low=low, high=high)
