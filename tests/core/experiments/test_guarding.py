"""Alerts and dashboards decide about a promotion, and the verdict's sentence says what is known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from phoenix.experiments import drafting, guarding
from phoenix.experiments.evidence import Pair
from phoenix.experiments.guarding import Asked, QueriesUnreadable
from phoenix.experiments.lifecycle import World, decide
from phoenix.experiments.model import Experiment, Phase, Spec, State
from phoenix.experiments.request import ArmRequest, ExperimentRequest
from phoenix.experiments.rules import judge
from phoenix.guard.backend import Backend
from phoenix.guard.errors import UnknownBackend
from phoenix.guard.outcome import Outcome, check
from phoenix.measurement.emitted import Catalogue
from phoenix.testing.arms import ALL, alert
from phoenix.testing.evidence import START, healthy, spec

NGINX, ETCD, *_ = ALL
LOST = alert('process_memory_usage_bytes{process_executable_name="etcd"} > 1')
KEPT = alert('process_memory_usage_bytes{process_executable_name="nginx"} > 1')
ASKED = Asked(queries=(LOST, KEPT), backend=Backend())


def outcome(*queries: Any) -> Outcome:
    emitted = {"baseline": Catalogue(ALL), "candidate": Catalogue((NGINX,))}
    return check(queries, emitted, Backend())  # type: ignore[arg-type]


def guarded() -> Spec:
    return spec(guard=ASKED.frozen())


def test_alert_that_goes_silent_stands_before_a_promotion() -> None:
    queries = guarding.guardrail(outcome(LOST, KEPT))
    verdict = judge(guarded(), healthy(), queries=queries)
    assert verdict is not None
    assert verdict.outcome == "needs_tuning"
    assert verdict.sentence.endswith(
        "but queries fails. Of 2 queries 1 go silent (resolved, not evaluated). They are A."
    )
    assert verdict.guardrails[-1].name == "queries"
    assert verdict.reasons[0].startswith("queries: 1 of 2 block, required none silent")


def test_alerts_that_still_answer_let_the_candidate_pass() -> None:
    verdict = judge(guarded(), healthy(), queries=guarding.guardrail(outcome(KEPT)))
    assert verdict is not None
    assert verdict.outcome == "adopt_candidate"
    assert verdict.sentence.endswith(
        "None of 1 queries goes silent or would fire (resolved, not evaluated)."
    )


def test_alerts_that_could_not_be_checked_leave_it_open() -> None:
    verdict = judge(guarded(), healthy(), queries=guarding.guardrail(None, "nothing was emitted"))
    assert verdict is not None
    assert verdict.outcome == "inconclusive"
    assert "could not be checked: nothing was emitted." in verdict.sentence


def test_verdict_says_when_nothing_was_asked_and_when_it_is_checked_next() -> None:
    plain, asked = judge(spec(), healthy()), judge(guarded(), healthy())
    assert plain is not None
    assert asked is not None
    assert plain.sentence.endswith(" Alerts and dashboards not checked.")
    assert asked.sentence.endswith(" Alerts and dashboards are checked next.")


def test_candidate_that_saves_too_little_is_not_called_tunable_for_its_alerts() -> None:
    evidence = replace(healthy(), series=Pair(baseline=1000, candidate=990))
    verdict = judge(guarded(), evidence, queries=guarding.guardrail(outcome(LOST)))
    assert verdict is not None
    assert verdict.outcome == "keep_baseline"


def test_lifecycle_waits_for_the_check_before_it_concludes() -> None:
    verdict = judge(guarded(), healthy())
    experiment = Experiment(
        id="exp-a1b2c3d4", spec=guarded(), state=State.ANALYZING, phase=Phase.DECIDING,
        created_by="t", created_at=START, updated_at=START,
    )  # fmt: skip
    world = World(
        experiment=experiment, now=START, killed=False, checked=None, shadow=None, ticks_seen=1,
        warmup_done=True, verdict=verdict, waiting="", checking=True,
    )  # fmt: skip
    assert decide(world).action is None
    assert "checking alerts" in decide(world).sentence
    assert decide(replace(world, checking=False)).action is not None


def test_queries_are_frozen_by_their_hash() -> None:
    frozen = ASKED.frozen()
    assert frozen["queries"] == 2
    assert frozen != replace(ASKED, queries=(KEPT, LOST)).frozen()
    assert Spec.from_dict(json.loads(json.dumps(guarded().to_dict()))) == guarded()
    assert guarded().sha256 != spec().sha256
    assert "guard" not in spec().to_dict()


def test_queries_survive_being_written_and_read() -> None:
    assert guarding.asked(json.loads(json.dumps(ASKED.to_dict()))) == ASKED


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"queries": []},
        {"queries": "x"},
        {"queries": [1]},
        {"queries": [{"kind": "alert"}]},
        {"queries": [{**KEPT.to_dict(), "kind": "poem"}]},
        {"queries": [{**KEPT.to_dict(), "expr": 5}]},
        {"queries": [{**KEPT.to_dict(), "labels": {"a": 1}}]},
        {"queries": [{**KEPT.to_dict(), "labels": [1]}]},
        {"queries": [{**KEPT.to_dict(), "variables": [{"no": 1}]}]},
        {"queries": [{**KEPT.to_dict(), "more": 1}]},
    ],
)
def test_what_are_no_queries_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(QueriesUnreadable):
        guarding.asked(value)


def test_unknown_backend_is_refused() -> None:
    with pytest.raises(UnknownBackend):
        guarding.asked({"queries": [KEPT.to_dict()], "backend": {"name": "graphite"}})


def test_totals_within_the_tolerance_are_conserved() -> None:
    totals = {"a": Pair(baseline=100, candidate=100.5), "b": Pair(baseline=100, candidate=50)}
    evidence = replace(healthy(), totals=totals)
    assert guarding.conserved(spec(), evidence) == ("a",)
    assert guarding.conserved(spec(), None) == ()


def test_processes_that_rules_name_join_the_critical_list_with_their_source() -> None:
    request = ExperimentRequest(
        baseline=ArmRequest(pipeline="process-baseline-v1"),
        candidate=ArmRequest(pipeline="process-aggregated-v1"),
        critical=["nginx"],
        guard=ASKED.to_dict(),
    )
    draft = drafting.draft(request, "exp-a1b2c3d4")
    assert [(str(rule), rule.source) for rule in draft.spec.critical] == [
        ("name:nginx", "option"),
        ("name:etcd", "rules.yaml: g, A"),
    ]
    assert draft.asked == ASKED
    assert draft.spec.guard == ASKED.frozen()
    assert "critical because rules or dashboards name them: name:etcd" in draft.notes
