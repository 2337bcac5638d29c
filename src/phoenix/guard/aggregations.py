"""Aggregations: which label sets are left, from what each is computed, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from phoenix.guard.columns import mix, mixed
from phoenix.guard.matching import CannotJudge
from phoenix.guard.operators import hash_of
from phoenix.guard.series import METRIC_NAME
from phoenix.guard.vectors import Groups, Values, Vector, grouped, of_values

SELECTING: Final = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
"""They leave elements as they are and let some of them go."""
UNREAD: Final = "\ue003"
"""Stands for a label made of a value, as `count_values` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """One aggregation.

    Attributes:
        labels: of `by`, or of `without`; neither is `by ()`.
        without: whether the labels are the ones to go.
        parameter: a known number, NaN otherwise.
        text: the label that `count_values` makes.
        origin: of the parameter.
    """

    op: str
    labels: tuple[str, ...] = ()
    without: bool = False
    parameter: float = float("nan")
    text: str = ""
    origin: int = 0


def aggregate(vector: Vector, how: Aggregation, conserved: frozenset[int]) -> Vector:
    """The vector after an aggregation.

    Args:
        conserved: codes of metrics whose totals both arms agree about.

    Raises:
        CannotJudge: the operator is not known here.
    """
    step = mix(hash_of(how.op), how.origin)
    foreign = None if vector.foreign is None else mix(vector.foreign, step)
    if not vector.size:
        return replace(vector, labels={}, foreign=foreign, total=None)
    kept = _kept_labels(vector, how)
    groups = grouped(vector.keys(kept))
    if how.op in SELECTING:
        return _selected(vector, how, groups, step, foreign)
    if how.op not in _KNOWN:
        raise CannotJudge(f"the aggregation {how.op} is not known here")
    first = vector.taken(groups.first)
    labels = {label: column for label, column in first.labels.items() if label in kept}
    if how.op == "count_values":
        code = vector.words.code(UNREAD)
        labels[how.text] = np.full(first.size, code, dtype=np.uint64)
    origin = mixed(groups.added(mixed(vector.origin)) ^ np.uint64(step))
    if how.op == "sum" and vector.total is not None and vector.total.metric in conserved:
        # All series of a metric whose total is conserved: the sum is the same in both arms.
        whole = groups.sizes == vector.total.series
        total = np.uint64(mix(vector.total.metric, vector.total.chain, step))
        origin = np.where(whole, total, origin)
    if foreign is not None:
        origin = mixed(origin ^ np.uint64(foreign))
    value = np.full(first.size, np.nan) if foreign is not None else _known(vector, how, groups)
    is_known = ~np.isnan(value)
    return replace(
        first,
        labels=labels,
        origin=np.where(is_known, of_values(value), origin),
        sure=groups.any(vector.sure) | (vector.some and len(groups.starts) == 1),
        value=value,
        foreign=foreign,
        total=None,
        some=vector.some,
    )


_KNOWN: Final = frozenset(
    {"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile", "count_values"}
)


def _kept_labels(vector: Vector, how: Aggregation) -> list[str]:
    if how.without:
        gone = {*how.labels, METRIC_NAME}
        return [label for label in vector.labels if label not in gone]
    return [label for label in how.labels if label in vector.labels]


def _known(vector: Vector, how: Aggregation, groups: Groups) -> Values:
    """Values that follow from the elements alone."""
    nothing = np.full(len(groups.starts), np.nan)
    if how.op == "group":
        return np.where(groups.any(vector.sure), 1.0, np.nan)
    certain = groups.all(vector.sure)
    if how.op == "count":
        return np.where(certain, groups.sizes.astype(np.float64), np.nan)
    if how.op not in ("sum", "min", "max", "avg") or np.isnan(vector.value).all():
        return nothing
    ordered = vector.value[groups.order]
    reduce = {"min": np.minimum, "max": np.maximum}.get(how.op, np.add)
    values: Values = reduce.reduceat(ordered, groups.starts)
    if how.op == "avg":
        values = values / groups.sizes
    return np.where(certain, values, np.nan)


def _selected(
    vector: Vector, how: Aggregation, groups: Groups, step: int, foreign: int | None
) -> Vector:
    """`topk` and its kin: every element may be among the chosen, unless all are."""
    of_group = groups.added(mixed(vector.origin))
    sizes = np.empty(vector.size, dtype=np.int64)
    shared = np.empty(vector.size, dtype=np.uint64)
    sizes[groups.order] = np.repeat(groups.sizes, groups.sizes)
    shared[groups.order] = np.repeat(of_group, groups.sizes)
    all_chosen = sizes <= how.parameter if how.op != "limit_ratio" else np.zeros(len(sizes), bool)
    if foreign is not None:
        all_chosen = np.zeros(vector.size, dtype=np.bool_)
    # Who is chosen depends on all others.
    changed = mixed(vector.origin ^ mixed(shared + np.uint64(step)))
    return replace(
        vector,
        origin=np.where(all_chosen, vector.origin, changed),
        sure=vector.sure & all_chosen,
        value=np.where(all_chosen, vector.value, np.nan),
        foreign=foreign,
        total=None,
        # One of a group is chosen, whichever it is.
        some=vector.is_there and how.op != "limit_ratio" and not how.parameter < 1,
    )
