"""Each requirement of an experiment, measured: passed, failed, or not enough data to say.

A guardrail without a limit in the criteria is reported and never decides (`enforced` is False).
`tunable` marks failures that other parameters or limits may cure; the others speak against the
candidate itself.
"""

from __future__ import annotations

import math

from phoenix.experiments import sentences as say
from phoenix.experiments.evidence import Evidence, Mean
from phoenix.experiments.model import RATIO_CAP, Guardrail, Spec
from phoenix.experiments.statistics import presence
from phoenix.experiments.statistics.longrun import LongRun, assess

NO_DATA = "insufficient data"


def all_of(spec: Spec, evidence: Evidence) -> tuple[Guardrail, ...]:
    """Every guardrail, in the order of the report."""
    saved = reduction_window if spec.claim == "window" else reduction_long_run
    return (
        saved(spec, evidence),
        coverage(spec, evidence),
        conservation(spec, evidence),
        recall(spec, evidence.recall_cpu, "recall_cpu", "by CPU"),
        recall(spec, evidence.recall_memory, "recall_memory", "by memory"),
        freshness(spec, evidence),
        collector_cpu(spec, evidence),
        collector_memory(spec, evidence),
        export_failures(spec, evidence),
    )


def long_run(spec: Spec, evidence: Evidence) -> LongRun:
    """Where the long-run claim on the reduction stands."""
    return assess(
        evidence.blocks,
        evidence.block_ticks,
        bound=1 - spec.criteria.required_reduction,
        cap=RATIO_CAP,
        level=spec.promote_level,
    )


def reduction(evidence: Evidence) -> float | None:
    """Share of the series saved over all evidence ticks; None without a series of the baseline."""
    if evidence.series.baseline <= 0:
        return None
    return 1 - evidence.series.candidate / evidence.series.baseline


def reduction_window(spec: Spec, evidence: Evidence) -> Guardrail:
    """The census: every series of every evidence tick, no statistics."""
    required, saved = spec.criteria.required_reduction, reduction(evidence)
    if saved is None:
        return _unknown("reduction", f">= {say.limit(required)}", "No series was measured.")
    return Guardrail(
        name="reduction",
        required=f">= {say.limit(required)}",
        measured=say.share(saved),
        passed=saved >= required,
        value=saved,
        sentence=f"{say.saving(saved)} of {say.ticks(evidence.ticks)}, counted one by one.",
    )


def reduction_long_run(spec: Spec, evidence: Evidence) -> Guardrail:
    """The gate: passed at `E >= 1/level`, failed when the 95 % band excludes the requirement."""
    required, saved = spec.criteria.required_reduction, reduction(evidence)
    state = long_run(spec, evidence)
    if saved is None or state.log_e is None or state.withheld is not None:
        why = state.withheld or "no complete batch is in"
        return _unknown("reduction", f">= {say.limit(required)}", f"Withheld: {why}.", saved)
    passed: bool | None = None
    if state.log_e >= -math.log(spec.promote_level):
        passed = True
    elif state.band is not None and 1 - state.band[0] < required:
        passed = False
    band = "no band yet"
    if state.band is not None:
        band = f"95 % band {say.share(1 - state.band[1])} to {say.share(1 - state.band[0])}"
    return Guardrail(
        name="reduction",
        required=f">= {say.limit(required)}",
        measured=f"{say.share(saved)} ({band})",
        passed=passed,
        value=saved,
        sentence=f"{state.batches} batches of {say.ticks(state.batch_ticks or 0)} give"
        f" E = {_e_value(state.log_e)} of the {1 / spec.promote_level:g} needed.",
    )


def coverage_log_e(spec: Spec, evidence: Evidence) -> float:
    """Log e-value against "a miss begins in at least `onset_margin` of the ticks at risk"."""
    clean = evidence.at_risk_ticks - evidence.onsets
    return presence.absence(clean, evidence.onsets, spec.onset_margin)


def coverage(spec: Spec, evidence: Evidence) -> Guardrail:
    """Passed when the test excludes the margin and the share of ticks with a miss keeps to it."""
    margin, watched = spec.criteria.coverage_margin, evidence.critical_ticks
    required = f"< {say.limit(margin)} of the ticks with a miss"
    if watched == 0:
        return _unknown("coverage", required, "The baseline showed no critical process.")
    missed = evidence.ticks_with_miss / watched
    shown = evidence.critical_shown.candidate / evidence.critical_shown.baseline
    log_e = coverage_log_e(spec, evidence)
    proven = log_e >= -math.log(spec.promote_level)
    passed = (proven or None) if missed < margin else False
    lost = sorted(evidence.lost, key=lambda name: (-evidence.lost[name], name))
    sentence = f"Every critical process was seen in all of {say.ticks(watched)}."
    if lost:
        sentence = f"Missed in {evidence.ticks_with_miss} of {say.ticks(watched)}:"
        sentence = f"{sentence} {say.listed(lost)}."
    if passed is None:
        sentence += f" That is E = {_e_value(log_e)} of the {1 / spec.promote_level:g} needed."
    return Guardrail(
        name="coverage",
        required=required,
        measured=f"{say.share(shown)} seen",
        passed=passed,
        value=shown,
        sentence=sentence,
        tunable=True,
    )


