"""Experiments as plain values: the summary every door shows, and the report document."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from phoenix.base.clock import rfc3339
from phoenix.collectors.service import CollectorsService
from phoenix.experiments.model import Experiment
from phoenix.experiments.store import StoredRevision
from phoenix.measurement.service import MeasurementService


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
    revisions: dict[str, StoredRevision],
    measurement: MeasurementService,
    collectors: CollectorsService,
    data_dir: Path,
) -> dict[str, Any]:
    """The report of a completed experiment."""
    raise AssertionError("wired next")


def _text(at: datetime | None) -> str | None:
    return rfc3339(at) if at else None
