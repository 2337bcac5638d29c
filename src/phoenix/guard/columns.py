"""Series as columns of numbers, so that 50,000 of them are looked through in milliseconds.

Every text of both arms has one number, 0 for the empty text: a label that a series lacks and one
that is empty are the same to PromQL. A label set has a *key*, the sum of one hashed number for each
of its labels (64 bits of splitmix64): sums do not mind the order, and two arms agree about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from phoenix.guard.promql import Matcher
from phoenix.guard.series import METRIC_NAME

Codes = npt.NDArray[np.uint64]
Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

WITHHELD: Final = "\ue002"
"""Stands for the value of a label that is there and was not kept, like a command line."""

_MASK: Final = (1 << 64) - 1
_TOGETHER: Final = 0.95
"""A series that came in a smaller share of the ticks than its twin in the baseline is not sure."""
_HARDLY: Final = 0.5
"""In a smaller share than this it counts as gone: an alert with a `for` would not live on it."""


class Words:
    """Texts and their numbers; both arms of an experiment share one."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {"": 0}
        self.texts: list[str] = [""]

    def code(self, text: str) -> int:
        """The number of a text, a new one if need be."""
        code = self._codes.get(text)
        if code is None:
            code = self._codes[text] = len(self.texts)
            self.texts.append(text)
        return code

    def known(self, text: str) -> int | None:
        """The number of a text, None if it never came."""
        return self._codes.get(text)


@dataclass(slots=True)
class Arm:
    """The series of one arm.

    Attributes:
        labels: a column of codes for each label that any series has.
        keys: of the whole label sets, the metric's name included.
        origin: what a value of the series is known by: its key, or another number where it came
            less steadily than in the baseline.
        sure: whether it came as steadily.
        by_metric: how many rows each metric has, by the code of its name.
        flapping: series that came so rarely that they are left out.
    """

    words: Words
    size: int
    labels: dict[str, Codes]
    keys: Hashes
    origin: Hashes
    sure: Flags
    by_metric: dict[int, int]
    flapping: int = 0
    distinct: dict[str, Codes] = field(default_factory=dict)
    accepted: dict[Matcher, Codes] = field(default_factory=dict)
    _sorted: dict[str, tuple[Rows, Codes]] = field(default_factory=dict)

    def rows_of(self, label: str, codes: Codes) -> list[Rows]:
        """The rows that have one of these values of a label, value by value."""
        if label not in self.labels:
            return []
        if label not in self._sorted:
            order = np.argsort(self.labels[label], kind="stable")
            self._sorted[label] = order, self.labels[label][order]
        order, values = self._sorted[label]
        starts = np.searchsorted(values, codes, side="left")
        ends = np.searchsorted(values, codes, side="right")
        return [order[start:end] for start, end in zip(starts, ends, strict=True)]

    def values_of(self, label: str) -> Codes:
        """The distinct codes of a label, sorted."""
        found = self.distinct.get(label)
        if found is None:
            found = self.distinct[label] = np.unique(self.labels[label])
        return found


def mixed(values: Hashes) -> Hashes:
    """splitmix64 (Steele, Lea, Flood 2014) of each number; arithmetic wraps at 64 bits."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed_ones: Hashes = z ^ (z >> np.uint64(31))
    return mixed_ones


def mix(*parts: int) -> int:
    """One number for several, in their order."""
    total = 0
    for part in parts:
        total = _mixed_one((total * 31 + part) & _MASK)
    return total


def _mixed_one(value: int) -> int:
    """`mixed` of one number."""
    z = (value + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def keys_of(words: Words, labels: Mapping[str, Codes], size: int, only: Iterable[str]) -> Hashes:
    """The key of each label set, made of the labels in `only`."""
    total = np.zeros(size, dtype=np.uint64)
    for label in only:
        column = labels.get(label)
        if column is not None:
            high = np.uint64(words.code(label) << 32)
            total += np.where(column > 0, mixed(column + high), np.uint64(0))
    return total


def arms(
    baseline: Sequence[tuple[Mapping[str, str], int]],
    candidate: Sequence[tuple[Mapping[str, str], int]],
) -> tuple[Arm, Arm]:
    """Both arms from their label sets, each with the number of ticks it came in."""
    words = Words()
    first, first_ticks = _arm(words, baseline)
    second, second_ticks = _arm(words, candidate)
    return first, _compared(first, first_ticks, second, second_ticks)


def _arm(
    words: Words, series: Sequence[tuple[Mapping[str, str], int]]
) -> tuple[Arm, npt.NDArray[np.int64]]:
    columns: dict[str, Codes] = {}
    size = len(series)
    code = words.code
    for row, (labels, _) in enumerate(series):
        for label, value in labels.items():
            column = columns.get(label)
            if column is None:
                column = columns[label] = np.zeros(size, dtype=np.uint64)
            column[row] = code(value)
    ticks = np.fromiter((count for _, count in series), dtype=np.int64, count=size)
    keys = keys_of(words, columns, size, columns)
    # What a backend gives the same labels is one series there; it was there while any of them was.
    order = np.lexsort((-ticks, keys))
    first = order[np.concatenate(([True], np.diff(keys[order]) != 0))] if size else order
    kept = np.sort(first)
    columns = {label: column[kept] for label, column in columns.items()}
    return _of_columns(words, columns, keys[kept]), ticks[kept]


def _of_columns(words: Words, columns: dict[str, Codes], keys: Hashes) -> Arm:
    names = columns.get(METRIC_NAME, np.zeros(len(keys), dtype=np.uint64))
    metrics, counts = np.unique(names, return_counts=True)
    return Arm(
        words=words,
        size=len(keys),
        labels=columns,
        keys=keys,
        origin=keys,
        sure=np.ones(len(keys), dtype=np.bool_),
        by_metric={int(m): int(n) for m, n in zip(metrics, counts, strict=True)},
    )


def _compared(
    baseline: Arm,
    baseline_ticks: npt.NDArray[np.int64],
    candidate: Arm,
    candidate_ticks: npt.NDArray[np.int64],
) -> Arm:
    """The candidate, knowing which of its series come less often than the baseline's same ones."""
    _, of_baseline, of_candidate = np.intersect1d(
        baseline.keys, candidate.keys, assume_unique=True, return_indices=True
    )
    most, came = baseline_ticks[of_baseline], candidate_ticks[of_candidate]
    # Two ticks are what a start or an end may cost anybody.
    less = (came < _TOGETHER * most) & (most - came > 2)
    if not less.any():
        return candidate
    unsteady = np.zeros(candidate.size, dtype=np.bool_)
    unsteady[of_candidate[less]] = True
    stays = np.ones(candidate.size, dtype=np.bool_)
    stays[of_candidate[less & (came < _HARDLY * most)]] = False
    columns = {label: column[stays] for label, column in candidate.labels.items()}
    kept = _of_columns(candidate.words, columns, candidate.keys[stays])
    kept.sure = ~unsteady[stays]
    kept.origin = np.where(unsteady[stays], mixed(kept.keys), kept.keys)
    kept.flapping = int((~stays).sum())
    return kept
