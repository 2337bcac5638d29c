"""Every way an experiment can end, with the number of the tick at which it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from phoenix.experiments.evidence import Evidence, Pair
from phoenix.experiments.model import Criteria, Spec, Verdict
from phoenix.experiments.rules import judge, progress, waiting
from phoenix.measurement.model import Tick
from phoenix.testing.evidence import (
    START,
    Reading,
    arm,
    folded,
    healthy,
    missing,
    sampled,
    spec,
    tick,
)

BEFORE = spec().warmup_ticks


def first_verdict(
    ticks: Callable[[int], Tick], asked: Spec | None = None, most: int = 200
) -> tuple[int, Verdict]:
    """Looks after every tick: the number of evidence ticks at the verdict, and the verdict."""
    asked = asked or spec()
    evidence = Evidence()
    for number in range(most):
        evidence = sampled(evidence.updated(ticks(number), asked), number + 1)
        verdict = judge(asked, evidence)
        if verdict is not None:
            return number + 1 - asked.warmup_ticks, verdict
    raise AssertionError("no verdict")


def passed(verdict: Verdict) -> dict[str, bool | None]:
    return {g.name: g.passed for g in verdict.guardrails if g.enforced}


def test_a_cheap_and_faithful_candidate_is_adopted_once_coverage_is_settled() -> None:
    at, verdict = first_verdict(tick)
    assert verdict.outcome == "adopt_candidate"
    assert verdict.scope == "window"
    assert 90 <= at <= spec().clean_ticks_min
    assert all(passed(verdict).values())
    assert verdict.sentence == (
        "Adopt the candidate, on this host, in this window. The candidate saves 85.0 % of the"
        f" series (required: 30 %) and keeps to every guardrail over {at} ticks. Alerts and"
        " dashboards not checked."
    )
    assert verdict.long_run is not None
    assert "11 hosts" in verdict.long_run


def test_the_same_candidate_is_not_adopted() -> None:
    at, verdict = first_verdict(lambda n: tick(n, candidate=arm(1000)))
    assert verdict.outcome == "keep_baseline"
    assert not verdict.aborted
    assert "saves 0.0 %" in verdict.sentence
    assert at <= spec().clean_ticks_min


@pytest.mark.parametrize("most", [1, 2, 5, 12])
def test_a_lost_critical_process_aborts_at_the_tick_of_its_hard_rule(most: int) -> None:
    asked = spec(criteria=Criteria(critical_missing_ticks_max=most))
    at, verdict = first_verdict(
        lambda n: tick(n) if n < BEFORE + 10 else missing(n, "nginx[7]"), asked
    )
    assert (verdict.outcome, verdict.aborted) == ("keep_baseline", True)
    assert at == 10 + most
    assert "nginx[7]" in verdict.sentence


def test_processes_lost_one_after_the_other_abort_as_one_would() -> None:
    at, verdict = first_verdict(
        lambda n: tick(n) if n < BEFORE + 10 else missing(n, f"worker[{n}]")
    )
    assert verdict.aborted
    assert at == 10 + spec().criteria.critical_missing_ticks_max


def test_short_misses_that_only_the_candidate_has_abort() -> None:
    at, verdict = first_verdict(lambda n: missing(n, "nginx[7]") if n % 12 == 11 else tick(n))
    assert verdict.aborted
    assert at < 100
    assert "alone lost sight" in verdict.sentence


def test_misses_on_both_sides_do_not_abort() -> None:
    def ticks(n: int) -> Tick:
        if n % 24 == 7:
            return missing(n, "nginx[7]")
        return tick(n, critical_candidate=4) if n % 24 == 19 else tick(n)

    _, verdict = first_verdict(ticks)
    assert not verdict.aborted


def test_a_candidate_that_stays_away_aborts_after_three_ticks() -> None:
    at, verdict = first_verdict(lambda n: tick(n, candidate=arm(150) if n < 10 else None))
    assert (verdict.outcome, verdict.aborted) == ("keep_baseline", True)
    assert at == 10 - BEFORE + 4


def test_without_its_baseline_an_experiment_is_inconclusive() -> None:
    _, verdict = first_verdict(lambda n: tick(n, baseline=arm(1000) if n < 10 else None))
    assert (verdict.outcome, verdict.aborted) == ("inconclusive", True)


def test_a_candidate_that_emits_much_more_aborts() -> None:
    at, verdict = first_verdict(lambda n: tick(n, candidate=arm(1300)))
    assert (verdict.outcome, verdict.aborted) == ("keep_baseline", True)
    assert at == 10
    assert "1.30 times" in verdict.sentence


def test_misses_beyond_the_margin_ask_for_tuning_at_the_end_of_the_window() -> None:
    def ticks(n: int) -> Tick:
        missed = n >= BEFORE and n % 10 == 3
        if not missed:
            return tick(n, critical_candidate=4 if n % 10 == 7 else 3)
        return missing(n, "nginx[7]")

    at, verdict = first_verdict(ticks)
    assert (verdict.outcome, verdict.aborted) == ("needs_tuning", False)
    assert at == spec().evidence_ticks_max
    assert passed(verdict)["coverage"] is False


@pytest.mark.parametrize(
    ("name", "criteria", "changes"),
    [
        ("recall_cpu", Criteria(min_recall_top_k=0.7), {"recall_cpu": 0.69}),
        ("recall_memory", Criteria(min_recall_top_k=0.7), {"recall_memory": 0.6}),
        ("freshness", Criteria(), {"candidate": arm(150, delay_p95_ms=2300.0)}),
        ("collector_cpu", Criteria(collector_cpu_max_cores=0.05), {}),
        ("collector_memory", Criteria(collector_memory_max_mib=40), {}),
    ],
)
def test_a_saving_with_a_tunable_failure_needs_tuning(
    name: str, criteria: Criteria, changes: dict[str, Any]
) -> None:
    asked = spec(criteria=criteria)
    verdict = judge(asked, healthy(150, asked, **changes))
    assert verdict is not None
    assert verdict.outcome == "needs_tuning"
    assert [n for n, p in passed(verdict).items() if not p] == [name]
    assert name.replace("_", " ") in verdict.sentence


@pytest.mark.parametrize(
    "candidate",
    [
        arm(150, levels={"process.memory.usage": 0.98e9}),
        arm(150, levels={}),
        arm(150, increments={"process.cpu.time": 2.53}),
        arm(150, increments={}),
    ],
)
def test_totals_that_are_off_keep_the_baseline(candidate: object) -> None:
    verdict = judge(spec(), healthy(150, candidate=candidate))
    assert verdict is not None
    assert verdict.outcome == "keep_baseline"
    assert passed(verdict)["conservation"] is False


def test_totals_within_the_tolerance_pass() -> None:
    verdict = judge(spec(), healthy(candidate=arm(150, increments={"process.cpu.time": 2.48})))
    assert verdict is not None
    assert verdict.outcome == "adopt_candidate"


def test_what_has_no_limit_is_reported_and_never_decides() -> None:
    criteria = Criteria(conservation_tolerance=None, collector_cpu_max_cores=None)
    asked = spec(criteria=criteria)
    verdict = judge(asked, healthy(150, asked, candidate=arm(150, levels={})))
    assert verdict is not None
    assert verdict.outcome == "adopt_candidate"
    assert "conservation" not in passed(verdict)


def test_no_data_is_inconclusive_and_holds_no_number() -> None:
    verdict = judge(spec(), Evidence(), finished=True)
    assert verdict is not None
    assert verdict.outcome == "inconclusive"
    assert all(g.passed is None and g.value is None for g in verdict.guardrails)
    assert {g.measured for g in verdict.guardrails} == {"insufficient data"}


def test_too_few_ticks_are_inconclusive() -> None:
    verdict = judge(spec(), healthy(40), finished=True)
    assert verdict is not None
    assert verdict.outcome == "inconclusive"
    assert verdict.reasons[0].startswith("coverage")


def test_without_critical_processes_coverage_is_unknown() -> None:
    evidence = healthy(150, critical_baseline=0, critical_candidate=0)
    verdict = judge(spec(), evidence)
    assert verdict is not None
    assert verdict.outcome == "inconclusive"


def test_without_samples_the_collectors_are_unknown() -> None:
    evidence = folded(tick(n) for n in range(152))
    verdict = judge(spec(), evidence)
    assert verdict is not None
    assert verdict.outcome == "inconclusive"
    assert "collector cpu" in verdict.sentence


def failing(intervals: int) -> Evidence:
    """Healthy evidence, but for points that the candidate lost in some intervals."""
    evidence = folded(tick(n) for n in range(152))
    readings = [
        Reading(
            member=member,
            at=START + timedelta(seconds=n),
            cpu_s=0.1 * n,
            enqueue_failed_points=min(n // 10, intervals) if member == "candidate" else 0,
        )
        for member in ("baseline", "candidate")
        for n in range(152)
    ]
    return evidence.with_samples(readings)


def test_failed_exports_need_tuning() -> None:
    verdict = judge(spec(), failing(1))
    assert verdict is not None
    assert (verdict.outcome, verdict.aborted) == ("needs_tuning", False)
    assert passed(verdict)["export_failures"] is False


def test_many_failed_exports_abort() -> None:
    verdict = judge(spec(), failing(9))
    assert verdict is not None
    assert verdict.aborted
    assert "9 intervals against 0" in verdict.sentence


def with_losses(queue: int | None, lost: list[int | None]) -> Evidence:
    """Healthy evidence; the candidate loses points while so much waits in the baseline's queue."""
    evidence = healthy(30)
    at = START + timedelta(seconds=100)
    for n, points in enumerate(lost):
        now = at + timedelta(seconds=n)
        evidence = evidence.with_samples(
            [
                Reading(member="baseline", at=now, queue_size=queue),
                Reading(
                    member="candidate",
                    at=now + timedelta(milliseconds=5),
                    exporter_failed_points=None,
                    enqueue_failed_points=points,
                ),
            ]
        )
    return evidence


