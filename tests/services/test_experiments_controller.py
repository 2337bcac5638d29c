"""The controller's cycle over a real database that insists on ledger entries."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from phoenix.experiments.model import RULES_VERSION, Experiment, State
from phoenix.experiments.request import ArmRequest, ExperimentRequest
from phoenix.testing.controlled import Ahead, Controlled, controlled
from phoenix.testing.ledger import guard
from phoenix.wiring import Services

REQUEST = ExperimentRequest(
    baseline=ArmRequest(pipeline="process-baseline-v1"),
    candidate=ArmRequest(pipeline="process-slim-v1"),
)


@dataclass
class Loop:
    """A controller whose experiments are all of one kind."""

    controlled: Controlled

    @property
    def services(self) -> Services:
        return self.controlled.services

    @property
    def clock(self) -> Ahead:
        return self.controlled.clock

    async def create(self) -> Experiment:
        return await self.controlled.create(REQUEST)

    async def begin(self) -> Experiment:
        return await self.controlled.begin(REQUEST)

    async def until_final(self, experiment_id: str) -> Experiment:
        return await self.controlled.until_final(experiment_id, cycles=60)

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        async with self.services.database.transaction() as tx:
            return await tx.fetch_all(sql)


@pytest.fixture
def loop(fresh_database_url: str, tmp_path: Path) -> Loop:
    return Loop(controlled(guard(fresh_database_url), tmp_path))


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
                assert "a kill is in force" in await loop.controlled.controller.run_cycle()
            assert (await loop.services.experiments.get(made.id)).state is State.PENDING

    run.run(story())
