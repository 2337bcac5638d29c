"""Alerts and dashboards in an experiment: what was asked, what became of it, what it decides.

The queries are frozen with the specification (by their hash) and judged once, when the evidence is
complete, against everything that both arms emitted. One that goes silent or would fire is a failed
guardrail: the candidate needs tuning. Queries that could not be checked leave it open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phoenix.base.canonical import canonical_bytes, sha256_hex
from phoenix.base.errors import Invalid
from phoenix.experiments import sentences as say
from phoenix.experiments.evidence import Evidence
from phoenix.experiments.model import Guardrail, Spec
from phoenix.guard.backend import Backend
from phoenix.guard.model import Query
from phoenix.guard.outcome import Outcome

QUERIES_MAX = 20_000
_TOLERANCE = 0.01  # where the experiment requires nothing of the totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Queries and the backend that they are asked of."""

    queries: tuple[Query, ...]
    backend: Backend

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "queries": [query.to_dict() for query in self.queries],
            "backend": self.backend.to_dict(),
        }

    def frozen(self) -> dict[str, object]:
        """What a specification keeps of it."""
        return {
            "backend": self.backend.to_dict(),
            "queries": len(self.queries),
            "sha256": sha256_hex(canonical_bytes(self.to_dict())),
        }


class QueriesUnreadable(Invalid):
    """Those are no queries of rules and dashboards."""


def asked(value: Mapping[str, Any]) -> Asked:
    """Queries and backend from plain values, as `Asked.to_dict` writes them.

    Raises:
        QueriesUnreadable: they are not such values.
        UnknownBackend: the backend is none.
    """
    given = value.get("queries")
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise QueriesUnreadable("There is no query.", remedy="Name a folder that holds some.")
    if len(given) > QUERIES_MAX:
        raise QueriesUnreadable(
            f"There are {len(given)} queries, and at most {QUERIES_MAX} are judged together.",
            remedy="Name a part of the rules and dashboards.",
        )
    try:
        queries = tuple(Query.from_dict(each) for each in given)
        if not all(_has_texts(query) for query in queries):
            raise TypeError("a text is expected")
    except (TypeError, ValueError, AttributeError) as error:
        raise QueriesUnreadable(
            f"A query cannot be read: {error}.",
            remedy="Let the command line read the files: phoenix guard check --rules DIR ID",
        ) from error
    return Asked(queries=queries, backend=Backend.from_dict(value.get("backend") or {}))


def conserved(spec: Spec, evidence: Evidence | None) -> tuple[str, ...]:
    """The metrics whose totals both arms agree about within the tolerance of the experiment."""
    if evidence is None:
        return ()
    tolerance = spec.criteria.conservation_tolerance or _TOLERANCE
    return tuple(
        name
        for name, pair in sorted(evidence.totals.items())
        if pair.baseline > 0 and abs(pair.candidate / pair.baseline - 1) <= tolerance
    )


def guardrail(outcome: Outcome | None, why_not: str = "") -> Guardrail:
    """The guardrail of alerts and dashboards; `why_not` says why there is no outcome."""
    required = "none silent, none firing"
    if outcome is None:
        return Guardrail(
            name="queries",
            required=required,
            measured="insufficient data",
            passed=None,
            sentence=f"Alerts and dashboards could not be checked: {why_not}.",
            tunable=True,
        )
    blocks = len(outcome.blocking)
    names = say.listed(dict.fromkeys(finding.query.name for finding in outcome.blocking))
    sentence = outcome.sentence + (f" They are {names}." if names else "")
    return Guardrail(
        name="queries",
        required=required,
        measured=f"{blocks} of {len(outcome.findings)} block",
        passed=not blocks,
        value=float(blocks),
        sentence=sentence,
        tunable=True,
    )


def _has_texts(query: Query) -> bool:
    texts = (query.source, query.name, query.expr, query.written, query.unreadable)
    kinds = ("alert", "recording", "panel", "variable", "file")
    labelled = isinstance(query.labels, Mapping) and all(
        isinstance(each, str) for pair in query.labels.items() for each in pair
    )
    return query.kind in kinds and labelled and all(isinstance(text, str) for text in texts)
