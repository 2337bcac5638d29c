"""What a short run on this host says about a configuration, in five checks.

`validate` lets a dozen classes of mistakes through; all of them show in two scrapes: no points, a
critical process gone, two points for one identity, totals that do not add up. Pure: closed ticks
in, findings out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from phoenix.experiments.evidence import CONSERVED_LEVELS
from phoenix.measurement.model import Tick

CONSERVATION_TOLERANCE = 0.01
TICKS_MIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeCheck:
    """One thing that was looked at."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeReport:
    """Whether a configuration may be started, and why."""

    pipeline: str
    checks: tuple[SmokeCheck, ...]

    @property
    def passed(self) -> bool:
        """Every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def sentence(self) -> str:
        """What a person reads first."""
        failed = [check.sentence for check in self.checks if not check.passed]
        if failed:
            return f"{self.pipeline} did not pass the check: {'; '.join(failed)}"
        return f"{self.pipeline} passed the check"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `-o json`."""
        return {**asdict(self), "passed": self.passed, "sentence": self.sentence}


def examine(pipeline: str, ticks: Sequence[Tick], *, conserves: bool) -> SmokeReport:
    """Judge the closed ticks of a smoke run.

    Args:
        pipeline: how to name it.
        ticks: in order; those without both arms tell nothing.
        conserves: whether the pipeline promises to keep the totals.
    """
    both = [t for t in ticks if t.baseline is not None and t.candidate is not None]
    checks = [_scrapes(both), _points(both)]
    if all(check.passed for check in checks):
        checks += [_critical(both), _duplicates(both)]
        if conserves:
            checks.append(_conserved(both))
    return SmokeReport(pipeline=pipeline, checks=tuple(checks))


def _scrapes(both: Sequence[Tick]) -> SmokeCheck:
    return SmokeCheck(
        name="scrapes",
        passed=len(both) >= TICKS_MIN,
        sentence=f"{len(both)} scrapes arrived through both ways"
        if len(both) >= TICKS_MIN
        else f"only {len(both)} of {TICKS_MIN} scrapes arrived; the collector's log tells why",
    )


def _points(both: Sequence[Tick]) -> SmokeCheck:
    sent = [t.candidate.points for t in both if t.candidate is not None]
    seen = [t.baseline.points for t in both if t.baseline is not None]
    some = bool(sent) and min(sent) > 0
    return SmokeCheck(
        name="points",
        passed=some,
        sentence=f"{sent[-1]} points leave of {seen[-1]} that arrive"
        if some
        else "no points leave, though processes are there: a filter or an include matches nothing",
    )


def _critical(both: Sequence[Tick]) -> SmokeCheck:
    missing = sorted({name for t in both for name in t.missing})
    shown = both[-1].critical_baseline
    return SmokeCheck(
        name="critical processes",
        passed=not missing,
        sentence=f"critical processes are lost: {', '.join(missing[:10])}"
        if missing
        else f"all {shown} critical processes stay visible",
    )


def _duplicates(both: Sequence[Tick]) -> SmokeCheck:
    doubled = sum(t.candidate.duplicates for t in both if t.candidate is not None)
    return SmokeCheck(
        name="identities",
        passed=doubled == 0,
        sentence="no identity has two points at one time"
        if doubled == 0
        else f"{doubled} points share identity and time with another: an identity was removed "
        "without summing what it told apart",
    )


def _conserved(both: Sequence[Tick]) -> SmokeCheck:
    """Do levels add up? A level that is told of no process at all (virtual memory, as a rule) was
    left out on purpose, unless it is one that a verdict needs."""
    worst, which = 0.0, ""
    told = {metric for t in both if t.candidate for metric in t.candidate.levels}
    for tick in both:
        assert tick.baseline is not None
        assert tick.candidate is not None
        for metric, arrived in tick.baseline.levels.items():
            if metric not in told and metric not in CONSERVED_LEVELS:
                continue
            left = tick.candidate.levels.get(metric, 0.0)
            error = abs(left - arrived) / arrived if arrived else float(left != 0)
            if error > worst:
                worst, which = error, metric
    return SmokeCheck(
        name="totals",
        passed=worst <= CONSERVATION_TOLERANCE,
        sentence=f"totals agree within {CONSERVATION_TOLERANCE:.0%}"
        if worst <= CONSERVATION_TOLERANCE
        else f"the total of {which} is off by {worst:.1%}",
    )
