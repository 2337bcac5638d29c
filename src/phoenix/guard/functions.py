"""What functions do to label sets, and which of them know a value without any measurement."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from phoenix.guard.columns import Codes, mix, mixed
from phoenix.guard.matching import compiled
from phoenix.guard.operators import hash_of
from phoenix.guard.promql import Matcher
from phoenix.guard.series import METRIC_NAME
from phoenix.guard.vectors import Vector, constant, empty, grouped, of_values

LINEAR: Final = frozenset({"rate", "increase", "irate", "delta", "idelta", "deriv"})
"""The sum of what they give is what they give of the sum."""
KEEPS_NAME: Final = frozenset({"last_over_time", "first_over_time", "sort", "sort_desc",
                               "sort_by_label", "sort_by_label_desc"})  # fmt: skip
SCALARS: Final = frozenset({"time", "pi", "start", "end", "step", "range"})
OF_TIME: Final = frozenset(
    {"day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month",
     "year"}
)  # fmt: skip
_BUCKETS: Final = frozenset({"histogram_quantile", "histogram_fraction", "histogram_quantiles"})
_TEMPLATE = re.compile(r"\$(?:(\d+)|\{(\d+|\w+)\}|(\$))")


def absent(vector: Vector, groups: tuple[tuple[Matcher, ...], ...]) -> Vector:
    """One element, with what the selector demanded by equality, when there is nothing."""
    if vector.is_there:
        return empty(vector.words)
    if vector.foreign is not None:
        return empty(vector.words, mix(vector.foreign, vector.digest(), hash_of("absent")))
    return constant(vector.words, demanded(groups), 1.0, sure=not vector.size)


def demanded(groups: tuple[tuple[Matcher, ...], ...]) -> dict[str, str]:
    """The labels that a selector demands by equality, each of them once, without the name."""
    if len(groups) != 1:
        return {}
    found: dict[str, str] = {}
    twice: set[str] = set()
    for matcher in groups[0]:
        if matcher.label == METRIC_NAME:
            continue
        if matcher.operator == "=" and matcher.label not in found:
            found[matcher.label] = matcher.value
        else:
            twice.add(matcher.label)
    return {label: value for label, value in found.items() if value and label not in twice}


def on_each(name: str, vector: Vector, step: int) -> Vector:
    """A function that computes something of each element."""
    if name in ("sort", "sort_desc", "sort_by_label", "sort_by_label_desc"):
        return vector
    if name == "present_over_time":
        ones = np.ones(vector.size)
        found = vector.derived(step)
        return replace(found, value=ones, origin=of_values(ones))
    found = vector.derived(step, linear=name in LINEAR)
    if name in KEEPS_NAME and METRIC_NAME in vector.labels:
        found = replace(found, labels=vector.labels)
    return found


def of_buckets(vector: Vector, step: int) -> Vector:
    """A histogram's quantile: one element for all buckets that differ in `le` only."""
    found = vector.without(("le", METRIC_NAME))
    if not found.size:
        return found.derived(step)
    groups = grouped(found.keys())
    first = found.taken(groups.first)
    return replace(
        first,
        origin=mixed(groups.added(mixed(vector.origin)) ^ np.uint64(step)),
        sure=groups.any(vector.sure),
        value=np.full(first.size, np.nan),
        foreign=None if vector.foreign is None else mix(vector.foreign, step),
    )


def is_of_buckets(name: str) -> bool:
    """Whether the function looks at a histogram's buckets together."""
    return name in _BUCKETS


def label_replace(vector: Vector, target: str, template: str, source: str, pattern: str) -> Vector:
    """`label_replace`: the target label is made of the source label where the pattern fits.

    Raises:
        CannotJudge: the pattern is not read alike by Prometheus and Python.
    """
    fits = compiled(pattern)
    nothing = np.zeros(vector.size, dtype=np.uint64)
    before = vector.labels.get(source, nothing)
    after = vector.labels.get(target, nothing).copy()
    for code in np.unique(before):
        found = fits.fullmatch(vector.words.texts[int(code)])
        if found is not None:
            after[before == code] = vector.words.code(_filled(template, found))
    return _relabelled(vector, target, after)


def label_join(vector: Vector, target: str, separator: str, sources: Sequence[str]) -> Vector:
    """`label_join`: the target label is the source labels, joined."""
    nothing = np.zeros(vector.size, dtype=np.uint64)
    columns = [vector.labels.get(source, nothing) for source in sources]
    texts = vector.words.texts
    after = np.array(
        [
            vector.words.code(separator.join(texts[int(column[row])] for column in columns))
            for row in range(vector.size)
        ],
        dtype=np.uint64,
    )
    return _relabelled(vector, target, after)


def _relabelled(vector: Vector, target: str, column: Codes) -> Vector:
    return replace(vector, labels={**vector.labels, target: column}, total=None)


def _filled(template: str, found: re.Match[str]) -> str:
    """A replacement as Go expands it: `$1`, `${1}`, `${name}`; what is not there is empty."""

    def part(use: re.Match[str]) -> str:
        if use[3]:
            return "$"
        name = use[1] or use[2]
        try:
            return found[int(name) if name.isdigit() else name] or ""
        except (IndexError, KeyError):
            return ""

    return _TEMPLATE.sub(part, template)
