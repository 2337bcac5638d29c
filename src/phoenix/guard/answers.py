"""The two arms' answers to one query, compared: is it the same, less, another, or none at all?

| Answer | When |
|---|---|
| `same` | the same label sets, each computed from the same series |
| `fewer series, same answer` | fewer series go in, and the answer does not depend on the others |
| `answer changes` | other label sets, or a value computed from other series |
| `goes silent` | the baseline may answer and the candidate never will, or not for a named one |
| `would fire` | only the candidate fires whatever the values are, or for want of data |
| `matches nothing today` | not even the baseline has what is asked for |
| `cannot be judged` | with the reason |

`goes silent` and `would fire` stand in the way of a promotion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from phoenix.guard import matching
from phoenix.guard.columns import Flags
from phoenix.guard.lookup import Found
from phoenix.guard.model import Query
from phoenix.guard.promql import Matcher
from phoenix.guard.results import Result, Scalar
from phoenix.guard.series import METRIC_NAME
from phoenix.guard.vectors import Vector

_NAMED_MAX: Final = 3


class Answer(StrEnum):
    """What becomes of a query."""

    SAME = "same"
    FEWER = "fewer series, same answer"
    CHANGES = "answer changes"
    SILENT = "goes silent"
    FIRES = "would fire"
    NOTHING = "matches nothing today"
    UNKNOWN = "cannot be judged"

    @property
    def blocks(self) -> bool:
        """Whether it stands in the way of a promotion."""
        return self in (Answer.SILENT, Answer.FIRES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One arm's part: what each selector finds, and what the whole yields."""

    found: Sequence[Found]
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """An answer with its reason, and both arms' answers in words."""

    answer: Answer
    reason: str
    baseline: str = ""
    candidate: str = ""
    lost: tuple[dict[str, str], ...] = ()  # label sets that only the baseline answers, some of them
    missed: tuple[str, ...] = ()  # executables whose series only the baseline has for it


def compare(query: Query, baseline: Side, candidate: Side, name_label: str = "") -> Compared:
    """What becomes of a query; `name_label` is the label that names executables."""
    told = _Told(query, baseline, candidate)
    answer, reason = told.answer()
    return Compared(
        answer=answer,
        reason=reason,
        baseline=_in_words(baseline.result),
        candidate=_in_words(candidate.result),
        lost=told.lost_labels() if answer in (Answer.SILENT, Answer.CHANGES) else (),
        missed=told.missed(name_label),
    )


