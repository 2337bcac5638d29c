"""What was used within a tick, from samples taken at other moments; never guessed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from phoenix.collectors.model import Sample
from phoenix.experiments.report.usage import Counter, Level
from phoenix.testing.evidence import START


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def sample(seconds: float, cpu_s: float | None, rss_bytes: int | None = 1) -> Sample:
    return Sample(
        experiment_id="exp-a1b2c3d4",
        member="candidate",
        at=at(seconds),
        state="running",
        cpu_s=cpu_s,
        rss_bytes=rss_bytes,
    )


def test_the_part_of_a_rise_that_lies_in_the_tick_counts() -> None:
    counter = Counter([sample(3, 0.0), sample(13, 1.0), sample(23, 5.0)])
    assert counter.rise(at(3), at(23)) == pytest.approx(5.0)
    assert counter.rise(at(10), at(20)) == pytest.approx(0.3 + 2.8)
    assert counter.rise(at(4), at(5)) == pytest.approx(0.1)


def test_the_ticks_of_a_run_add_up_to_the_whole() -> None:
    counter = Counter([sample(n * 0.9, float(n * n)) for n in range(40)])
    parts = [counter.rise(at(n), at(n + 1)) for n in range(30)]
    assert sum(part or 0.0 for part in parts) == pytest.approx(counter.rise(at(0), at(30)))


def test_before_the_first_and_after_the_last_sample_nothing_is_known() -> None:
    counter = Counter([sample(3, 0.0), sample(13, 1.0)])
    assert counter.rise(at(2), at(5)) is None
    assert counter.rise(at(10), at(14)) is None
    assert counter.rise(at(20), at(30)) is None
    assert Counter([]).rise(at(0), at(1)) is None
    assert counter.known_rise(at(10), at(14)) == pytest.approx(0.3)


def test_a_restart_or_a_missing_reading_is_unknown_for_its_stretch_only() -> None:
    counter = Counter([sample(0, 5.0), sample(1, 6.0), sample(2, 0.5), sample(3, 1.5)])
    assert counter.rise(at(0), at(1)) == pytest.approx(1.0)
    assert counter.rise(at(1), at(2)) is None
    assert counter.rise(at(2), at(3)) == pytest.approx(1.0)
    assert counter.known_rise(at(0), at(3)) == pytest.approx(2.0)
    assert Counter([sample(0, None), sample(1, 2.0)]).rise(at(0), at(1)) is None


def test_memory_is_that_of_the_nearest_sample_if_it_is_near_enough() -> None:
    level = Level([sample(0, 0.0, 10), sample(10, 0.0, 20)])
    assert level.near(at(4), 10) == 10
    assert level.near(at(6), 10) == 20
    assert level.near(at(21), 10) is None
    assert Level([]).near(at(0), 10) is None
