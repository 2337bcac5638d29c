"""What a short run says of a configuration's totals: what is left out on purpose is no loss."""

from __future__ import annotations

from dataclasses import replace

import pytest

from phoenix.experiments import smoke
from phoenix.measurement.model import Tick
from phoenix.testing import evidence

RESIDENT, VIRTUAL = "process.memory.usage", "process.memory.virtual"


def ticks(candidate: dict[str, float]) -> list[Tick]:
    """Two ticks in which the baseline tells both levels, and the candidate these."""
    made = []
    for number in (1, 2):
        tick = evidence.tick(number)
        assert tick.baseline
        assert tick.candidate
        made.append(
            replace(
                tick,
                baseline=replace(tick.baseline, levels={RESIDENT: 100.0, VIRTUAL: 900.0}),
                candidate=replace(tick.candidate, levels=candidate),
            )
        )
    return made


@pytest.mark.parametrize(
    ("candidate", "passed"),
    [
        ({RESIDENT: 100.0, VIRTUAL: 900.0}, True),
        ({RESIDENT: 100.0}, True),
        ({RESIDENT: 100.0, VIRTUAL: 300.0}, False),
        ({VIRTUAL: 900.0}, False),
        ({RESIDENT: 90.0}, False),
    ],
)
def test_a_level_may_be_left_out_but_not_in_part(candidate: dict[str, float], passed: bool) -> None:
    report = smoke.examine("candidate", ticks(candidate), conserves=True)
    (totals,) = (check for check in report.checks if check.name == "totals")
    assert totals.passed == passed
    assert report.passed == passed
