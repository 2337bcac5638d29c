"""What a specification promises before the first tick, and how an experiment may move."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from phoenix.experiments.errors import SpecInvalid
from phoenix.experiments.model import (
    DEMO,
    FOLLOWS,
    PROFILES,
    Arm,
    Criteria,
    Experiment,
    Guardrail,
    Phase,
    Spec,
    State,
    Verdict,
)
from phoenix.pipelines.model import CriticalRule


def spec(**changes: object) -> Spec:
    values: dict[str, object] = {
        "name": "cheaper processes",
        "baseline": Arm(pipeline="process-baseline-v1"),
        "candidate": Arm(pipeline="process-aggregated-v1", parameters={"minimum_cpu_s": "0.5"}),
        "critical": (CriticalRule(kind="name", value="nginx", source="default"),),
    }
    return DEMO.applied_to(**{**values, **changes})


def test_the_same_question_has_the_same_hash_whatever_the_order_of_its_parameters() -> None:
    one = Arm(pipeline="p", parameters={"a": 1, "b": "0.1"})
    two = Arm(pipeline="p", parameters={"b": "0.1", "a": 1})
    assert replace(spec(), candidate=one).sha256 == replace(spec(), candidate=two).sha256
    assert replace(spec(), candidate=one).sha256 != spec().sha256


def test_a_specification_survives_its_plain_form() -> None:
    assert Spec.from_dict(spec().to_dict()) == spec()
    assert Spec.from_dict(spec().to_dict()).sha256 == spec().sha256


def test_a_retry_is_the_same_change_at_half_the_level() -> None:
    long_run: dict[str, object] = {"claim": "long_run", "evidence_ticks_max": 8640}
    first, second = spec(**long_run), spec(attempt=2, seed=7, **long_run)
    assert first.change_sha256 == second.change_sha256
    assert second.promote_level == first.promote_level / 2
    levels = [spec(attempt=n, **long_run).promote_level for n in range(1, 21)]
    assert sum(levels) < first.alpha_promote


def test_a_window_replaces_nothing_and_spends_no_budget() -> None:
    assert spec(attempt=5).promote_level == spec().alpha_promote


def test_the_demo_has_ticks_enough_for_its_coverage_margin() -> None:
    needed = spec().clean_ticks_min
    assert needed == math.ceil(math.log(200) / -math.log(0.95)) == 104
    assert needed <= DEMO.evidence_ticks_max


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"name": "ab"}, "name"),
        ({"description": "x" * 501}, "description"),
        ({"interval_s": 0.1}, "interval"),
        ({"warmup_ticks": 151}, "warm-up"),
        ({"evidence_ticks_max": 60}, "evidence"),
        ({"alpha_promote": 0.0}, "alpha_promote"),
        ({"attempt": 0}, "Attempt"),
        ({"claim": "forever"}, "claim"),
        ({"criteria": Criteria(required_reduction=1.0)}, "reduction"),
        ({"criteria": Criteria(required_reduction=-0.1)}, "reduction"),
        ({"criteria": Criteria(required_reduction=math.nan)}, "reduction"),
        ({"criteria": Criteria(coverage_margin=0.0)}, "margin"),
        ({"criteria": Criteria(critical_missing_ticks_max=0)}, "missing"),
        ({"criteria": Criteria(conservation_tolerance=1.5)}, "conservation"),
        ({"criteria": Criteria(min_recall_top_k=-1.0)}, "recall"),
        ({"criteria": Criteria(export_failures_max=-1)}, "export"),
    ],
)
def test_contradictory_criteria_are_refused_with_a_remedy(
    changes: dict[str, object], word: str
) -> None:
    with pytest.raises(SpecInvalid, match=word) as refused:
        spec(**changes)
    assert refused.value.remedy


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(SpecInvalid, match="read"):
        Spec.from_dict({**spec().to_dict(), "colour": "blue"})


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("after", list(State))
def test_an_experiment_moves_only_as_the_table_says(before: State, after: State) -> None:
    experiment = Experiment(
        id="exp-a1b2c3d4",
        spec=spec(),
        state=before,
        phase=Phase.VALIDATED,
        created_by="test",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    if after in FOLLOWS[before]:
        assert experiment.moved_to(after).state is after
        assert experiment.moved_to(after).version == experiment.version + 1
    else:
        with pytest.raises(AssertionError):
            experiment.moved_to(after)


def test_every_state_has_its_row_and_three_are_final() -> None:
    assert set(FOLLOWS) == set(State)
    assert {s for s in State if s.is_final} == {
        State.COMPLETED,
        State.FAILED,
        State.CANCELLED,
    }


def test_a_verdict_survives_its_plain_form() -> None:
    guardrail = Guardrail(name="coverage", required="x", measured="y", passed=None, sentence="z")
    verdict = Verdict(
        outcome="inconclusive",
        scope="window",
        sentence="No.",
        reasons=("too few ticks",),
        guardrails=(guardrail,),
    )
    assert Verdict.from_dict(verdict.to_dict()) == verdict


def test_profiles_are_known_by_name() -> None:
    assert sorted(PROFILES) == ["demo", "standard"]
