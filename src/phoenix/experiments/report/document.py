"""The report as plain values: everything a reader may ask of a finished experiment, measured.

A number that was not measured is None and is shown as "insufficient data". The document is what the
API answers, what `-o json` prints, and what the HTML page is drawn from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from phoenix.base.clock import rfc3339
from phoenix.collectors.model import ARMS, Sample
from phoenix.experiments.evidence import CONSERVED_LEVELS
from phoenix.experiments.model import Experiment, Verdict
from phoenix.experiments.report.retelling import Retold
from phoenix.experiments.report.usage import Counter, Level
from phoenix.experiments.store import StoredRevision
from phoenix.measurement.cost import Cost, RateCard, cost, savings, usage_of
from phoenix.measurement.model import ArmTick, NameSeen, Tick
from phoenix.measurement.unobserved import unobserved
from phoenix.pipelines.diff import diff
from phoenix.pipelines.lint import lint

SCHEMA = "phoenix.report/1"
NAMES_MAX = 500
# Demonstrations scrape every second; nobody pays for that. Bills are for one scrape a minute.
PRICED_INTERVAL_S = 60.0
PARTS = ("scraper", "baseline", "candidate", "meter", "agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """About the host and the programs, for provenance."""

    phoenix: str
    collector: str
    host: str
    kernel: str
    cores: int
    root: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Everything that was kept of one experiment."""

    experiment: Experiment
    names: Sequence[NameSeen]
    samples: Sequence[Sample]
    revisions: Mapping[str, StoredRevision]
    retold: Retold
    cards: Sequence[RateCard]
    facts: Facts
    shares_scrape: bool


def build(material: Material) -> dict[str, Any]:
    """Return the report document of a completed experiment."""
    experiment = material.experiment
    assert experiment.verdict is not None, "only a completed experiment is reported"
    evidence, counted = material.retold.evidence, material.retold.counted
    series = _series(material)
    return {
        "schema": SCHEMA,
        "experiment": _experiment(material),
        "verdict": experiment.verdict.to_dict(),
        "reduction": _reduction(counted),
        "ticks": {
            "warmup": evidence.warmup_ticks,
            "evidence": evidence.ticks,
            "silent": evidence.silent_ticks,
            "excluded": dict(sorted(evidence.excluded.items())),
        },
        "processes": _processes(material.names, experiment.verdict),
        "costs": _costs(material, counted),
        "overhead": _overhead(material.samples),
        "unobserved": _unobserved(series["ticks"]),
        "series": series,
        "configurations": _configurations(material.revisions),
        "provenance": _provenance(material),
    }


def _experiment(material: Material) -> dict[str, Any]:
    e = material.experiment
    return {
        "id": e.id,
        "name": e.spec.name,
        "description": e.spec.description,
        "baseline": e.spec.baseline.pipeline,
        "candidate": e.spec.candidate.pipeline,
        "hosts": list(e.hosts),
        "interval_s": e.spec.interval_s,
        "load": dict(e.spec.load) if e.spec.load else None,
        "required_reduction": e.spec.criteria.required_reduction,
        "conservation_tolerance": e.spec.criteria.conservation_tolerance,
        "critical": [str(rule) for rule in e.spec.critical],
        "pairing": "same scrape"
        if material.shares_scrape
        else "by window: the candidate scrapes for itself",
        "started_at": rfc3339(e.started_at) if e.started_at else None,
        "finished_at": rfc3339(e.finished_at) if e.finished_at else None,
    }


def _reduction(ticks: Sequence[Tick]) -> dict[str, Any]:
    """Four numbers, since a bill may be any of them; per scrape, and series over the run."""
    found: dict[str, Any] = {}
    for what in ("series", "points", "raw_bytes", "wire_bytes"):
        b = sum(getattr(t.baseline, what) for t in ticks)
        c = sum(getattr(t.candidate, what) for t in ticks if t.candidate)
        found[what] = _change(b / len(ticks) if ticks else None, c / len(ticks) if ticks else None)
    last = next((t for t in reversed(ticks) if t.candidate), None)
    found["series_over_the_run"] = _change(
        last.baseline.series_run if last and last.baseline else None,
        last.candidate.series_run if last and last.candidate else None,
    )
    return found


