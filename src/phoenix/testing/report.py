"""A finished experiment to report on: seeded, with a gap, a hostile name and a lost process."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from phoenix.collectors.model import Sample
from phoenix.experiments import rules
from phoenix.experiments.model import Experiment, Spec, State, Verdict
from phoenix.experiments.report.document import Facts, Material, build
from phoenix.experiments.report.retelling import retold
from phoenix.experiments.store import StoredRevision
from phoenix.measurement.cards import load
from phoenix.measurement.model import NameSeen, Tick
from phoenix.pipelines import catalog, render
from phoenix.testing.evidence import START, arm, missing, spec, tick

HOSTILE = '<script>alert(1)</script>"\x1b[31m\u202eexe'


FACTS = Facts(
    phoenix="0.1.0",
    collector="otelcol-phoenix 0.157.0",
    host="web-1",
    kernel="Linux 6.1.0",
    cores=2,
    root=True,
)


def document(**changes: Any) -> dict[str, Any]:
    """The report of `material(...)`."""
    return build(material(**changes))


def material(
    asked: Spec | None = None, count: int = 150, seed: int = 7, **changes: Any
) -> Material:
    """A healthy run of `count` evidence ticks, its verdict included."""
    asked = asked or spec()
    ticks = changes.pop("ticks", None) or healthy(count + asked.warmup_ticks, seed)
    samples = changes.pop("samples", sampled(len(ticks), seed))
    told = retold(asked, ticks, samples)
    values: dict[str, Any] = {
        "experiment": _finished(
            asked, rules.judge(asked, told.evidence, finished=True), len(ticks)
        ),
        "names": names(seed),
        "samples": samples,
        "revisions": dict(_revisions()),
        "retold": told,
        "cards": load(),
        "facts": FACTS,
        "shares_scrape": True,
    }
    return Material(**{**values, **changes})


def _finished(asked: Spec, verdict: Verdict | None, ticks: int) -> Experiment:
    return Experiment(
        id="exp-a1b2c3d4",
        spec=asked,
        state=State.COMPLETED,
        phase=None,
        hosts=("web-1",),
        verdict=verdict,
        created_by="test",
        created_at=START,
        updated_at=START,
        started_at=START,
        finished_at=START + timedelta(seconds=ticks),
    )


@cache
def _revisions() -> dict[str, StoredRevision]:
    """What would be deployed for either arm, as the catalog renders it."""
    asked = spec()
    found = {}
    for role, pipeline in (
        ("production_baseline", asked.baseline.pipeline),
        ("production_candidate", asked.candidate.pipeline),
    ):
        made = render.production(catalog.load(pipeline), None, asked.critical, 60.0)
        found[role] = StoredRevision(
            role=role, pipeline=pipeline, config=made.config, sha256=made.sha256
        )
    return found


def healthy(count: int, seed: int) -> list[Tick]:
    """Both arms every second, with a little noise and one tick that the meter excluded."""
    dice = random.Random(seed)  # noqa: S311  reproducible, not secret
    ticks = []
    for n in range(count):
        many = 1180 + dice.randrange(40)
        few = 170 + dice.randrange(6)
        memory = 2.1e9 + dice.random() * 1e8
        ticks.append(
            tick(
                n,
                baseline=arm(many, levels={"process.memory.usage": memory}),
                candidate=arm(
                    few, levels={"process.memory.usage": memory * (1 + dice.random() * 2e-4)}
                ),
            )
        )
    ticks[count // 2] = replace(ticks[count // 2], excluded="meter_restarted")
    return ticks


def losing(count: int) -> list[Tick]:
    """A candidate that no longer shows nginx after ten ticks."""
    return [tick(n) if n < 10 else missing(n, "nginx[41]") for n in range(count)]


def sampled(count: int, seed: int) -> list[Sample]:
    """Each member every second; the host is busy for a third of a core."""
    dice = random.Random(seed)  # noqa: S311  reproducible, not secret
    shares = {"scraper": 0.061, "baseline": 0.018, "candidate": 0.014, "agent": 0.006}
    used = dict.fromkeys((*shares, "host"), 100.0)
    found = []
    for n in range(count):
        for member in used:
            used[member] += 3.4 if member == "host" else shares[member] * (0.6 + dice.random())
            found.append(
                Sample(
                    experiment_id="exp-a1b2c3d4",
                    member=member,
                    at=START + timedelta(seconds=n),
                    state="running",
                    cpu_s=used[member],
                    rss_bytes=int((61 + 9 * dice.random()) * 2**20),
                    exporter_failed_points=0,
                    enqueue_failed_points=0,
                )
            )
    return found


def names(seed: int) -> list[NameSeen]:
    """Two critical names shown, thirty folded, one of them hostile."""
    dice = random.Random(seed)  # noqa: S311  reproducible, not secret
    shown = [_seen(name, 150, 40.0, critical=True) for name in ("nginx", "postgres")]
    folded = [_seen(f"worker-{n:02d}", 0, dice.random() * 6) for n in range(29)]
    return [*shown, *folded, _seen(HOSTILE, 0, 0.5)]


def _seen(name: str, ticks: int, cpu_s: float, *, critical: bool = False) -> NameSeen:
    return NameSeen(
        name=name,
        baseline_ticks=150,
        candidate_ticks=ticks,
        cpu_s=cpu_s,
        memory_bytes=cpu_s * 3e6 + 4e6,
        critical=critical,
    )
