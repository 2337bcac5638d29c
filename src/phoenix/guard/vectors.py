"""What an expression yields, without values: which label sets, from what, and whether for sure.

An *element* is a label set with an *origin*: one number that is the same in both arms exactly when
the value is computed in the same way from the same series. An element is *sure* when it is there
whatever the values are, and not sure when a condition decides (`> 0.5`). A value that does not
depend on any measurement (`absent`, `vector(0)`, `count`) is known.

`foreign` is the origin of what cannot be known: series that no arm emits, because they come from
elsewhere. Unknown elements may be there besides the known ones; None says that there are none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from phoenix.guard.columns import Codes, Flags, Hashes, Rows, Words, keys_of, mix, mixed
from phoenix.guard.series import METRIC_NAME

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """The vector is every series of a metric: sums over all of it are conserved with the metric.

    `chain` is the origin of what was done to each of them, which has to be linear.
    """

    metric: int
    series: int
    chain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """Elements as columns; a value that is not known is NaN.

    `some` says that at least one element is there for sure, whichever it is (`topk`).
    """

    words: Words
    labels: dict[str, Codes]
    origin: Hashes
    sure: Flags
    value: Values
    foreign: int | None = None
    total: Total | None = None
    some: bool = False

    @property
    def size(self) -> int:
        """How many elements are known."""
        return len(self.origin)

    @property
    def is_there(self) -> bool:
        """Whether there is an element whatever the values are."""
        return self.some or bool(self.sure.any())

    def keys(self, only: Iterable[str] | None = None) -> Hashes:
        """The key of each element's labels, or of those in `only`."""
        return keys_of(self.words, self.labels, self.size, self.labels if only is None else only)

    def taken(self, rows: Rows | Flags) -> Vector:
        """Only these elements."""
        return replace(
            self,
            labels={label: column[rows] for label, column in self.labels.items()},
            origin=self.origin[rows],
            sure=self.sure[rows],
            value=self.value[rows],
            total=None,
            some=False,
        )

    def without(self, dropped: Iterable[str]) -> Vector:
        """The elements without these labels."""
        gone = set(dropped)
        return replace(
            self, labels={key: column for key, column in self.labels.items() if key not in gone}
        )

    def nameless(self) -> Vector:
        """The elements without the metric's name, as after anything that computes."""
        return self.without((METRIC_NAME,)) if METRIC_NAME in self.labels else self

    def derived(self, step: int, *, linear: bool = False) -> Vector:
        """The elements after a computation on each of them, known by a number."""
        total = self.total
        if total is not None:
            total = replace(total, chain=mix(total.chain, step)) if linear else None
        return replace(
            self.nameless(),
            origin=mixed(self.origin ^ np.uint64(step)),
            value=np.full(self.size, np.nan),
            foreign=None if self.foreign is None else mix(self.foreign, step),
            total=total,
        )

    def digest(self) -> int:
        """One number for all elements: equal digests are equal vectors."""
        flags = self.sure.astype(np.uint64)
        each = mixed(self.keys() ^ mixed(self.origin + flags))
        return mix(int(each.sum(dtype=np.uint64)), self.size, self.foreign or 0)


def empty(words: Words, foreign: int | None = None) -> Vector:
    """No known elements."""
    return Vector(
        words=words,
        labels={},
        origin=np.zeros(0, dtype=np.uint64),
        sure=np.zeros(0, dtype=np.bool_),
        value=np.zeros(0),
        foreign=foreign,
    )


def constant(words: Words, labels: dict[str, str], value: float, *, sure: bool = True) -> Vector:
    """One element with a value that is known (NaN: one that is not)."""
    return Vector(
        words=words,
        labels={key: np.array([words.code(text)], dtype=np.uint64) for key, text in labels.items()},
        origin=of_values(np.array([value])),
        sure=np.array([sure]),
        value=np.array([value]),
    )


def of_values(values: Values) -> Hashes:
    """The origins of known values: equal values have come from the same."""
    return mixed((values + 0.0).view(np.uint64) ^ np.uint64(0x636F6E7374616E74))


@dataclass(frozen=True, slots=True)
class Groups:
    """Elements in groups of equal keys: `order` brings them together, `starts` says where."""

    order: Rows
    starts: Rows
    sizes: npt.NDArray[np.int64]

    @property
    def first(self) -> Rows:
        """One element of each group, to take labels from."""
        return self.order[self.starts]

    def added(self, numbers: Hashes) -> Hashes:
        """The sum of numbers in each group; it does not mind their order."""
        return np.add.reduceat(numbers[self.order], self.starts)

    def any(self, flags: Flags) -> Flags:
        """Whether it holds for any in each group."""
        return np.logical_or.reduceat(flags[self.order], self.starts)

    def all(self, flags: Flags) -> Flags:
        """Whether it holds for all in each group."""
        return np.logical_and.reduceat(flags[self.order], self.starts)


def grouped(keys: Hashes) -> Groups:
    """Groups of at least one element; `keys` must not be empty."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.concatenate(([True], np.diff(keys[order]) != 0)))
    sizes = np.diff(np.append(starts, len(keys)))
    return Groups(order, starts, sizes)


def joined(first: Vector, second: Vector) -> Vector:
    """The elements of both."""
    if not second.size and second.foreign is None:
        return replace(first, total=None)
    labels: dict[str, Codes] = {}
    for label in {**first.labels, **second.labels}:
        parts = [
            each.labels.get(label, np.zeros(each.size, dtype=np.uint64)) for each in (first, second)
        ]
        labels[label] = np.concatenate(parts)
    foreign = first.foreign
    if second.foreign is not None:
        foreign = mix(foreign or 0, second.foreign)
    return Vector(
        words=first.words,
        labels=labels,
        origin=np.concatenate((first.origin, second.origin)),
        sure=np.concatenate((first.sure, second.sure)),
        value=np.concatenate((first.value, second.value)),
        foreign=foreign,
        some=first.some or second.some,
    )
