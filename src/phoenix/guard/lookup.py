"""What a selector finds in an arm: its series, and what recording rules of that name would record.

A selector that names a metric which no arm emits and no rule records stands for series from
elsewhere: what they are cannot be known, and is the same in both arms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phoenix.guard import matching, promql
from phoenix.guard.columns import Arm
from phoenix.guard.matching import CannotJudge, Choices
from phoenix.guard.operators import hash_of
from phoenix.guard.promql import Matcher
from phoenix.guard.results import Result, Scalar, as_vector
from phoenix.guard.series import METRIC_NAME
from phoenix.guard.vectors import Total, Vector, empty, joined

Groups = tuple[tuple[Matcher, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A recording rule: what it records under a name."""

    tree: Any
    labels: Mapping[str, str]
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What one selector finds in an arm."""

    groups: Groups
    vector: Vector
    elsewhere: bool


class Lookup:
    """Finds series of one arm.

    Args:
        names: every metric that either arm emits; others come from elsewhere.
        resolve: what the expression of a recording rule yields.
    """

    def __init__(
        self,
        arm: Arm,
        names: frozenset[str],
        recorded: Mapping[str, Sequence[Recorded]],
        resolve: Callable[[Any], Result],
    ) -> None:
        self._arm = arm
        self._names = names
        self._recorded = recorded
        self._resolve = resolve
        self._records_of: dict[str, Vector] = {}
        self._following: list[str] = []
        self._found: dict[str, Found] = {}

    @property
    def is_following(self) -> bool:
        """Whether a recording rule is being resolved."""
        return bool(self._following)

    def forget(self) -> None:
        """Another expression begins: its variables may stand for something else."""
        self._found.clear()

    def find(self, node: promql.VectorSelector, choices: Choices) -> Found:
        """What a selector finds, recording rules included.

        Raises:
            CannotJudge: something in it cannot be resolved.
        """
        key = str(node)
        if key not in self._found or self._following:
            found = self._look_up(node, choices)
            if self._following:
                return found
            self._found[key] = found
        return self._found[key]

    def _look_up(self, node: promql.VectorSelector, choices: Choices) -> Found:
        groups = tuple(
            tuple(matching.plain(matcher, choices) for matcher in group)
            for group in promql.matchers_of(node)
        )
        recorded = self._recorded_by(groups)
        elsewhere = not recorded and not self._is_emitted(groups)
        if elsewhere:
            return Found(groups, empty(self._arm.words, hash_of(str(groups))), elsewhere=True)
        found = self._vector(matching.rows(self._arm, groups), groups)
        for name in recorded:
            found = joined(found, self._follow(name, groups))
        return Found(groups, found, elsewhere=False)

    def _vector(self, rows: Any, groups: Groups) -> Vector:
        arm = self._arm
        names = arm.labels.get(METRIC_NAME)
        total = None
        if len(rows) and names is not None:
            metric = int(names[rows[0]])
            if arm.by_metric.get(metric) == len(rows) and _names_one(groups):
                total = Total(metric=metric, series=len(rows), chain=0)
        columns = {label: column[rows] for label, column in arm.labels.items()}
        return Vector(
            words=arm.words,
            labels={label: column for label, column in columns.items() if column.any()},
            origin=arm.origin[rows],
            sure=arm.sure[rows],
            value=np.full(len(rows), np.nan),
            total=total,
        )

    def _is_emitted(self, groups: Groups) -> bool:
        """Whether it asks for a metric that an arm emits, or for whatever has certain labels."""
        for group in groups:
            about = [matcher for matcher in group if matcher.label == METRIC_NAME]
            if len(about) == 1 and about[0].operator == "=":
                if about[0].value in self._names:
                    return True
            elif any(all(matching.accepts(m, name) for m in about) for name in self._names):
                return True
        return False

    def _recorded_by(self, groups: Groups) -> list[str]:
        found: dict[str, None] = {}
        for group in groups:
            about = [matcher for matcher in group if matcher.label == METRIC_NAME]
            if len(about) == 1 and about[0].operator == "=":
                if about[0].value in self._recorded:
                    found[about[0].value] = None
            elif about:
                for name in self._recorded:
                    if all(matching.accepts(matcher, name) for matcher in about):
                        found[name] = None
        return list(found)

    def _follow(self, name: str, groups: Groups) -> Vector:
        """What recording rules of that name record, as far as the selector asks for it."""
        if name in self._following:
            raise CannotJudge(f"{name} is recorded from itself")
        self._following.append(name)
        try:
            found = empty(self._arm.words)
            for rule in self._recorded[name]:
                found = joined(found, self._records(name, rule))
        finally:
            self._following.pop()
        return _filtered(found, groups)

    def _records(self, name: str, rule: Recorded) -> Vector:
        key = f"{name} {id(rule)}"
        if key in self._records_of:
            return self._records_of[key]
        if rule.why_not:
            raise CannotJudge(f"it asks for {name}, which is {rule.why_not}")
        try:
            result = self._resolve(rule.tree)
        except CannotJudge as reason:
            raise CannotJudge(f"it asks for {name}, of which {reason}") from reason
        vector = as_vector(self._arm.words, result) if isinstance(result, Scalar) else result
        if not isinstance(vector, Vector):
            raise CannotJudge(f"it asks for {name}, which records a text")
        added = {METRIC_NAME: name, **rule.labels}
        columns = {
            label: np.full(vector.size, self._arm.words.code(text), dtype=np.uint64)
            for label, text in added.items()
        }
        recorded = replace(vector, labels={**vector.labels, **columns}, total=None)
        self._records_of[key] = recorded
        return recorded


def _names_one(groups: Groups) -> bool:
    return len(groups) == 1 and any(
        matcher.label == METRIC_NAME and matcher.operator == "=" for matcher in groups[0]
    )


def _filtered(vector: Vector, groups: Groups) -> Vector:
    """The recorded elements that satisfy a selector."""
    texts = vector.words.texts
    stays = np.zeros(vector.size, dtype=np.bool_)
    for group in groups:
        of_group = np.ones(vector.size, dtype=np.bool_)
        for matcher in group:
            column = vector.labels.get(matcher.label, np.zeros(vector.size, dtype=np.uint64))
            fits = [
                code for code in np.unique(column) if matching.accepts(matcher, texts[int(code)])
            ]
            of_group &= np.isin(column, np.array(fits, dtype=np.uint64))
        stays |= of_group
    return vector.taken(stays)
