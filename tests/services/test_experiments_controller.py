"""The controller's cycle over a real database that insists on ledger entries."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from phoenix.base.clock import SystemClock
from phoenix.experiments.controller import Controller
from phoenix.experiments.model import RULES_VERSION, Experiment, Phase, State
from phoenix.experiments.request import ArmRequest, ExperimentRequest
from phoenix.settings import Settings
from phoenix.testing.ledger import guard
from phoenix.wiring import Services, build

REQUEST = ExperimentRequest(
    baseline=ArmRequest(pipeline="process-baseline-v1"),
    candidate=ArmRequest(pipeline="process-slim-v1"),
)


class Ahead(SystemClock):
    """The system's clock, as far ahead as a test wants it."""

    by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by


@dataclass
class Loop:
    """Services, a controller on them, and their clock."""

    services: Services
    clock: Ahead
    controller: Controller

    async def create(self) -> Experiment:
        created = await self.services.experiments.create(REQUEST, "test")
        return await self.services.experiments.get(created.answer["id"])

    async def begin(self) -> Experiment:
        """An experiment at its first tick."""
        made = await self.create()
        for state, phase in ((State.INITIALIZING, Phase.DEPLOYING), (State.RUNNING, Phase.WARMUP)):
            async with self.services.database.transaction() as tx:
                await self.services.experiments.move(
                    tx, made, state, phase, reason="test", actor="controller",
                    now=self.clock.now(),
                )  # fmt: skip
            made = await self.services.experiments.get(made.id)
        return made

    async def until_final(self, experiment_id: str) -> Experiment:
        """Cycle until nothing follows."""
        for _ in range(60):
            await self.controller.run_cycle()
            found = await self.services.experiments.get(experiment_id)
            if found.state.is_final:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"still {found.state}")

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        async with self.services.database.transaction() as tx:
            return await tx.fetch_all(sql)


@pytest.fixture
def loop(fresh_database_url: str, tmp_path: Path) -> Loop:
    clock = Ahead()
    settings = Settings(
        data_dir=tmp_path, database_url=guard(fresh_database_url),
        ports={"api": 1, "meter": 2, "controller": 3}, log_level="warning",
    )  # fmt: skip
    services = build(settings, clock)
    controller = Controller(
        database=services.database,
        clock=clock,
        safety=services.safety,
        measurement=services.measurement,
        collectors=services.collectors,
        experiments=services.experiments,
        checks=services.checks,
        data_dir=tmp_path,
        meter_url=settings.meter_url,
    )
    return Loop(services, clock, controller)


def test_what_cannot_be_checked_fails_with_its_reason_and_entries(
    loop: Loop, run: asyncio.Runner
) -> None:
    async def story() -> None:
        async with loop.services.opened():
            ended = await loop.until_final((await loop.create()).id)
            assert ended.state is State.FAILED
            assert "collector is not built" in str(ended.error_message)
            entries = [
                json.loads(bytes(row["entry"]))
                for row in await loop.rows("SELECT entry FROM ledger_outbox ORDER BY txid, id")
            ]
            assert [each["action"] for each in entries] == [
                "experiment.create", "experiment.initializing", "experiment.failed",
            ]  # fmt: skip

    run.run(story())


def test_a_run_that_measured_nothing_ends_inconclusive_and_its_look_says_that_it_was_over(
    loop: Loop, run: asyncio.Runner
) -> None:
    async def story() -> None:
        async with loop.services.opened():
            made = await loop.begin()
            loop.clock.by = timedelta(hours=2)  # no tick came in all that time
            ended = await loop.until_final(made.id)
            assert ended.state is State.COMPLETED
            assert ended.verdict is not None
            assert ended.verdict.outcome == "inconclusive"
            looks = await loop.rows(
                "SELECT number, finished, rules_version, outcome FROM experiment_looks"
            )
            assert looks == [
                {
                    "number": 1,
                    "finished": True,
                    "rules_version": RULES_VERSION,
                    "outcome": "inconclusive",
                }
            ]

    run.run(story())


def test_nothing_begins_while_a_kill_is_in_force(loop: Loop, run: asyncio.Runner) -> None:
    async def story() -> None:
        async with loop.services.opened():
            made = await loop.create()
            loop.services.safety.kill(actor="sre", reason="drill", scope="experiments")
            await loop.services.safety.reconcile()
            for _ in range(3):
                assert "a kill is in force" in await loop.controller.run_cycle()
            assert (await loop.services.experiments.get(made.id)).state is State.PENDING

    run.run(story())
