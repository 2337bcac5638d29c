"""Alerts and dashboards of an experiment, checked against what both arms emitted.

Anybody may ask about any experiment that has measured something; that changes nothing. The queries
that are frozen with an experiment are checked once, by the controller, when its evidence is
complete: the meter writes every ten seconds, so what it has written may be waited for.
"""

from __future__ import annotations

import asyncio
from typing import Any

from phoenix.base.clock import Clock
from phoenix.experiments import guarding, store
from phoenix.experiments.drafting import pipeline_of
from phoenix.experiments.errors import ExperimentNotFound
from phoenix.experiments.evidence import Evidence
from phoenix.experiments.guarding import Asked
from phoenix.experiments.model import Experiment
from phoenix.guard import outcome as guard
from phoenix.guard.errors import NothingEmitted
from phoenix.guard.outcome import Outcome
from phoenix.measurement.emitted import Catalogue
from phoenix.measurement.model import Arm
from phoenix.measurement.service import MeasurementService
from phoenix.storage.database import Database

_WRITTEN_WITHIN_S = 25.0
_LOOK_AGAIN_S = 0.5


class QueryChecks:
    """Checks over one database."""

    def __init__(
        self, *, database: Database, clock: Clock, measurement: MeasurementService
    ) -> None:
        self._database = database
        self._clock = clock
        self._measurement = measurement

    async def check(self, experiment_id: str, asked: Asked) -> dict[str, Any]:
        """What becomes of queries when the candidate replaces the baseline, as plain values.

        Raises:
            ExperimentNotFound: there is none of that id.
            NothingEmitted: its arms have not sent anything together yet.
        """
        async with self._database.transaction() as tx:
            experiment = await store.get(tx, experiment_id)
            statistics = await store.last_statistics(tx, experiment_id)
        if experiment is None:
            raise ExperimentNotFound(
                f"There is no experiment '{experiment_id}'.",
                remedy="See: phoenix experiment list",
            )
        evidence = Evidence.from_dict(statistics) if statistics else None
        emitted = await self._measurement.emitted(experiment_id)
        found = await self._judged(experiment, asked, emitted, evidence)
        return {"experiment_id": experiment_id, **found.to_dict()}

    async def frozen(self, experiment: Experiment, evidence: Evidence) -> Outcome:
        """What becomes of the queries that are frozen with the experiment, once the meter has
        written all that the evidence rests on, or 25 s have passed.

        Raises:
            NothingEmitted: as `check`.
        """
        async with self._database.transaction() as tx:
            row = await store.asked(tx, experiment.id)
        assert row is not None, "a specification with a guard has its queries"
        begun = self._clock.monotonic()
        emitted = await self._measurement.emitted(experiment.id)
        while not _covers(emitted, evidence):
            if self._clock.monotonic() - begun > _WRITTEN_WITHIN_S:
                break
            await asyncio.sleep(_LOOK_AGAIN_S)
            emitted = await self._measurement.emitted(experiment.id)
        return await self._judged(experiment, guarding.asked(row[0]), emitted, evidence)

    async def _judged(
        self,
        experiment: Experiment,
        asked: Asked,
        emitted: dict[Arm, Catalogue],
        evidence: Evidence | None,
    ) -> Outcome:
        if not any(catalogue.all() for catalogue in emitted.values()):
            raise NothingEmitted(
                f"The arms of {experiment.id} have not emitted anything together yet.",
                remedy="Ask again ten seconds after its first tick.",
            )
        candidate = experiment.spec.candidate
        # Thousands of queries take seconds, and others want answers meanwhile.
        return await asyncio.to_thread(
            guard.check,
            asked.queries,
            emitted,
            asked.backend,
            conserved=guarding.conserved(experiment.spec, evidence),
            pipeline=None if candidate.imported is not None else pipeline_of(candidate),
        )


def _covers(emitted: dict[Arm, Catalogue], evidence: Evidence) -> bool:
    """Whether the meter has written what it counted up to the last tick of the evidence."""
    last = evidence.last_tick
    written = [each.last_tick for each in emitted.values() if each.last_tick is not None]
    return last is None or (bool(written) and max(written) >= last)
