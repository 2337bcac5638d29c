"""Experiments as plain values: the summary every door shows, and the report document."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from phoenix import __version__
from phoenix.base.clock import rfc3339
from phoenix.collectors import distribution
from phoenix.collectors.model import Sample
from phoenix.collectors.service import CollectorsService
from phoenix.experiments import deployment
from phoenix.experiments.model import Experiment
from phoenix.experiments.report.document import Facts, Material, build
from phoenix.experiments.report.retelling import retold
from phoenix.experiments.store import StoredRevision
from phoenix.measurement import cards
from phoenix.measurement.model import Tick
from phoenix.measurement.service import MeasurementService

_PAGE = 1000


def summary(experiment: Experiment) -> dict[str, Any]:
    """One experiment without its history."""
    spec = experiment.spec
    return {
        "id": experiment.id,
        "name": spec.name,
        "description": spec.description,
        "state": experiment.state.value,
        "phase": experiment.phase.value if experiment.phase else None,
        "baseline_pipeline": spec.baseline.pipeline,
        "candidate_pipeline": spec.candidate.pipeline,
        "target_nodes": list(experiment.hosts),
        "spec_sha256": spec.sha256,
        "verdict": experiment.verdict.to_dict() if experiment.verdict else None,
        "error_message": experiment.error_message,
        "created_by": experiment.created_by,
        "created_at": rfc3339(experiment.created_at),
        "updated_at": _text(experiment.updated_at),
        "started_at": _text(experiment.started_at),
        "completed_at": _text(experiment.finished_at),
        "version": experiment.version,
        "links": {
            name: f"/api/v1/experiments/{experiment.id}{path}"
            for name, path in (
                ("self", ""),
                ("metrics", "/metrics"),
                ("events", "/events"),
                ("report", "/report"),
            )
        },
    }


async def document(
    experiment: Experiment,
    revisions: Mapping[str, StoredRevision],
    judged_tick: int,
    measurement: MeasurementService,
    collectors: CollectorsService,
    data_dir: Path,
) -> dict[str, Any]:
    """The report of a completed experiment, computed again from the stored ticks and samples.

    Only ticks up to `judged_tick` count, the last that the verdict knew.
    """
    ticks = [t for t in await _ticks(measurement, experiment.id) if t.tick <= judged_tick]
    samples = await _samples(collectors, experiment.id)
    names = await measurement.names(experiment.id)

    def built() -> dict[str, Any]:
        return build(
            Material(
                experiment=experiment,
                names=names,
                samples=samples,
                revisions=revisions,
                retold=retold(experiment.spec, ticks, samples),
                cards=cards.load(),
                facts=_facts(data_dir),
                shares_scrape=deployment.shares_scrape(experiment.spec),
            )
        )

    # A day of ticks takes seconds; others who ask this process for something must not wait.
    return await asyncio.to_thread(built)


async def _ticks(measurement: MeasurementService, experiment_id: str) -> list[Tick]:
    found: list[Tick] = []
    while page := await measurement.ticks(
        experiment_id, after=found[-1].tick if found else -1, limit=_PAGE
    ):
        found += page
    return found


async def _samples(collectors: CollectorsService, experiment_id: str) -> list[Sample]:
    found: list[Sample] = []
    while page := await collectors.samples(experiment_id, found[-1].id if found else 0):
        found += page
    return sorted(found, key=lambda s: s.at)


def _facts(data_dir: Path) -> Facts:
    binary = distribution.find(data_dir)
    return Facts(
        phoenix=__version__,
        collector=f"otelcol-phoenix {binary.parent.name}" if binary else "not built here",
        host=platform.node(),
        kernel=f"{platform.system()} {platform.release()}",
        cores=os.cpu_count() or 0,
        root=os.geteuid() == 0,
    )


def _text(at: datetime | None) -> str | None:
    return rfc3339(at) if at else None
