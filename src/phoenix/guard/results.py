"""What a part of an expression comes to: series, a number or a text; and one as another."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phoenix.guard import operators
from phoenix.guard.columns import Words, mix
from phoenix.guard.matching import CannotJudge
from phoenix.guard.operators import Matching, hash_of
from phoenix.guard.vectors import Vector, constant


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number; NaN with an origin when it is not known."""

    value: float
    origin: int


@dataclass(frozen=True, slots=True)
class Text:
    """A text, as functions on labels take them."""

    value: str


Result = Vector | Scalar | Text


def origin_of(result: Result) -> int:
    match result:
        case Scalar():
            # A known number is its own origin.
            number = int(np.float64(result.value).view(np.uint64))
            return result.origin if math.isnan(result.value) else mix(number)
        case Text():
            return hash_of(result.value)
    return result.digest()


def moved(vector: Vector, node: Any) -> Vector:
    """`offset` and `@`: the same series at another time, of which the experiment knows nothing
    else."""
    if node.offset is None and node.at is None:
        return vector
    at = "" if node.at is None else f"{node.at.type} {node.at.at}"
    step = hash_of(f"{node.offset} {at}")
    later = vector.derived(step, linear=True)
    return replace(later, labels=vector.labels)


def negated(result: Result) -> Result:
    match result:
        case Scalar():
            return Scalar(-result.value, mix(result.origin, hash_of("-")))
        case Vector():
            return operators.with_number(
                "*", result, -1.0, hash_of("-"), on_left=True, returns_bool=False
            )
    raise CannotJudge("a text stands where a number is expected")


def matching_of(modifier: Any) -> Matching:
    if modifier is None:
        return Matching()
    fill = modifier.fill_values
    if fill is not None and (fill.lhs is not None or fill.rhs is not None):
        raise CannotJudge("fill() is experimental, and not known here")
    labels, only = (), False
    if modifier.matching is not None:
        labels = tuple(modifier.matching.labels)
        only = str(modifier.matching.type).endswith("Include")
    card = str(modifier.card)
    many = "left" if card.endswith(".ManyToOne") else "right" if card.endswith("OneToMany") else ""
    return Matching(
        labels=labels,
        only=only,
        many=many,
        brought=tuple(modifier.group_labels or ()),
        returns_bool=modifier.return_bool,
    )


def as_vector(words: Words, result: Result) -> Vector:
    if not isinstance(result, Scalar):
        raise CannotJudge("vector() of something that is no number")
    found = constant(words, {}, result.value)
    if math.isnan(result.value):
        found = replace(found, origin=np.array([origin_of(result)], dtype=np.uint64))
    return found


def as_scalar(vector: Vector, step: int) -> Scalar:
    if vector.size == 1 and vector.sure[0] and vector.foreign is None:
        value = float(vector.value[0])
        return Scalar(value, mix(int(vector.origin[0]), step))
    return Scalar(math.nan, mix(vector.digest(), step))
