"""The sketch keeps the error it states, from nothing to millions."""

from __future__ import annotations

import random

import pytest

from phoenix.measurement.sketch import STANDARD_ERROR, Sketch


def sketch_of(numbers: list[int]) -> Sketch:
    made = Sketch()
    made.add(numbers)
    return made


def test_nothing_is_nothing() -> None:
    assert Sketch().estimate() == 0


@pytest.mark.parametrize("count", [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000])
def test_estimates_stay_within_four_standard_errors(count: int) -> None:
    dice = random.Random(count)
    estimate = sketch_of([dice.getrandbits(64) for _ in range(count)]).estimate()
    assert estimate == pytest.approx(count, rel=4 * STANDARD_ERROR, abs=1)


def test_numbers_in_a_row_count_as_well_as_random_ones() -> None:
    assert sketch_of(list(range(50_000))).estimate() == pytest.approx(50_000, rel=0.065)


def test_the_mean_of_many_sketches_is_unbiased() -> None:
    dice = random.Random(5)
    found = [sketch_of([dice.getrandbits(64) for _ in range(5_000)]).estimate() for _ in range(60)]
    assert sum(found) / len(found) == pytest.approx(5_000, rel=4 * STANDARD_ERROR / 60**0.5)


def test_repeats_change_nothing_and_merging_is_a_union() -> None:
    a, b = sketch_of(list(range(3_000))), sketch_of(list(range(2_000, 6_000)))
    before = a.to_bytes()
    a.add(list(range(3_000)))
    assert a.to_bytes() == before
    a.merge(b)
    assert a.to_bytes() == sketch_of(list(range(6_000))).to_bytes()


def test_saved_bytes_give_the_same_sketch_and_others_are_refused() -> None:
    made = sketch_of([1, 2, 3])
    assert Sketch.from_bytes(made.to_bytes()).to_bytes() == made.to_bytes()
    for wrong in (b"", b"x" * 4096, made.to_bytes()[:-1]):
        with pytest.raises(ValueError, match="no sketch"):
            Sketch.from_bytes(wrong)
