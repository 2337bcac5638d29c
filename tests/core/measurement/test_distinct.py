"""Distinct series: exact while it can be, then within the error it states."""

from __future__ import annotations

import random

import pytest

from phoenix.measurement.distinct import SKETCH_ERROR, Distinct


def test_a_window_is_unknown_until_it_has_elapsed_and_then_slides() -> None:
    distinct = Distinct(60.0)
    for tick in range(19):
        distinct.add(tick, {tick, -1})
    assert distinct.window(1200.0) is None
    distinct.add(19, {19, -1})
    assert distinct.window(1200.0) == 21
    distinct.add(20, {20, -1})
    assert (distinct.window(1200.0), distinct.run) == (21, 22)
    assert distinct.window(3600.0) is None


def test_windows_equal_a_plain_count_over_a_long_run_with_churn() -> None:
    dice = random.Random(3)
    distinct = Distinct(10.0)
    history: list[set[int]] = []
    for tick in range(1200):
        series = {dice.randrange(tick // 4, tick // 4 + 40) for _ in range(25)}
        history.append(series)
        distinct.add(tick, series)
        if tick % 97 == 0 and tick >= 360:
            assert distinct.window(1200.0) == len(set().union(*history[-120:]))
            assert distinct.window(3600.0) == len(set().union(*history[-360:]))
    assert distinct.run == len(set().union(*history))


def test_beyond_the_bound_counts_are_estimates_within_four_standard_errors() -> None:
    dice = random.Random(4)
    distinct = Distinct(60.0, exact_max=5_000)
    history: list[set[int]] = []
    for tick in range(70):
        series = {dice.getrandbits(64) for _ in range(400)}
        history.append(series)
        distinct.add(tick, series)
    assert distinct.error == SKETCH_ERROR
    assert distinct.run == pytest.approx(28_000, rel=4 * SKETCH_ERROR)
    assert distinct.window(3600.0) == pytest.approx(24_000, rel=4 * SKETCH_ERROR)
    assert distinct.window(1200.0) == pytest.approx(8_000, rel=4 * SKETCH_ERROR)


def test_the_run_goes_on_from_a_saved_sketch() -> None:
    before = Distinct(1.0)
    before.add(1, set(range(1000)))
    after = Distinct.resumed(1.0, before.saved())
    after.add(2, set(range(500, 1500)))
    assert after.run == pytest.approx(1500, rel=4 * SKETCH_ERROR)
    assert after.error == SKETCH_ERROR
