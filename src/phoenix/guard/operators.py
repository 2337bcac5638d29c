"""Binary operators between vectors: who meets whom, and what is left.

A label set meets those of the other side that agree in the labels of `on`, or in all but those of
`ignoring`. `and`, `unless` and `or` only look whether somebody is there; the others compute, and a
comparison without `bool` keeps an element by its value.
"""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import numpy as np

from phoenix.guard.columns import Flags, Hashes, Rows, mix, mixed
from phoenix.guard.series import METRIC_NAME
from phoenix.guard.vectors import Values, Vector, empty, joined, of_values

COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {
        "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt,
        ">=": operator.ge, "<=": operator.le,
    }
)  # fmt: skip
SETS: Final = frozenset({"and", "or", "unless"})


class EngineRefuses(Exception):
    """Prometheus would answer with an error; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """How the sides of an operator meet.

    Attributes:
        labels: of `on` (`only`) or `ignoring`.
        many: the side that may have several for one of the other: "left", "right" or "".
        brought: labels of `group_left` or `group_right` that come from the one side.
    """

    labels: tuple[str, ...] = ()
    only: bool = False
    many: str = ""
    brought: tuple[str, ...] = ()
    returns_bool: bool = False

    def keys(self, vector: Vector) -> Hashes:
        """What has to be equal for elements to meet."""
        if self.only:
            return vector.keys(self.labels)
        dropped = {*self.labels, METRIC_NAME}
        return vector.keys(label for label in vector.labels if label not in dropped)


def number(op: str, left: float, right: float) -> float:
    """Arithmetic and comparisons of numbers as PromQL does them; NaN for what is not known."""
    if math.isnan(left) or math.isnan(right):
        return math.nan
    if op in COMPARISONS:
        return float(COMPARISONS[op](left, right))
    try:
        match op:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
            case "/":
                return (
                    left / right if right else math.copysign(math.inf, left) if left else math.nan
                )
            case "%":
                return math.fmod(left, right) if right else math.nan
            case "^":
                return math.pow(left, right)
            case "atan2":
                return math.atan2(left, right)
    except (OverflowError, ValueError):
        return math.nan
    return math.nan


def with_number(
    op: str, vector: Vector, other: float, origin: int, *, on_left: bool, returns_bool: bool
) -> Vector:
    """A vector and a scalar; `on_left` says that the scalar is the left one."""
    step = mix(hash_of(op), origin, int(on_left), int(returns_bool))
    known = np.array(
        [number(op, other, v) if on_left else number(op, v, other) for v in vector.value]
        if not np.isnan(vector.value).all()
        else np.full(vector.size, np.nan)
    )
    if op in COMPARISONS and not returns_bool:
        return _kept_by_value(vector, known, step)
    found = vector.derived(step, linear=op in ("*", "/") and not on_left)
    return _with_known(found, known)


def compute(op: str, left: Vector, right: Vector, how: Matching) -> Vector:
    """Arithmetic or a comparison between vectors.

    Raises:
        EngineRefuses: several meet on a side where only one may be.
    """
    if how.many == "right":
        return _computed(op, right, left, how, swapped=True)
    return _computed(op, left, right, how, swapped=False)


def both(left: Vector, right: Vector, how: Matching) -> Vector:
    """`and`: the left elements that somebody on the right meets."""
    there, surely = _met(how.keys(left), right, how.keys(right))
    # With unknown elements on the right any left one may be met.
    stays = there if right.foreign is None else np.ones(left.size, dtype=np.bool_)
    found = replace(left.taken(stays), sure=(left.sure & surely)[stays])
    if left.foreign is None or not (right.size or right.foreign is not None):
        return replace(found, foreign=None)
    return replace(found, foreign=mix(left.foreign, right.digest()))


def unless(left: Vector, right: Vector, how: Matching) -> Vector:
    """`unless`: the left elements that nobody on the right meets."""
    there, surely = _met(how.keys(left), right, how.keys(right))
    stays = ~surely
    alone = ~there if right.foreign is None else np.zeros(left.size, dtype=np.bool_)
    found = replace(left.taken(stays), sure=(left.sure & alone)[stays])
    if left.foreign is None:
        return found
    return replace(found, foreign=mix(left.foreign, right.digest()))


def either(left: Vector, right: Vector, how: Matching) -> Vector:
    """`or`: the left elements, and the right ones that nobody on the left meets."""
    there, surely = _met(how.keys(right), left, how.keys(left))
    found = right.taken(~surely)
    if left.foreign is not None:
        found = replace(found, sure=np.zeros(found.size, dtype=np.bool_))
    else:
        found = replace(found, sure=found.sure & ~there[~surely])
    return joined(left, found)


@lru_cache(maxsize=20_000)
def hash_of(text: str) -> int:
    """A number for a text, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _kept_by_value(vector: Vector, outcome: Values, step: int) -> Vector:
    """A comparison: known outcomes decide, others leave it open."""
    stays = ~(outcome == 0.0)
    found = vector.taken(stays)
    certain = outcome[stays] == 1.0
    origin = np.where(certain, found.origin, mixed(found.origin ^ np.uint64(step)))
    foreign = None if vector.foreign is None else mix(vector.foreign, step)
    return replace(found, origin=origin, sure=found.sure & certain, foreign=foreign)


