"""A whole check: every query, what blocks, what would lift it, and whom the queries name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phoenix.guard import critical
from phoenix.guard.answers import Answer
from phoenix.guard.backend import Backend
from phoenix.guard.judging import METHOD, Finding, Judge
from phoenix.guard.model import Query
from phoenix.guard.suggesting import Suggestion, suggest
from phoenix.measurement.emitted import Catalogue
from phoenix.measurement.model import Arm
from phoenix.pipelines.model import CriticalRule, Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of all queries.

    `unlisted` counts resources that the meter had no room to list: while there are any, silence
    cannot be told from a full list, and what would have blocked cannot be judged.
    """

    findings: tuple[Finding, ...]
    series: tuple[int, int]
    flapping: int
    unlisted: int
    backend: Backend
    suggestion: Suggestion | None
    named: tuple[CriticalRule, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many queries have each answer, in the order of the answers."""
        counted = Counter(finding.answer for finding in self.findings)
        return {answer.value: counted[answer] for answer in Answer if counted[answer]}

    @property
    def blocking(self) -> tuple[Finding, ...]:
        """Those that stand in the way of a promotion."""
        return tuple(finding for finding in self.findings if finding.answer.blocks)

    @property
    def sentence(self) -> str:
        """What it comes to, with how it was found out."""
        silent = self.counts.get(Answer.SILENT.value, 0)
        fires = self.counts.get(Answer.FIRES.value, 0)
        total = len(self.findings)
        if not silent and not fires:
            return f"None of {total} queries goes silent or would fire ({METHOD})."
        parts = [f"{silent} go silent"] if silent else []
        parts += [f"{fires} would fire"] if fires else []
        return f"Of {total} queries {' and '.join(parts)} ({METHOD})."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "method": METHOD,
            "sentence": self.sentence,
            "blocks": len(self.blocking),
            "counts": self.counts,
            "series": {"baseline": self.series[0], "candidate": self.series[1]},
            "flapping": self.flapping,
            "unlisted": self.unlisted,
            "backend": self.backend.to_dict(),
            "findings": [finding.to_dict() for finding in self.findings],
            "suggestion": self.suggestion.to_dict() if self.suggestion else None,
            "critical": [
                {"kind": rule.kind, "value": rule.value, "source": rule.source}
                for rule in self.named
            ],
        }


def check(
    queries: Sequence[Query],
    emitted: Mapping[Arm, Catalogue],
    backend: Backend,
    *,
    conserved: Iterable[str] = (),
    pipeline: Pipeline | None = None,
) -> Outcome:
    """Judge all queries against what both arms emitted. It takes seconds for thousands.

    Args:
        conserved: OpenTelemetry metrics whose totals both arms agree about.
        pipeline: of the candidate, for suggestions; None where it is nobody's template.
    """
    baseline = emitted["baseline"].all() if "baseline" in emitted else []
    candidate = emitted["candidate"].all() if "candidate" in emitted else []
    unlisted = sum(catalogue.unlisted for catalogue in emitted.values())
    judge = Judge(baseline, candidate, backend, conserved)
    findings = [_careful(finding, unlisted) for finding in judge.judge(queries)]
    blocking = [finding for finding in findings if finding.answer.blocks]
    suggestion = None
    if blocking:
        suggestion = suggest(blocking, queries, baseline, candidate, backend, pipeline)
    return Outcome(
        findings=tuple(findings),
        series=judge.sizes,
        flapping=judge.flapping,
        unlisted=unlisted,
        backend=backend,
        suggestion=suggestion,
        named=tuple(critical.named_by(queries, backend)),
    )


def _careful(finding: Finding, unlisted: int) -> Finding:
    """What rests on a series that is missing is not said of lists that were not complete."""
    if not unlisted or not finding.answer.blocks:
        return finding
    why = (
        f"it {finding.answer.value}, as far as is listed: the meter saw {unlisted} resources more "
        "than it lists"
    )
    return Finding(query=finding.query, answer=Answer.UNKNOWN, reason=why)
