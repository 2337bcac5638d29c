"""How members were, read off samples."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from phoenix.experiments.timeline import intervals

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Told:
    member: str
    state: str
    at: datetime


def told(*states: str) -> list[Told]:
    return [Told("candidate", s, NOON + timedelta(seconds=i)) for i, s in enumerate(states)]


def test_one_state_is_one_interval_that_goes_on() -> None:
    found = intervals(told("running", "running", "running"))
    assert [(i.state, i.end) for i in found] == [
        ("alive", NOON + timedelta(seconds=2)),
        ("alive", None),
    ]


def test_the_worse_state_holds_around_a_change() -> None:
    found = intervals(told("running", "paused", "running"))
    assert [i.state for i in found] == ["paused", "alive"]
    assert found[0].covers(NOON)
    assert found[0].covers(NOON + timedelta(seconds=1.9))


def test_a_state_nobody_knows_is_down() -> None:
    assert intervals(told("exploded"))[0].state == "down"


def test_nothing_told_is_nothing_known() -> None:
    assert intervals([]) == ()