def _with_known(vector: Vector, known: Values) -> Vector:
    """The vector with the values that are known, and their origins."""
    is_known = ~np.isnan(known)
    if not is_known.any():
        return vector
    return replace(
        vector,
        value=known,
        origin=np.where(is_known, of_values(known), vector.origin),
    )


def _met(mine: Hashes, others: Vector, theirs: Hashes) -> tuple[Flags, Flags]:
    """For each of mine: may somebody of the others meet it, and will somebody for sure?"""
    return np.isin(mine, theirs), np.isin(mine, theirs[others.sure])


def _computed(op: str, many: Vector, one: Vector, how: Matching, *, swapped: bool) -> Vector:
    """`many` is the side whose elements give the result its shape."""
    step = mix(hash_of(op), int(swapped), int(how.returns_bool))
    many_keys, one_keys = how.keys(many), how.keys(one)
    if many.sure.any():  # the engine does not look at one side when the other is empty
        _refuse_several(one_keys[one.sure], "one" if how.many else "right")
    if not how.many:
        _refuse_several(many_keys[many.sure & np.isin(many_keys, one_keys)], "left")
    found, at = _partners(many_keys, one_keys)
    result = _paired(op, many, one, (found, at), step, how, swapped=swapped)
    if one.foreign is not None:
        # Whoever met nobody may still meet a series that no arm emits.
        alone = many.taken(~found)
        open_ones = replace(
            _shaped(alone, None, how).derived(mix(step, one.foreign)),
            sure=np.zeros(alone.size, dtype=np.bool_),
            foreign=None,
        )
        result = joined(result, open_ones)
    foreign = None
    if many.foreign is not None and (one.size or one.foreign is not None):
        foreign = mix(many.foreign, one.digest(), step)
    return replace(result, foreign=foreign, total=None)


def _paired(
    op: str,
    many: Vector,
    one: Vector,
    partners: tuple[Flags, Rows],
    step: int,
    how: Matching,
    *,
    swapped: bool,
) -> Vector:
    found, at = partners
    left_over = many.taken(found)
    if not left_over.size:
        return empty(many.words)
    partner = one.taken(at[found])
    known = np.array(
        [
            number(op, b, a) if swapped else number(op, a, b)
            for a, b in zip(left_over.value, partner.value, strict=True)
        ]
        if not np.isnan(left_over.value).all()
        else np.full(left_over.size, np.nan)
    )
    sure = left_over.sure & partner.sure
    origin = mixed(left_over.origin ^ mixed(partner.origin + np.uint64(step)))
    filters = op in COMPARISONS and not how.returns_bool
    # A filter leaves the left side's labels; the metric's name goes with anything that computes.
    shaped = _shaped(left_over, partner, how, keeps_name=filters and not how.only)
    result = replace(
        shaped, origin=origin, sure=sure, value=np.full(shaped.size, np.nan), foreign=None
    )
    if filters:
        kept = _kept_by_value(replace(result, value=left_over.value), known, step)
        return replace(kept, value=np.full(kept.size, np.nan))
    return _with_known(result, known)


def _shaped(
    vector: Vector, partner: Vector | None, how: Matching, *, keeps_name: bool = False
) -> Vector:
    """The result's labels: all of the many side's, or those that were matched on."""
    shaped = vector if keeps_name else vector.nameless()
    if not how.many:
        labels = shaped.labels
        if how.only:
            kept = {label: labels[label] for label in how.labels if label in labels}
        else:
            kept = {label: c for label, c in labels.items() if label not in how.labels}
        return replace(shaped, labels=kept)
    if partner is None or not how.brought:
        return shaped
    nothing = np.zeros(shaped.size, dtype=np.uint64)
    brought = {label: partner.labels.get(label, nothing) for label in how.brought}
    return replace(shaped, labels={**shaped.labels, **brought})


def _partners(many: Hashes, one: Hashes) -> tuple[Flags, Rows]:
    """For each of many: is there one that it meets, and where?"""
    if not len(one):
        return np.zeros(len(many), dtype=np.bool_), np.zeros(len(many), dtype=np.intp)
    order = np.argsort(one)
    at = np.minimum(np.searchsorted(one[order], many), len(one) - 1)
    return one[order][at] == many, order[at]


def _refuse_several(keys: Hashes, side: str) -> None:
    if len(keys) > 1 and len(np.unique(keys)) < len(keys):
        raise EngineRefuses(f"several series of the {side} side match the same labels")
