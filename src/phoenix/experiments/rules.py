"""Decide: the frozen question and the evidence in, a verdict (or "keep looking") out.

Abort is a union: one reason is enough, at any look. Promotion is an intersection: every enforced
guardrail must pass. In this order:

| what is seen                                              | outcome                          |
|-----------------------------------------------------------|----------------------------------|
| a hard rule is broken, or the abort test reached its level | `keep_baseline`, aborted         |
| the baseline's own arm was gone for more than three ticks | `inconclusive`, aborted          |
| the baseline's collector, or the scraper, keeps crashing  | `inconclusive`, aborted          |
| the evidence is not complete                              | none yet                         |
| the reduction, or the conservation of totals, fails       | `keep_baseline`                  |
| another enforced guardrail fails                          | `needs_tuning`                   |
| an enforced guardrail lacks data                          | `inconclusive`                   |
| all enforced guardrails pass                              | `adopt_candidate`                |

The evidence of a *window* is complete when the coverage test has passed and every enforced
guardrail has data, or at its last tick. That rule does not look at how much was saved, so the
reduction reported is not one that was waited for. The evidence
of the *long run* is complete when every enforced guardrail passes, when the reduction is excluded,
or at its last tick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from phoenix.experiments import guardrails as measure
from phoenix.experiments import sentences as say
from phoenix.experiments.evidence import RATIO_TICKS, Evidence
from phoenix.experiments.model import RATIO_CAP, Guardrail, Outcome, Spec, Verdict
from phoenix.experiments.statistics import longrun, presence
from phoenix.experiments.statistics.autocorrelation import TIMES_PER_BATCH

#: Unpaired ticks in a row of a live experiment; one more is a hard abort.
UNPAIRED_MAX = 3
#: Times that a collector may end by itself in one experiment; one more is a hard abort. Each gap is
#: excluded, so that a collector that dies again and again would otherwise never be judged.
CRASHES_MAX = 3
#: Failures that no parameter cures.
_AGAINST_THE_CANDIDATE = ("reduction", "conservation")


def judge(
    spec: Spec, evidence: Evidence, finished: bool = False, queries: Guardrail | None = None
) -> Verdict | None:
    """The verdict, or None while the evidence is not complete.

    Args:
        queries: what became of alerts and dashboards, once they were checked; they are checked
            last, against all that both arms emitted, and decide with the other guardrails.
        finished: no tick will follow (the run's time is over); the last tick of the specification
            is recognised without it.
    """
    reason = abort_reason(spec, evidence)
    if reason is not None:
        return _aborted(spec, evidence, reason)
    finished = finished or evidence.ticks >= spec.evidence_ticks_max
    if not finished and not _may_close(spec, evidence):
        return None
    guardrails = measure.all_of(spec, evidence)
    if not finished and not _complete(spec, guardrails):
        return None
    return _concluded(spec, evidence, guardrails, queries)


def waiting(spec: Spec, evidence: Evidence) -> str:
    """One sentence: what is being waited for, and why not sooner."""
    if not evidence.warmup_done(spec):
        left = spec.warmup_ticks - evidence.warmup_ticks
        return f"Warming up: {say.ticks(left)} to go, so that first scrapes do not count."
    if evidence.ticks == 0:
        return "Waiting for the first tick with both arms."
    if evidence.critical_ticks == 0:
        return "Waiting for a critical process: the baseline shows none, so nothing can be missed."
    if measure.coverage(spec, evidence).passed is None:
        return _waiting_for_coverage(spec, evidence)
    if spec.claim == "long_run":
        return _waiting_for_long_run(spec, evidence)
    left = max(spec.evidence_ticks_max - evidence.ticks, 0)
    return f"Waiting for the end of the window: {say.ticks(left)} to go."


def progress(spec: Spec, evidence: Evidence) -> dict[str, Any]:
    """What a live view shows: the reduction with its band, coverage, and the waiting sentence.

    `band` is the 95 % confidence sequence of the reduction in the long run (low, high), or None;
    it says nothing reliable while `withheld` is set.
    """
    state = measure.long_run(spec, evidence)
    band = None if state.band is None else (1 - state.band[1], 1 - state.band[0])
    shown = evidence.critical_shown
    return {
        "warmup_ticks": evidence.warmup_ticks,
        "ticks": evidence.ticks,
        "ticks_max": spec.evidence_ticks_max,
        "excluded": dict(sorted(evidence.excluded.items())),
        "reduction": measure.reduction(evidence),
        "band": band,
        "withheld": state.withheld,
        "batches": state.batches,
        "batch_ticks": state.batch_ticks,
        "coverage": shown.candidate / shown.baseline if shown.baseline else None,
        "missing": list(evidence.missing_now),
        "waiting": waiting(spec, evidence),
    }


def abort_reason(spec: Spec, evidence: Evidence) -> str | None:
    """Why the experiment has to stop now, or None."""
    most = spec.criteria.critical_missing_ticks_max
    if evidence.missing_longest >= most:
        return (
            f"critical processes ({say.listed(evidence.missing_longest_names)}) were missing in"
            f" {say.ticks(evidence.missing_longest)} in a row (allowed: fewer than {most})"
        )
    if evidence.unpaired_longest > UNPAIRED_MAX:
        return (
            f"the arm {evidence.unpaired_arm} sent nothing in"
            f" {say.ticks(evidence.unpaired_longest)} in a row (allowed: {UNPAIRED_MAX})"
        )
    crashing = _crashing(evidence)
    if crashing is not None:
        return (
            f"the collector of the {crashing} ended by itself {evidence.crashes(crashing)} times"
            f" (allowed: {CRASHES_MAX})"
        )
    if evidence.ratio_highest is not None and evidence.ratio_highest > RATIO_CAP:
        return (
            f"the candidate emitted {evidence.ratio_highest:.2f} times the baseline's series over"
            f" {RATIO_TICKS} ticks (allowed: {RATIO_CAP:g})"
        )
    if evidence.harm_log_e >= -math.log(spec.alpha_abort):
        return (
            f"the candidate alone lost sight of critical processes"
            f" {evidence.lost_by_candidate_alone} times, the baseline alone"
            f" {evidence.lost_by_baseline_alone} times, and its exports failed in"
            f" {_failed(evidence, 'candidate')} intervals against {_failed(evidence, 'baseline')}"
        )
    return None


def still_needed(spec: Spec, evidence: Evidence) -> str:
    """What the long-run claim would still need, estimated from this evidence."""
    saved, state = measure.reduction(evidence), measure.long_run(spec, evidence)
    if saved is None:
        return "The long run was not looked at: no series was measured."
    bound = 1 - spec.criteria.required_reduction
    batches = longrun.batches_needed(1 - saved, bound, RATIO_CAP, spec.long_run_level)
    if batches is None:
        return "No number of ticks would show what is required in the long run: the saving is less."
    if state.time is None or state.batch_ticks is None:
        return (
            f"The long run would need about {batches} independent batches. The arms' ratio hardly"
            f" moved here, so more ticks of this host are copies of these: take {batches} hosts."
        )
    ticks = batches * math.ceil(TIMES_PER_BATCH * state.time.upper)
    return (
        f"The long run would need about {batches} independent batches: {say.ticks(ticks)}"
        f" ({say.duration(ticks * spec.interval_s)}) of this host by the memory measured here, or"
        f" {batches} hosts with a window each."
    )


def _crashing(evidence: Evidence) -> str | None:
    """The member that keeps crashing, the candidate before those that are ours."""
    members = ("candidate", "baseline", "scraper")
    return next((m for m in members if evidence.crashes(m) > CRASHES_MAX), None)


def _failed(evidence: Evidence, arm: str) -> int:
    return evidence.use[arm].failed_intervals if arm in evidence.use else 0


def _may_close(spec: Spec, evidence: Evidence) -> bool:
    """A cheap look at what every early end needs, before all guardrails are computed."""
    return evidence.ticks > 0 and evidence.warmup_done(spec)


def _complete(spec: Spec, guardrails: Sequence[Guardrail]) -> bool:
    by_name = {guardrail.name: guardrail for guardrail in guardrails}
    if spec.claim == "window":
        return all(g.passed is not None for g in guardrails if g.enforced) and bool(
            by_name["coverage"].passed
        )
    if by_name["reduction"].passed is False:
        return True
    return all(guardrail.passed for guardrail in guardrails if guardrail.enforced)


def _aborted(spec: Spec, evidence: Evidence, reason: str) -> Verdict:
    baseline_gone = evidence.unpaired_longest > UNPAIRED_MAX and "baseline" in str(
        evidence.unpaired_arm
    )
    not_its_fault = baseline_gone or _crashing(evidence) in ("baseline", "scraper")
    outcome: Outcome = "inconclusive" if not_its_fault else "keep_baseline"
    head = "Inconclusive" if not_its_fault else "Keep the baseline"
    return Verdict(
        outcome=outcome,
        scope=spec.claim,
        sentence=f"{head}: aborted because {reason}. {say.NOT_CHECKED}",
        reasons=(reason,),
        guardrails=measure.all_of(spec, evidence),
        aborted=True,
    )


def _concluded(
    spec: Spec, evidence: Evidence, guardrails: tuple[Guardrail, ...], queries: Guardrail | None
) -> Verdict:
    guardrails += () if queries is None else (queries,)
    enforced = [guardrail for guardrail in guardrails if guardrail.enforced]
    failed = [guardrail for guardrail in enforced if guardrail.passed is False]
    unknown = [guardrail for guardrail in enforced if guardrail.passed is None]
    outcome, head, decisive = _outcome(failed, unknown)
    scope = say.SCOPES[spec.claim]
    saved = measure.reduction(evidence)
    told = "No saving was measured" if saved is None else say.saving(saved)
    sentence = f"{head}, {scope}. {told}"
    if outcome == "adopt_candidate":
        sentence += f" (required: {say.limit(spec.criteria.required_reduction)}) and keeps to every"
        sentence += f" guardrail over {say.ticks(evidence.ticks)}"
    else:
        names = say.listed(guardrail.name.replace("_", " ") for guardrail in decisive)
        verb = "lacks data" if outcome == "inconclusive" else "fails"
        sentence += f" over {say.ticks(evidence.ticks)}, but {names} {verb}"
    return Verdict(
        outcome=outcome,
        scope=spec.claim,
        sentence=f"{sentence}. {_about_queries(spec, queries)}",
        reasons=tuple(
            f"{g.name}: {g.measured}, required {g.required}. {g.sentence}" for g in decisive
        ),
        guardrails=guardrails,
        long_run=still_needed(spec, evidence) if spec.claim == "window" else None,
    )


def _about_queries(spec: Spec, queries: Guardrail | None) -> str:
    """The end of every verdict's sentence: what is known of alerts and dashboards."""
    if queries is not None:
        return queries.sentence
    return say.NOT_CHECKED if spec.guard is None else say.BEING_CHECKED


def _outcome(
    failed: Sequence[Guardrail], unknown: Sequence[Guardrail]
) -> tuple[Outcome, str, Sequence[Guardrail]]:
    """The table of this module: outcome, its words, and the guardrails that decided."""
    against = [guardrail for guardrail in failed if guardrail.name in _AGAINST_THE_CANDIDATE]
    if against:
        return "keep_baseline", "Keep the baseline", against
    if failed:
        return "needs_tuning", "The candidate needs tuning", failed
    if unknown:
        return "inconclusive", "Inconclusive", unknown
    return "adopt_candidate", "Adopt the candidate", ()


def _waiting_for_coverage(spec: Spec, evidence: Evidence) -> str:
    margin, clean = spec.onset_margin, evidence.at_risk_ticks - evidence.onsets
    needed = _clean_ticks_needed(spec, evidence)
    return (
        f"Waiting for {say.ticks(max(needed - clean, 1))} more without a miss: fewer cannot rule"
        f" out, at an error rate of {say.limit(spec.promote_level)}, that the candidate begins"
        f" to miss a critical process in {say.limit(margin)} of the ticks."
    )


def _clean_ticks_needed(spec: Spec, evidence: Evidence) -> int:
    """Clean ticks at which the coverage test passes if no further miss begins."""
    margin, level = spec.onset_margin, -math.log(spec.promote_level)
    low, high = 0, 1
    while presence.absence(high, evidence.onsets, margin) < level:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        reached = presence.absence(middle, evidence.onsets, margin) >= level
        low, high = (low, middle) if reached else (middle, high)
    return high


def _waiting_for_long_run(spec: Spec, evidence: Evidence) -> str:
    state = measure.long_run(spec, evidence)
    if state.withheld is not None:
        return f"Waiting for more ticks: {state.withheld}, and neighbours must not count twice."
    guardrails = measure.all_of(spec, evidence)
    open_ones = [g.name for g in guardrails if g.enforced and not g.passed]
    if "reduction" in open_ones:
        return (
            f"Waiting for batches of {say.ticks(state.batch_ticks or 0)}: {state.batches} are in,"
            f" and they do not yet exclude chance at an error rate of"
            f" {say.limit(spec.promote_level)}."
        )
    return f"Waiting for {say.listed(open_ones)}: every guardrail must pass before a promotion."
