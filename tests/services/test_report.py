"""The report of a long run, read back from a real database, is that of what was measured."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from phoenix.base.clock import SystemClock
from phoenix.collectors import store as collectors_store
from phoenix.collectors.service import CollectorsService
from phoenix.experiments import reporting
from phoenix.experiments.report.document import build
from phoenix.measurement import store as measurement_store
from phoenix.measurement.model import Subscription
from phoenix.measurement.service import MeasurementService
from phoenix.storage.database import Database
from phoenix.testing.evidence import spec
from phoenix.testing.report import healthy, material

TICKS = 1_200  # more than one page of ticks, and of samples


@pytest.fixture
def database(run: asyncio.Runner, fresh_database_url: str) -> Iterator[Database]:
    made = Database(fresh_database_url)
    run.run(made.open())
    yield made
    run.run(made.close())


def test_a_report_of_many_pages_is_complete_and_ends_with_the_tick_that_was_judged(
    run: asyncio.Runner, database: Database, data_dir: Path
) -> None:
    asked = spec(evidence_ticks_max=TICKS)
    kept = healthy(TICKS + asked.warmup_ticks, 7)
    late = replace(kept[-1], tick=kept[-1].tick + 1)
    made = material(asked, ticks=kept)
    measurement = MeasurementService(database, SystemClock())
    collectors = CollectorsService(database, SystemClock())

    async def reported() -> dict[str, object]:
        async with database.transaction() as tx:
            await measurement.subscribe(
                tx,
                Subscription(
                    experiment_id=made.experiment.id,
                    interval_s=asked.interval_s,
                    critical=asked.critical,
                    token_sha256={"baseline": "a" * 64, "candidate": "b" * 64},
                    states={"baseline": "alive", "candidate": "alive"},
                    created_at=made.experiment.created_at,
                ),
            )
            await measurement_store.insert_ticks(tx, [*kept, late])
            await measurement_store.save_names(tx, made.experiment.id, made.names)
            await collectors_store.insert_samples(tx, made.samples)
        return await reporting.document(
            made.experiment, made.revisions, kept[-1].tick, measurement, collectors, data_dir
        )

    report, expected = run.run(reported()), build(made)
    for part in set(expected) - {"provenance", "processes"}:
        assert report[part] == expected[part], part
    processes = report["processes"]
    assert isinstance(processes, dict)
    assert processes["hidden_count"] == expected["processes"]["hidden_count"]
    assert len(expected["series"]["ticks"]) == TICKS - 1
