"""Incidents are the same for the same seed, and a service that restarts is there all the time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from phoenix.load.files import plan_bytes
from phoenix.load.incidents import CYCLE_S, with_incidents
from phoenix.load.model import Birth
from phoenix.load.profiles import PROFILES, plan


def lives(births: list[Birth]) -> dict[tuple[str, ...], list[Birth]]:
    found: dict[tuple[str, ...], list[Birth]] = {}
    for birth in births:
        found.setdefault(birth.process.argv, []).append(birth)
    return found


@pytest.mark.parametrize("name", [each.name for each in PROFILES])
def test_the_same_seed_gives_the_same_incidents_and_another_seed_others(name: str) -> None:
    first = plan_bytes(with_incidents(plan(name, 7), 7))
    assert plan_bytes(with_incidents(plan(name, 7), 7)) == first
    assert plan_bytes(with_incidents(plan(name, 7), 8)) != first


def test_every_service_of_the_load_stays_or_restarts_and_is_never_there_twice() -> None:
    load = plan("realistic", 3)
    got = with_incidents(load, 3)
    titles = {process.argv for process in load.processes}
    restarting = {a: b for a, b in lives(list(got.births)).items() if a in titles}
    assert {p.argv for p in got.processes} | set(restarting) == titles
    assert len(restarting) > 5
    once = [a for a in restarting if sum(p.argv == a for p in load.processes) == 1]
    for argv in once:
        births = restarting[argv]
        assert len(births) >= 2
        for before, after in pairwise([*births, births[0]]):
            start = after.at_s + (CYCLE_S if after is births[0] else 0)
            assert before.at_s + before.lifetime_s <= max(start, before.at_s + 0.5)


def test_there_are_execs_within_each_life_hogs_and_the_births_of_the_load() -> None:
    load = plan("high-churn", 3, births_per_s=30)
    assert load.births_per_s == 30
    got = with_incidents(load, 3, memory_hog_bytes=5_000)
    execs = [birth for birth in got.births if birth.becomes is not None]
    assert len(execs) >= 30
    assert all(0 < b.becomes.after_s < b.lifetime_s for b in execs if b.becomes)
    assert any(birth.process.cpu_share > 0.05 for birth in got.births)
    assert [b for b in got.births if b.process.rss_bytes == 5_000]
    assert len(got.births) > 30 * CYCLE_S
    times = [birth.at_s for birth in got.births]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] < CYCLE_S == got.cycle_s