class _Told:
    """One comparison, step by step."""

    def __init__(self, query: Query, baseline: Side, candidate: Side) -> None:
        self._query = query
        self._sides = (baseline, candidate)
        self._first = _vector(baseline.result)
        self._second = _vector(candidate.result)
        self._lost, self._new, self._other = _differences(self._first, self._second)

    def answer(self) -> tuple[Answer, str]:
        """The answer and its reason."""
        if not self._asks_anything():
            return Answer.NOTHING, self._nothing_today()
        if self._first is None or self._second is None:
            return self._of_numbers()
        if self._same():
            return self._same_or_fewer()
        silent = self._silence()
        if silent:
            return self._without_data(silent)
        if self._fires():
            return Answer.FIRES, self._because("it would fire whatever the values are")
        return Answer.CHANGES, self._change()

    def lost_labels(self) -> tuple[dict[str, str], ...]:
        """Some of the label sets that only the baseline answers."""
        if self._first is None:
            return ()
        rows = np.flatnonzero(self._lost)[:_NAMED_MAX]
        return tuple(_labels(self._first, int(row)) for row in rows)

    def missed(self, label: str) -> tuple[str, ...]:
        """Values of a label that selectors find in the baseline only."""
        found: set[str] = set()
        for ours, theirs in zip(*(side.found for side in self._sides), strict=True):
            found |= _values_of(ours.vector, label) - _values_of(theirs.vector, label)
        return tuple(sorted(found - {""}))

    def _asks_anything(self) -> bool:
        """Whether any selector finds something in the baseline, or in the candidate."""
        return any(each.vector.size for side in self._sides for each in side.found)

    def _nothing_today(self) -> str:
        found = self._sides[0].found
        if not found:
            return "it asks for no series"
        elsewhere = sorted({_metric(each) for each in found if each.elsewhere})
        if elsewhere:
            return f"no arm emits {_some(elsewhere)}: from elsewhere, or from nowhere"
        return "no series of the baseline has the labels that it asks for"

    def _of_numbers(self) -> tuple[Answer, str]:
        first, second = (side.result for side in self._sides)
        if isinstance(first, Scalar) and isinstance(second, Scalar):
            equal = first.value == second.value or first.origin == second.origin
            if equal or (math.isnan(first.value) and first == second):
                return self._same_or_fewer()
            return Answer.CHANGES, self._because("its number is computed from other series")
        return Answer.SAME, "it yields a text"

    def _same(self) -> bool:
        assert self._first is not None
        assert self._second is not None
        return (
            not (self._lost.any() or self._new.any() or self._other)
            and self._first.foreign == self._second.foreign
        )

    def _same_or_fewer(self) -> tuple[Answer, str]:
        if self._selectors_equal():
            return Answer.SAME, "both arms have every series that it asks for"
        first, second = (sum(each.vector.size for each in side.found) for side in self._sides)
        return Answer.FEWER, f"{first} series go in today, {second} with the candidate"

    def _selectors_equal(self) -> bool:
        pairs = zip(self._sides[0].found, self._sides[1].found, strict=True)
        return all(a.vector.digest() == b.vector.digest() for a, b in pairs)

    def _silence(self) -> str:
        """Why the candidate will not answer where the baseline may, or ""."""
        assert self._first is not None
        assert self._second is not None
        answers = self._first.size > 0 or self._first.foreign is not None
        if not answers:
            return ""
        if not self._second.size and self._second.foreign is None:
            return self._because("nothing would answer any more")
        if self._only_constants():
            return self._because("a constant would stand in for the data")
        named = self._named_and_lost()
        return f"nothing would answer any more for {_some(named)}" if named else ""

    def _only_constants(self) -> bool:
        """Whether all data is gone and something like `or vector(0)` covers it up."""
        assert self._first is not None
        assert self._second is not None
        fed = [each for each in self._sides[0].found if each.vector.size]
        starved = all(
            not theirs.vector.size and theirs.vector.foreign is None
            for ours, theirs in zip(*(side.found for side in self._sides), strict=True)
            if ours.vector.size
        )
        all_known = bool(self._second.size) and not np.isnan(self._second.value).any()
        return (
            bool(fed) and starved and all_known and self._second.foreign is None
            and self._query.kind != "alert"
        )  # fmt: skip

    def _named_and_lost(self) -> list[str]:
        """Values that the query lists by name and that only the baseline answers for."""
        assert self._first is not None
        named: dict[str, set[str]] = {}
        for each in self._sides[0].found:
            for group in each.groups:
                for matcher in group:
                    listed = _listed(matcher)
                    if matcher.label != METRIC_NAME and listed and not self._query.variables:
                        named.setdefault(matcher.label, set()).update(listed)
        lost: set[str] = set()
        for label, values in named.items():
            before = _values_of(self._first, label)
            lost |= (before - _values_of(self._second, label)) & values
        return sorted(lost)

    def _without_data(self, reason: str) -> tuple[Answer, str]:
        """A query that is left without an answer: silence, unless silence is an alarm."""
        query = self._query
        if query.kind == "alert" and query.thresholded and query.no_data in ("no_data", "alerting"):
            return Answer.FIRES, f"{reason}, and its state without data is {query.no_data}"
        if query.kind == "alert" and query.thresholded:
            return Answer.SILENT, f"{reason}, and its state without data is {query.no_data}"
        if query.keep_firing_for:
            return Answer.SILENT, f"{reason} (one that fires goes on for {query.keep_firing_for})"
        return Answer.SILENT, reason

    def _fires(self) -> bool:
        """Whether an alert that does not fire for sure today would."""
        assert self._first is not None
        assert self._second is not None
        if self._query.kind != "alert" or self._query.thresholded or self._first.is_there:
            return False
        return self._second.is_there

    def _change(self) -> str:
        assert self._second is not None
        parts = []
        lost, new = int(self._lost.sum()), int(self._new.sum())
        if lost:
            parts.append(f"{lost} label sets go")
        if new:
            parts.append(f"{new} come that are not there today")
        if self._other:
            parts.append(f"{self._other} are computed from other series")
        if not parts:
            parts.append("it depends on series from elsewhere, and on others than today")
        return self._because(", ".join(parts))

    def _because(self, what: str) -> str:
        """What happens, and the selector in which the arms differ most."""
        pairs = list(zip(self._sides[0].found, self._sides[1].found, strict=True))
        differing = [(a, b) for a, b in pairs if a.vector.digest() != b.vector.digest()]
        if not differing:
            return what
        ours, theirs = min(
            differing, key=lambda pair: pair[1].vector.size / max(pair[0].vector.size, 1)
        )
        return (
            f"{what}: {_selector(ours)} finds {ours.vector.size} series today, "
            f"{theirs.vector.size} with the candidate"
        )