def _change(baseline: float | None, candidate: float | None) -> dict[str, float | None]:
    saved = 1 - candidate / baseline if baseline and candidate is not None else None
    return {"baseline": baseline, "candidate": candidate, "saved": saved}


def _fate(verdict: Verdict) -> str | None:
    """What became of names that are not shown: measured, not promised by the pipeline.

    `folded` when the totals agree, so that what they used is in a sum; `lost` when they do not;
    None when the totals could not be compared.
    """
    judged = [g for g in verdict.guardrails if g.name == "conservation" and g.enforced]
    agree = judged[0].passed if judged else None
    return None if agree is None else "folded" if agree else "lost"


def _processes(names: Sequence[NameSeen], verdict: Verdict) -> dict[str, Any]:
    hidden = [n for n in names if n.baseline_ticks and not n.candidate_ticks]
    cpu_s = sum(n.cpu_s for n in names)
    return {
        "shown": sum(1 for n in names if n.candidate_ticks),
        "hidden": [
            {
                "name": n.name,
                "cpu_s": n.cpu_s,
                "cpu_share": n.cpu_s / cpu_s if cpu_s else None,
                "memory_bytes": n.memory_bytes,
                "critical": n.critical,
                "ticks": n.baseline_ticks,
            }
            for n in sorted(hidden, key=lambda n: (not n.critical, -n.cpu_s, n.name))[:NAMES_MAX]
        ],
        "hidden_count": len(hidden),
        "fate": _fate(verdict) if hidden else None,
        "critical_lost": sorted(n.name for n in hidden if n.critical),
    }


def _costs(material: Material, ticks: Sequence[Tick]) -> dict[str, Any]:
    interval_s = max(material.experiment.spec.interval_s, PRICED_INTERVAL_S)
    arms: dict[str, list[ArmTick]] = {
        "baseline": [t.baseline for t in ticks if t.baseline],
        "candidate": [t.candidate for t in ticks if t.candidate],
    }
    usage = {arm: usage_of(of, interval_s) for arm, of in arms.items()}
    # The window that is priced may be longer than the one measured: say which was measured.
    window = f"window: {len(ticks)} scrapes, priced as one every {interval_s:g} s"
    rows = []
    for card in material.cards:
        b, c = cost(usage["baseline"], card), cost(usage["candidate"], card)
        saved = savings(b, c)
        rows.append(
            {
                "card": card.name,
                "title": card.title,
                "currency": card.currency,
                "rate": f"{card.rate} {card.currency} per {card.per:,} {card.unit}",
                "source": card.source,
                "date": card.on.isoformat(),
                "baseline": _priced(b, window),
                "candidate": _priced(c, window),
                "saved_month": str(saved.month) if saved else None,
                "saved_percent": str(saved.percent) if saved and saved.percent else None,
                "extrapolated": True,
            }
        )
    return {"priced_interval_s": interval_s, "month_days": 30, "hosts": 1, "cards": rows}


def _priced(priced: Cost, window: str) -> dict[str, Any]:
    return {
        "month": str(priced.month) if priced.month else None,
        "minor": priced.month.minor if priced.month else priced.at_least and priced.at_least.minor,
        "at_least": str(priced.at_least) if priced.at_least else None,
        "missing": priced.missing,
        "inputs": [
            window if i.name == "window" else f"{i.name}: {i.value} {i.unit}" for i in priced.inputs
        ],
    }


def _overhead(samples: Sequence[Sample]) -> dict[str, Any]:
    """What the measurement itself cost the host: mean CPU and highest memory of each part."""
    found: dict[str, Any] = {}
    for part in PARTS:
        mine = [s for s in samples if s.member == part and s.cpu_s is not None]
        cores = _cores(mine)
        memory = [s.rss_bytes for s in mine if s.rss_bytes is not None]
        found[part] = {"cores": cores, "rss_max_bytes": max(memory) if memory else None}
    return found


def _cores(samples: Sequence[Sample]) -> float | None:
    used, seconds = 0.0, 0.0
    for a, b in pairwise(samples):
        assert a.cpu_s is not None
        assert b.cpu_s is not None
        if b.cpu_s >= a.cpu_s:  # a restarted collector counts from zero again
            used += b.cpu_s - a.cpu_s
            seconds += (b.at - a.at).total_seconds()
    return used / seconds if seconds else None


