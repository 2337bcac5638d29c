"""What holds for every history of ticks, whatever it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from phoenix.base.canonical import canonical_bytes
from phoenix.experiments.evidence import Evidence
from phoenix.experiments.rules import abort_reason, judge, waiting
from phoenix.measurement.model import Tick
from phoenix.testing.evidence import arm, folded, sampled, spec, tick

ASKED = spec(evidence_ticks_max=104)


@st.composite
def histories(draw: st.DrawFn) -> list[Tick]:
    """Mostly healthy ticks with all that may go wrong between them."""
    return [_tick(draw, number) for number in range(draw(st.integers(0, 40)))]


def _tick(draw: st.DrawFn, number: int) -> Tick:
    kind = draw(st.sampled_from(["ok"] * 6 + ["missing", "stale", "gone", "silent", "more"]))
    changes: dict[str, Any] = {
        "missing": {"missing": ("nginx[7]",), "critical_candidate": 2},
        "stale": {"excluded": "stale"},
        "gone": {"candidate": None, "excluded": "unpaired:candidate"},
        "silent": {"candidate": arm(0), "critical_candidate": 0},
        "more": {"critical_candidate": 4},
        "ok": {"candidate": arm(draw(st.integers(0, 1200))), "recall_cpu": draw(st.floats(0, 1))},
    }[kind]
    return tick(number, **changes)


def _evidence(history: Sequence[Tick]) -> Evidence:
    return sampled(folded(history, ASKED), len(history) + 1)


@settings(max_examples=60, deadline=None)
@given(histories())
def test_every_tick_is_accounted_for(history: list[Tick]) -> None:
    evidence = _evidence(history)
    assert evidence.seen == len(history)
    assert evidence.warmup_ticks + evidence.ticks + sum(evidence.excluded.values()) == len(history)
    assert evidence.onsets <= evidence.ticks_with_miss <= evidence.ticks
    assert evidence.critical_shown.candidate <= evidence.critical_shown.baseline


@settings(max_examples=60, deadline=None)
@given(histories())
def test_stored_evidence_gives_the_same_answer(history: list[Tick]) -> None:
    evidence = _evidence(history)
    again = Evidence.from_dict(json.loads(canonical_bytes(evidence.to_dict())))
    assert again == evidence
    assert judge(ASKED, again, finished=True) == judge(ASKED, evidence, finished=True)
    assert waiting(ASKED, again) == waiting(ASKED, evidence)


@settings(max_examples=60, deadline=None)
@given(histories())
def test_an_end_is_always_a_verdict_and_never_adopts_against_a_guardrail(
    history: list[Tick],
) -> None:
    verdict = judge(ASKED, _evidence(history), finished=True)
    assert verdict is not None
    assert verdict.sentence.endswith("Alerts and dashboards not checked.")
    if verdict.outcome == "adopt_candidate":
        assert all(g.passed for g in verdict.guardrails if g.enforced)
    if verdict.outcome == "inconclusive" and not verdict.aborted:
        assert any(g.passed is None for g in verdict.guardrails if g.enforced)


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(1, 10))
def test_an_abort_stays_an_abort(history: list[Tick], more: int) -> None:
    before = folded(history, ASKED)
    after = before
    for number in range(len(history), len(history) + more):
        after = after.updated(tick(number), ASKED)
    if abort_reason(ASKED, before) is not None:
        assert abort_reason(ASKED, after) is not None
