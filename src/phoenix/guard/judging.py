"""All queries against both arms: one finding for each, and what they come to.

What is said is *resolved, not evaluated*: it follows from which series there are and how an
expression uses them, not from their values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from phoenix.guard import answers, matching, names, promql, series, variables
from phoenix.guard.answers import Answer, Compared, Side
from phoenix.guard.backend import Backend
from phoenix.guard.columns import WITHHELD, Arm, arms
from phoenix.guard.critical import NAME
from phoenix.guard.lookup import Recorded
from phoenix.guard.matching import CannotJudge, Choices
from phoenix.guard.model import Query, Variable
from phoenix.guard.operators import EngineRefuses
from phoenix.guard.resolver import Resolver
from phoenix.guard.series import METRIC_NAME
from phoenix.measurement.emitted import Emitted
from phoenix.pipelines import re2

METHOD: Final = "resolved, not evaluated"
_CHOICES_MAX: Final = 2_000
_VARIABLES_DEEP: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What becomes of one query."""

    query: Query
    answer: Answer
    reason: str
    baseline: str = ""
    candidate: str = ""
    lost: tuple[dict[str, str], ...] = ()
    missed: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        query = self.query
        return {
            "kind": query.kind,
            "source": query.source,
            "name": query.name,
            "expr": query.written or query.expr,
            "answer": self.answer.value,
            "blocks": self.answer.blocks,
            "reason": self.reason,
            "baseline": self.baseline,
            "candidate": self.candidate,
            "lost": list(self.lost),
        }


class Judge:
    """Holds both arms' series, and says of queries what becomes of them.

    Args:
        conserved: OpenTelemetry metrics whose totals both arms agree about within the tolerance.
    """

    def __init__(
        self,
        baseline: Iterable[Emitted],
        candidate: Iterable[Emitted],
        backend: Backend,
        conserved: Iterable[str] = (),
    ) -> None:
        baseline, candidate = list(baseline), list(candidate)
        self._arms = arms(_series(baseline, backend), _series(candidate, backend))
        self._conserved = frozenset(conserved)
        self._name_label = names.label_name(backend, NAME) or ""
        self._names = frozenset(name for arm in self._arms for name in _metrics(arm))
        self._conserved_names = _translated([*baseline, *candidate], self._conserved, backend)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many series the backend would hold of each arm."""
        return self._arms[0].size, self._arms[1].size

    @property
    def flapping(self) -> int:
        """Series of the candidate that came in less than half of the ticks of the baseline's."""
        return self._arms[1].flapping

    def judge(self, queries: Sequence[Query]) -> list[Finding]:
        """A finding for each query, in their order."""
        recorded = _recorded(queries)
        resolvers = tuple(
            Resolver(arm, self._names, recorded, self._conserved_names) for arm in self._arms
        )
        return [_finding(query, resolvers, self._name_label) for query in queries]


def _finding(query: Query, resolvers: tuple[Resolver, ...], name_label: str) -> Finding:
    if query.unreadable:
        return Finding(query=query, answer=Answer.UNKNOWN, reason=query.unreadable)
    try:
        compared = _compared(query, resolvers, name_label)
    except CannotJudge as reason:
        return Finding(query=query, answer=Answer.UNKNOWN, reason=str(reason))
    except promql.Unparsable as reason:
        why = f"not PromQL that can be read: {reason}"
        return Finding(query=query, answer=Answer.UNKNOWN, reason=why)
    return Finding(
        query=query,
        answer=compared.answer,
        reason=compared.reason,
        baseline=compared.baseline,
        candidate=compared.candidate,
        lost=compared.lost,
        missed=compared.missed,
    )


def _compared(query: Query, resolvers: tuple[Resolver, ...], name_label: str) -> Compared:
    tree = promql.parse(query.expr)
    baseline, candidate = resolvers
    # What may be chosen today is chosen from, in both arms.
    choices = _choices(query.variables, baseline)
    try:
        ours = _side(tree, choices, baseline)
    except EngineRefuses as reason:
        raise CannotJudge(f"with the series of the whole experiment, {reason}") from reason
    try:
        theirs = _side(tree, choices, candidate)
    except EngineRefuses as reason:
        return Compared(answer=Answer.SILENT, reason=f"it would end in an error: {reason}")
    return answers.compare(query, ours, theirs, name_label)