def _series(material: Material) -> dict[str, Any]:
    """What the plots show, tick by tick."""
    interval_s = material.experiment.spec.interval_s
    members = _by_member(material.samples)
    counters = {member: Counter(samples) for member, samples in members.items()}
    levels = {arm: Level(members.get(arm, ())) for arm in ARMS}
    rows = []
    for t in material.retold.counted:
        b, c = t.baseline, t.candidate
        assert b is not None, "a tick without a baseline is no evidence"
        begin = t.at - timedelta(seconds=interval_s)
        used = [counters[a].rise(begin, t.at) if a in counters else None for a in ARMS]
        rows.append(
            {
                "tick": t.tick,
                "at": rfc3339(t.at),
                "series": [b.series, c.series if c else 0],
                "saved": 1 - (c.series if c else 0) / b.series if b.series else None,
                "coverage": t.critical_candidate / t.critical_baseline
                if t.critical_baseline
                else None,
                "conservation_error": _conservation_error(b, c),
                "cores": [None if cpu_s is None else cpu_s / interval_s for cpu_s in used],
                "rss": [levels[a].near(t.at, interval_s) for a in ARMS],
                "cpu_s": _cpu(t, b, interval_s, counters),
            }
        )
    return {"ticks": rows, "trajectory": [asdict(point) for point in material.retold.trajectory]}


def _cpu(
    tick: Tick, baseline: ArmTick, interval_s: float, counters: Mapping[str, Counter]
) -> dict[str, float] | None:
    """Where the host's CPU seconds went since the baseline's previous tick; None if not known."""
    begin = tick.at - timedelta(seconds=interval_s * (baseline.span_ticks or 1))
    shown = (baseline.increments or {}).get("process.cpu.time")
    host = counters["host"].rise(begin, tick.at) if "host" in counters else None
    own = sum(c.known_rise(begin, tick.at) for name, c in counters.items() if name != "host")
    unseen = unobserved(host, shown, own)
    if host is None or shown is None or unseen is None:
        return None
    return {"host": host, "shown": shown, "own": own, "unobserved": unseen}


def _unobserved(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Host CPU that no shown process accounts for, over the ticks in which all of it is known.

    The rest is taken of the sums, not summed: kernel clocks are coarse, and a tick's noise may lie
    on either side of nothing.
    """
    known = [row["cpu_s"] for row in rows if row["cpu_s"] is not None]
    host, shown, own = (
        sum(cpu_s[of] for cpu_s in known) if known else None for of in ("host", "shown", "own")
    )
    return {
        "ticks": len(known),
        "host_cpu_s": host,
        "shown_cpu_s": shown,
        "own_cpu_s": own,
        "unobserved_cpu_s": unobserved(host, shown, own or 0.0),
    }


def _by_member(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.member, []).append(sample)
    return found


def _conservation_error(baseline: ArmTick, candidate: ArmTick | None) -> float | None:
    worst = None
    for metric in CONSERVED_LEVELS:
        arrived = baseline.levels.get(metric)
        if arrived and candidate is not None:
            error = abs(candidate.levels.get(metric, 0.0) - arrived) / arrived
            worst = error if worst is None else max(worst, error)
    return worst


def _configurations(revisions: Mapping[str, StoredRevision]) -> dict[str, Any]:
    before, after = revisions.get("production_baseline"), revisions.get("production_candidate")
    if before is None or after is None:
        return {"diff": None, "deploy": None, "findings": []}
    return {
        "diff": diff(before.config, after.config, before.pipeline, after.pipeline),
        "deploy": after.config,
        "deploy_sha256": after.sha256,
        "findings": [
            {
                "rule": finding.rule,
                "severity": finding.severity,
                "line": finding.line,
                "message": finding.message,
                "remedy": finding.remedy,
            }
            for finding in lint(after.config, file=after.pipeline)
        ],
    }


def _provenance(material: Material) -> dict[str, Any]:
    f = material.facts
    return {
        "spec_sha256": material.experiment.spec.sha256,
        "revisions": {role: r.sha256 for role, r in sorted(material.revisions.items())},
        "phoenix": f.phoenix,
        "collector": f.collector,
        "host": f.host,
        "kernel": f.kernel,
        "cores": f.cores,
        "root": f.root,
    }