def _listed(matcher: Matcher) -> tuple[str, ...]:
    """The values that a matcher asks for by name."""
    if matcher.operator == "=":
        return (matcher.value,)
    return (matching.literals(matcher.value) or ()) if matcher.operator == "=~" else ()


def _vector(result: Result) -> Vector | None:
    return result if isinstance(result, Vector) else None


def _differences(first: Vector | None, second: Vector | None) -> tuple[Flags, Flags, int]:
    """Which of the first are lost, which of the second are new, and how many differ otherwise."""
    nothing = np.zeros(0, dtype=np.bool_)
    if first is None or second is None:
        return nothing, nothing, 0
    if first.size == second.size and first.digest() == second.digest():
        return np.zeros(first.size, np.bool_), np.zeros(second.size, np.bool_), 0
    ours, theirs = first.keys(), second.keys()
    lost, new = ~np.isin(ours, theirs), ~np.isin(theirs, ours)
    a = np.flatnonzero(~lost)[np.argsort(ours[~lost], kind="stable")]
    b = np.flatnonzero(~new)[np.argsort(theirs[~new], kind="stable")]
    if len(a) != len(b):  # the same label set several times
        return lost, new, abs(len(a) - len(b))
    other = (first.origin[a] != second.origin[b]) | (first.sure[a] != second.sure[b])
    return lost, new, int(other.sum())


def _labels(vector: Vector, row: int) -> dict[str, str]:
    texts = vector.words.texts
    return {
        label: texts[int(column[row])]
        for label, column in sorted(vector.labels.items())
        if column[row]
    }


def _values_of(vector: Vector | None, label: str) -> set[str]:
    column = None if vector is None else vector.labels.get(label)
    if vector is None or column is None:
        return set()
    return {vector.words.texts[int(code)] for code in np.unique(column)}


def _in_words(result: Result) -> str:
    match result:
        case Scalar():
            return "a number" if math.isnan(result.value) else f"{result.value:g}"
        case Vector():
            known = result.value[~np.isnan(result.value)]
            sets = f"{result.size} label set{'' if result.size == 1 else 's'}"
            if result.size == 1 and len(known):
                sets = f"{known[0]:g}"
            elsewhere = "" if result.foreign is None else ", and what comes from elsewhere"
            if not result.size:
                return "what comes from elsewhere" if elsewhere else "nothing"
            return sets + ("" if result.sure.all() else ", on a condition") + elsewhere
    return "a text"


def _metric(found: Found) -> str:
    for group in found.groups:
        for matcher in group:
            if matcher.label == METRIC_NAME:
                return matcher.value
    return "what it asks for"


def _selector(found: Found) -> str:
    """The selector as it was resolved, shortened."""
    group = found.groups[0] if found.groups else ()
    name = next((m.value for m in group if m.label == METRIC_NAME and m.operator == "="), "")
    conditions = [
        f'{m.label}{m.operator}"{m.value}"' for m in group if m.label != METRIC_NAME or not name
    ]
    text = name + (f"{{{','.join(conditions)}}}" if conditions else "")
    return text if len(text) <= 160 else f"{text[:157]}..."


def _some(texts: Sequence[str]) -> str:
    if len(texts) <= _NAMED_MAX:
        return ", ".join(texts)
    return f"{', '.join(texts[:_NAMED_MAX])} and {len(texts) - _NAMED_MAX} more"
