"""What the runtime decides: how long to wait, and how a shadow is."""

from __future__ import annotations

import pytest

from phoenix.collectors import rules
from phoenix.collectors.model import MemberState, MemberStatus, ShadowPhase


def members(*states: MemberState) -> dict[str, MemberStatus]:
    return {
        str(n): MemberStatus(state=s, pid=None, restarts=0, last_error=None, started_at=None)
        for n, s in enumerate(states)
    }


def test_each_failure_in_a_row_waits_longer_up_to_a_limit() -> None:
    waits = [rules.backoff_s(n) for n in range(1, 9)]
    assert waits == sorted(waits)
    assert waits[0] < 1
    assert waits[-1] == waits[-2] == max(rules.BACKOFF_S)


@pytest.mark.parametrize(
    ("states", "phase"),
    [
        (("running", "running", "running"), "ready"),
        (("running", "starting", "running"), "starting"),
        (("waiting", "waiting", "waiting"), "starting"),
        (("running", "running", "paused"), "paused"),
        (("starting", "running", "paused"), "paused"),
        (("running", "running", "failed"), "failed"),
        (("paused", "running", "failed"), "failed"),
        ((), "starting"),
    ],
)
def test_a_shadow_is_as_good_as_the_worst_of_its_members(
    states: tuple[MemberState, ...], phase: ShadowPhase
) -> None:
    assert rules.phase(members(*states), wanted=True) == phase


def test_what_is_not_wanted_is_stopped_whatever_its_members_say() -> None:
    assert rules.phase(members("running", "failed"), wanted=False) == "stopped"