def test_points_lost_while_the_meter_was_away_are_held_against_nobody() -> None:
    lost: list[int | None] = list(range(0, 200, 10))
    assert with_losses(30, lost).use["candidate"].failed_points == 0
    counted = with_losses(1, lost).use["candidate"]
    assert counted.failed_points == 190
    assert judge(spec(), with_losses(30, lost)) is None
    assert judge(spec(), with_losses(0, lost)) is not None


def test_the_last_scrape_of_an_outage_is_excused_too() -> None:
    evidence = with_losses(30, [0, 10])
    at = START + timedelta(seconds=110)
    again = evidence.with_samples(
        [
            Reading(member="baseline", at=at, queue_size=0),
            Reading(member="candidate", at=at, enqueue_failed_points=15),
        ]
    )
    assert again.use["candidate"].failed_points == 0


def test_a_collector_that_did_not_answer_once_has_not_lost_its_points_again() -> None:
    evidence = with_losses(0, [0, 10, None, 10, 10])
    assert evidence.use["candidate"].failed_points == 10
    assert evidence.use["candidate"].failed_intervals == 1
    assert Evidence.from_dict(evidence.to_dict()) == evidence


def crashing(evidence: Evidence, member: str, counts: list[int]) -> Evidence:
    """The evidence with what the runtime said, once a second, about how often it had restarted."""
    return evidence.with_samples(
        Reading(member=member, at=START + timedelta(seconds=n), restarts=count)
        for n, count in enumerate(counts)
    )