def conservation(spec: Spec, evidence: Evidence) -> Guardrail:
    """The largest relative difference of a total between the arms."""
    tolerance = spec.criteria.conservation_tolerance
    required = _at_most(None if tolerance is None else say.limit(tolerance))
    errors = {
        name: pair.candidate / pair.baseline - 1
        for name, pair in sorted(evidence.totals.items())
        if pair.baseline > 0
    }
    enforced = tolerance is not None
    if not errors:
        sentence = "The baseline showed no total that could be compared."
        return _unknown("conservation", required, sentence, enforced=enforced)
    worst = max(errors, key=lambda name: abs(errors[name]))
    error = errors[worst]
    way = "off" if error == 0 else "more" if error > 0 else "less"
    return Guardrail(
        name="conservation",
        required=required,
        measured=f"{100 * abs(error):.2f} % {way}",
        passed=True if tolerance is None else abs(error) <= tolerance,
        value=error,
        sentence=f"Of {len(errors)} totals, {worst} differs most.",
        enforced=enforced,
    )


def recall(spec: Spec, seen: Mean, name: str, by: str) -> Guardrail:
    """Mean share of the baseline's largest processes that the candidate shows by name."""
    least = spec.criteria.min_recall_top_k
    required = "reported only" if least is None else f">= {say.limit(least)}"
    enforced, mean = least is not None, seen.value
    if mean is None:
        return _unknown(name, required, "No tick had a ranking.", enforced=enforced)
    return Guardrail(
        name=name,
        required=required,
        measured=say.share(mean),
        passed=True if least is None else mean >= least,
        value=mean,
        sentence=f"Of the largest processes {by}, {say.share(mean)} stay visible by name.",
        enforced=enforced,
        tunable=True,
    )


def freshness(spec: Spec, evidence: Evidence) -> Guardrail:
    """How much later than the baseline's the candidate's points arrive, mean of the p95."""
    most = spec.criteria.freshness_max_extra_s
    required = _at_most(None if most is None else f"{most:g} s later")
    mean = evidence.extra_delay_ms.value
    if mean is None:
        sentence = "No arrival was measured."
        return _unknown("freshness", required, sentence, enforced=most is not None)
    later = mean / 1000
    return Guardrail(
        name="freshness",
        required=required,
        measured=f"{later:+.2f} s",
        passed=True if most is None else later <= most,
        value=later,
        sentence="Difference of the 95th percentile of the delay, averaged over the ticks.",
        enforced=most is not None,
        tunable=True,
    )


def collector_cpu(spec: Spec, evidence: Evidence) -> Guardrail:
    """Mean share of one core that the candidate's collector used."""
    most = spec.criteria.collector_cpu_max_cores
    required = _at_most(None if most is None else f"{say.limit(most)} of a core")
    use = evidence.use.get("candidate")
    cores = None if use is None else use.cores
    if cores is None:
        sentence = "Fewer than two samples of the collector."
        return _unknown("collector_cpu", required, sentence, enforced=most is not None)
    beside = evidence.use.get("baseline")
    theirs = None if beside is None or beside.cores is None else say.share(beside.cores)
    return Guardrail(
        name="collector_cpu",
        required=required,
        measured=f"{say.share(cores)} of a core",
        passed=True if most is None else cores <= most,
        value=cores,
        sentence=f"The baseline's collector used {theirs or 'an unknown share'}.",
        enforced=most is not None,
        tunable=True,
    )


def collector_memory(spec: Spec, evidence: Evidence) -> Guardrail:
    """Largest resident set of the candidate's collector."""
    most = spec.criteria.collector_memory_max_mib
    required = _at_most(None if most is None else f"{most:g} MiB")
    use = evidence.use.get("candidate")
    if use is None or use.rss_max_bytes is None:
        sentence = "No sample of the collector."
        return _unknown("collector_memory", required, sentence, enforced=most is not None)
    mib = use.rss_max_bytes / 2**20
    return Guardrail(
        name="collector_memory",
        required=required,
        measured=f"{mib:.0f} MiB",
        passed=True if most is None else mib <= most,
        value=mib,
        sentence="The largest resident set seen during the evidence.",
        enforced=most is not None,
        tunable=True,
    )


def export_failures(spec: Spec, evidence: Evidence) -> Guardrail:
    """Points that the candidate's collector could not queue or send."""
    most = spec.criteria.export_failures_max
    required = _at_most(None if most is None else f"{most} points")
    use = evidence.use.get("candidate")
    if use is None or use.samples < 2:
        sentence = "Fewer than two samples of the collector."
        return _unknown("export_failures", required, sentence, enforced=most is not None)
    return Guardrail(
        name="export_failures",
        required=required,
        measured=f"{use.failed_points} points",
        passed=True if most is None else use.failed_points <= most,
        value=float(use.failed_points),
        sentence=f"Seen in {use.failed_intervals} intervals between {use.samples} samples.",
        enforced=most is not None,
        tunable=True,
    )


def _unknown(
    name: str, required: str, sentence: str, value: float | None = None, *, enforced: bool = True
) -> Guardrail:
    return Guardrail(
        name=name,
        required=required,
        measured=NO_DATA if value is None else say.share(value),
        passed=None,
        value=value,
        sentence=sentence,
        enforced=enforced,
    )


def _at_most(limit: str | None) -> str:
    return "reported only" if limit is None else f"<= {limit}"


def _e_value(log_e: float) -> str:
    return f"{math.exp(log_e):.3g}" if log_e < 20 else f"10^{log_e / math.log(10):.0f}"