def _side(tree: Any, choices: Choices, resolver: Resolver) -> Side:
    return Side(found=resolver.selectors(tree, choices), result=resolver.resolve(tree, choices))


def _choices(used: Sequence[Variable], resolver: Resolver) -> Choices:
    """What each variable may stand for, as patterns; None where it may be anything."""
    choices: dict[str, tuple[str, ...] | None] = {}
    waiting = list(used)
    for _ in range(_VARIABLES_DEEP):
        names = {variable.name for variable in waiting}
        ready = [v for v in waiting if not names & _used_by(v)] or waiting
        for variable in ready:
            choices[variable.name] = _choices_of(variable, choices, resolver)
        waiting = [variable for variable in waiting if variable.name not in choices]
        if not waiting:
            break
    return choices


def _used_by(variable: Variable) -> set[str]:
    return set(variables.MARK.findall(variable.selector)) - {variable.name}


def _choices_of(variable: Variable, choices: Choices, resolver: Resolver) -> tuple[str, ...] | None:
    if variable.values is not None:
        return tuple(re2.quote(value) for value in variable.values) or None
    if variable.all_value:
        return (variable.all_value,)
    if not variable.label:
        return None
    values = resolver.values(variable.selector, variable.label, choices)
    if variable.pattern:
        values = _filtered(values, variable.pattern)
    if not values or len(values) > _CHOICES_MAX:
        return None  # of what no arm emits, or so many that it is everything
    return tuple(re2.quote(value) for value in values)


def _filtered(values: Sequence[str], pattern: str) -> list[str]:
    """The choices that a dashboard's own pattern leaves, as it rewrites them."""
    bare = pattern[1:].rpartition("/")[0] if pattern.startswith("/") else pattern
    fits = matching.compiled(bare)
    found = (fits.search(value) for value in values)
    kept = [m.groupdict().get("value") or (m[1] if m.re.groups else m.string) for m in found if m]
    return [value for value in dict.fromkeys(kept) if value]


def _recorded(queries: Sequence[Query]) -> Mapping[str, list[Recorded]]:
    recorded: dict[str, list[Recorded]] = {}
    for query in queries:
        if query.kind != "recording":
            continue
        why_not = query.unreadable
        tree = None
        if not why_not:
            try:
                tree = promql.parse(query.expr)
            except promql.Unparsable as reason:
                why_not = f"not PromQL that can be read: {reason}"
        rule = Recorded(tree=tree, labels=query.labels, why_not=why_not)
        recorded.setdefault(query.name, []).append(rule)
    return recorded


def _series(emitted: Iterable[Emitted], backend: Backend) -> list[tuple[Mapping[str, str], int]]:
    return [
        (labels, each.ticks) for each in emitted for labels in series.of(_marked(each), backend)
    ]


def _marked(emitted: Emitted) -> Emitted:
    """With a mark for each attribute whose value was not kept."""
    if not emitted.withheld:
        return emitted
    known = tuple((key, value) for key, value in emitted.resource if key not in emitted.withheld)
    marks = tuple((key, WITHHELD) for key in emitted.withheld)
    return replace(emitted, resource=tuple(sorted((*known, *marks))))


def _metrics(arm: Arm) -> Iterable[str]:
    return (arm.words.texts[code] for code in arm.by_metric if code)


def _translated(
    emitted: Iterable[Emitted], metrics: frozenset[str], backend: Backend
) -> frozenset[str]:
    """The names that a backend gives to certain metrics."""
    points = {point for each in emitted for point in each.points if point.metric in metrics}
    return frozenset(
        labels[METRIC_NAME]
        for point in points
        for labels in series.of(Emitted((), (point,), 1), replace(backend, target_info=False))
    )