def test_a_candidate_that_keeps_crashing_is_aborted_although_its_gaps_are_excluded() -> None:
    evidence = crashing(folded(tick(n) for n in range(5)), "candidate", [0, 1, 1, 2, 3])
    assert judge(spec(), evidence) is None, "three are forgiven"
    verdict = judge(spec(), crashing(folded([tick(0)]), "candidate", [0, 1, 1, 2, 3, 4]))
    assert verdict is not None
    assert (verdict.outcome, verdict.aborted) == ("keep_baseline", True)
    assert "the collector of the candidate ended by itself 4 times (allowed: 3)" in verdict.sentence


def test_crashes_count_before_the_evidence_and_across_a_restart_of_the_agent() -> None:
    verdict = judge(spec(), crashing(Evidence(), "candidate", [0, 2, 0, 1, 2]))
    assert verdict is not None
    assert "4 times" in verdict.sentence
    assert judge(spec(), crashing(Evidence(), "candidate", [0, 2, 0, 0, 1])) is None


@pytest.mark.parametrize("member", ["baseline", "scraper"])
def test_a_collector_of_ours_that_keeps_crashing_says_nothing_about_the_candidate(
    member: str,
) -> None:
    verdict = judge(spec(), crashing(folded(tick(n) for n in range(9)), member, [2, 4]))
    assert verdict is not None
    assert (verdict.outcome, verdict.aborted) == ("inconclusive", True)
    assert member in verdict.sentence


