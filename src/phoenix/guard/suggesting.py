"""The smallest change to the candidate that would lift what blocks it, as a patch that was tried.

Three things can be asked of a pipeline: to keep a process by name (a critical rule), and of some to
keep a metric or the kernel's threads (a parameter). What would be kept is put into the candidate's
series as the baseline had it, and the queries that blocked are judged again: only what lifts them
is suggested, and of that a process that is needed by none is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from phoenix.guard.backend import Backend
from phoenix.guard.critical import NAME
from phoenix.guard.judging import Finding, Judge
from phoenix.guard.model import Query
from phoenix.measurement.emitted import Emitted
from phoenix.pipelines.model import Pipeline

NAMES_MAX: Final = 30
"""Processes that one query may miss and still be helped by naming them."""
#: Metrics that a parameter of a pipeline keeps, where the pipeline has such a parameter.
_KEPT_BY: Final[Mapping[str, str]] = {"process.memory.virtual": "virtual_memory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """What to change of the candidate.

    Attributes:
        critical: names of executables to keep, as critical rules (`name:etcd`).
        parameters: of the pipeline, with their new values.
    """

    critical: tuple[str, ...] = ()
    parameters: Mapping[str, bool]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to change."""
        return not self.critical and not self.parameters

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"critical": list(self.critical), "parameters": dict(self.parameters)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A patch, how many blocks it lifts, and what is left over."""

    patch: Patch
    lifts: int
    leaves: int
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "patch": self.patch.to_dict(),
            "lifts": self.lifts,
            "leaves": self.leaves,
            "sentence": self.sentence,
        }


def suggest(
    blocking: Sequence[Finding],
    queries: Sequence[Query],
    baseline: Sequence[Emitted],
    candidate: Sequence[Emitted],
    backend: Backend,
    pipeline: Pipeline | None,
) -> Suggestion:
    """What would lift the blocks; a patch that changes nothing where nothing would.

    Args:
        queries: all of them, since blocked ones may ask for what others record.
        pipeline: of the candidate; None for a configuration of one's own, which cannot be patched.
    """
    nothing = Patch(parameters={})
    if pipeline is None or pipeline.literal:
        why = "A configuration of your own has no parameters: keep the series named above in it."
        return Suggestion(patch=nothing, lifts=0, leaves=len(blocking), sentence=why)
    keeps_names = "critical" in pipeline.template
    shown = _steady(baseline, candidate)
    wanted = _names(blocking, shown) if keeps_names else {}
    parameters = _parameters(pipeline, baseline, candidate)
    recording = [query for query in queries if query.kind == "recording"]

    def lifted(kept: Iterable[str], metrics: Iterable[str]) -> list[Finding]:
        with_them = _with(candidate, baseline, set(kept), set(metrics))
        asked = [finding.query for finding in blocking]
        judged = Judge(baseline, with_them, backend).judge([*asked, *recording])
        return [f for f, again in zip(blocking, judged, strict=False) if not again.answer.blocks]

    by_names = lifted(wanted, ())
    metrics = tuple(parameters) if len(by_names) < len(blocking) else ()
    done = lifted(wanted, metrics) if metrics else by_names
    metrics = metrics if len(done) > len(by_names) else ()
    helped = {id(finding) for finding in done}
    needed = sorted(
        name for name, findings in wanted.items() if any(id(each) in helped for each in findings)
    )
    patch = Patch(
        critical=tuple(f"name:{name}" for name in needed),
        parameters={parameters[metric]: True for metric in metrics},
    )
    leaves = len(blocking) - len(done)
    return Suggestion(
        patch=patch, lifts=len(done), leaves=leaves, sentence=_sentence(patch, len(done), leaves)
    )


def _steady(baseline: Sequence[Emitted], candidate: Sequence[Emitted]) -> set[str]:
    """The names that the candidate shows as it is, in at least half of the baseline's ticks: what
    a query misses of these, naming them does not bring."""
    most: list[dict[str, int]] = [{}, {}]
    for side, emitted in zip(most, (baseline, candidate), strict=True):
        for each in emitted:
            name = dict(each.resource).get(NAME, "")
            side[name] = max(side.get(name, 0), each.ticks)
    return {name for name, ticks in most[1].items() if 2 * ticks >= most[0].get(name, 0)}


def _names(blocking: Sequence[Finding], shown: set[str]) -> dict[str, list[Finding]]:
    """The executables that blocked queries miss, with who misses them."""
    wanted: dict[str, list[Finding]] = {}
    for finding in blocking:
        if len(finding.missed) <= NAMES_MAX:
            for name in set(finding.missed) - shown:
                wanted.setdefault(name, []).append(finding)
    return wanted


def _parameters(
    pipeline: Pipeline, baseline: Sequence[Emitted], candidate: Sequence[Emitted]
) -> dict[str, str]:
    """Metrics that only the baseline has and that a parameter would keep."""
    known = {parameter.name for parameter in pipeline.parameters}
    gone = _metrics(baseline) - _metrics(candidate)
    return {metric: _KEPT_BY[metric] for metric in sorted(gone & _KEPT_BY.keys())
            if _KEPT_BY[metric] in known}  # fmt: skip


def _metrics(emitted: Iterable[Emitted]) -> set[str]:
    return {point.metric for points in {each.points for each in emitted} for point in points}


def _with(
    candidate: Sequence[Emitted], baseline: Sequence[Emitted], names: set[str], metrics: set[str]
) -> list[Emitted]:
    """The candidate's series with those that would be kept, as the baseline had them."""
    kept = [each for each in baseline if dict(each.resource).get(NAME) in names]
    shown = {dict(each.resource).get(NAME) for each in candidate}
    of_metrics = [
        replace(each, points=points)
        for each in baseline
        if dict(each.resource).get(NAME) in shown
        and (points := tuple(point for point in each.points if point.metric in metrics))
    ]
    return [*candidate, *kept, *of_metrics]


def _sentence(patch: Patch, lifts: int, leaves: int) -> str:
    if patch.is_empty or not lifts:
        return "No parameter of the pipeline would lift a block: another pipeline is needed."
    parts = []
    if patch.critical:
        shown = ", ".join(rule.removeprefix("name:") for rule in patch.critical[:5])
        more = len(patch.critical) - 5
        parts.append(f"keep {shown}{f' and {more} more' if more > 0 else ''} by name")
    parts += [f"set {name}" for name in patch.parameters]
    rest = f"; {leaves} would stay" if leaves else ""
    return f"To lift {lifts} of {lifts + leaves}: {' and '.join(parts)}{rest}."