def test_late_data_cannot_undo_an_abort() -> None:
    asked = spec(evidence_ticks_max=400)
    harmed = [missing(n, "nginx[7]") if n % 12 == 11 else tick(n) for n in range(120)]
    healed = [tick(n, critical_candidate=4 if n % 12 == 11 else 3) for n in range(120, 390)]
    verdict = judge(asked, sampled(folded([*harmed, *healed], asked), 390))
    assert verdict is not None
    assert verdict.aborted


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (Evidence(), "Warming up: 2 ticks"),
        (healthy(0), "first tick with both arms"),
        (healthy(30), "70 ticks more without a miss"),
        (healthy(5, critical_baseline=0), "critical process"),
        (healthy(120), "end of the window: 30 ticks"),
    ],
)
def test_the_wait_is_explained(evidence: Evidence, words: str) -> None:
    assert words in waiting(spec(), evidence)


def test_the_wait_for_coverage_is_exact() -> None:
    at, _ = first_verdict(tick)
    assert "1 tick more" in waiting(spec(), healthy(at - 1))


def test_progress_invents_nothing() -> None:
    nothing = progress(spec(), Evidence())
    assert (nothing["reduction"], nothing["band"], nothing["coverage"]) == (None, None, None)
    some = progress(spec(), healthy(40))
    assert some["reduction"] == pytest.approx(0.85)
    assert some["withheld"] is not None


def test_a_verdict_is_the_same_from_stored_evidence() -> None:
    evidence = healthy(150)
    assert judge(spec(), Evidence.from_dict(evidence.to_dict())) == judge(spec(), evidence)


def varied(count: int, mean: int, asked: Spec, seed: int = 4) -> Evidence:
    """Evidence whose candidate varies by a tenth from tick to tick, independently."""
    generator = np.random.default_rng(seed)
    series = np.rint(generator.normal(mean, mean / 10, count + asked.warmup_ticks))
    ticks = (tick(n, candidate=arm(int(s))) for n, s in enumerate(series))
    return sampled(folded(ticks, asked), count + asked.warmup_ticks)


LONG = spec(claim="long_run", evidence_ticks_max=1200)


def test_the_long_run_is_adopted_on_independent_batches() -> None:
    verdict = judge(LONG, varied(700, 150, LONG))
    assert verdict is not None
    assert (verdict.outcome, verdict.scope) == ("adopt_candidate", "long_run")
    assert "in the long run" in verdict.sentence
    assert verdict.long_run is None


def test_the_long_run_keeps_the_baseline_when_its_band_excludes_the_requirement() -> None:
    verdict = judge(LONG, varied(700, 900, LONG))
    assert verdict is not None
    assert (verdict.outcome, verdict.aborted) == ("keep_baseline", False)


def test_the_long_run_goes_on_while_it_cannot_tell() -> None:
    evidence = varied(700, 699, LONG)
    assert judge(LONG, evidence) is None
    assert "batches of" in waiting(LONG, evidence)
    verdict = judge(LONG, evidence, finished=True)
    assert verdict is not None
    assert verdict.outcome == "inconclusive"


def test_a_quiet_host_never_settles_the_long_run() -> None:
    evidence = healthy(700, LONG)
    assert judge(LONG, evidence) is None
    assert "hardly moved" in waiting(LONG, evidence)
    verdict = judge(LONG, evidence, finished=True)
    assert verdict is not None
    assert verdict.outcome == "inconclusive"


def test_a_reduction_of_nothing_is_unknown() -> None:
    evidence = replace(healthy(150), series=Pair())
    verdict = judge(spec(), evidence)
    assert verdict is not None
    assert verdict.outcome == "inconclusive"
    assert "No saving was measured" in verdict.sentence
