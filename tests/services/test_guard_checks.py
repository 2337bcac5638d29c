"""Queries checked against what a real database keeps of both arms, by anybody and by the
controller before its verdict."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from phoenix.experiments.errors import ExperimentNotFound
from phoenix.experiments.guarding import Asked
from phoenix.experiments.model import Experiment, State
from phoenix.experiments.request import ArmRequest, ExperimentRequest
from phoenix.guard.backend import Backend
from phoenix.guard.errors import NothingEmitted
from phoenix.measurement import store as meter_store
from phoenix.measurement.emitted import Catalogue
from phoenix.measurement.model import ARMS, Subscription
from phoenix.storage.database import Transaction
from phoenix.testing.arms import ALL, alert
from phoenix.testing.controlled import Controlled, controlled
from phoenix.testing.ledger import guard
from phoenix.wiring import Services

pytestmark = pytest.mark.database

NGINX, ETCD, *_ = ALL
MEM = "process_memory_usage_bytes"
LOST = alert(f'{MEM}{{process_executable_name="etcd"}} > 1')
KEPT = alert(f'{MEM}{{process_executable_name="nginx"}} > 1')
ASKED = Asked(queries=(LOST, KEPT), backend=Backend())


@dataclass
class World:
    """A controller, and experiments about whose queries it is asked."""

    controlled: Controlled

    @property
    def services(self) -> Services:
        return self.controlled.services

    async def begin(self, asked: Asked | None) -> Experiment:
        """An experiment at its first tick, which the meter counts."""
        request = ExperimentRequest(
            baseline=ArmRequest(pipeline="process-baseline-v1"),
            candidate=ArmRequest(pipeline="process-aggregated-v1"),
            critical=["nginx"],
            guard=None if asked is None else asked.to_dict(),
        )
        return await self.controlled.begin(request, self._count)

    async def _count(self, tx: Transaction, made: Experiment) -> None:
        counted = Subscription(
            experiment_id=made.id, interval_s=1.0, critical=(),
            token_sha256=dict.fromkeys(ARMS, "x"), states={},
            created_at=self.controlled.clock.now(),
        )  # fmt: skip
        await self.services.measurement.subscribe(tx, counted)

    async def emit(self, made: Experiment) -> None:
        """What the arms have sent: the candidate lost everything but nginx."""
        async with self.services.database.transaction() as tx:
            packed = {
                "baseline": Catalogue(ALL, last_tick=9).packed(),
                "candidate": Catalogue((NGINX,), last_tick=9).packed(),
            }
            await meter_store.save_emitted(tx, made.id, packed)  # type: ignore[arg-type]

    async def until_final(self, made: Experiment) -> Experiment:
        """Cycle until nothing follows, two hours on."""
        self.controlled.clock.by = timedelta(hours=2)
        return await self.controlled.until_final(made.id, cycles=200)


@pytest.fixture
def world(fresh_database_url: str, tmp_path: Path) -> World:
    return World(controlled(guard(fresh_database_url), tmp_path))


def test_anybody_may_ask_about_an_experiment_that_has_measured(
    world: World, run: asyncio.Runner
) -> None:
    async def story() -> None:
        async with world.services.opened():
            made = await world.begin(None)
            with pytest.raises(NothingEmitted):
                await world.services.checks.check(made.id, ASKED)
            await world.emit(made)
            found = await world.services.checks.check(made.id, ASKED)
            assert found["experiment_id"] == made.id
            assert found["counts"] == {"same": 1, "goes silent": 1}
            assert found["suggestion"]["patch"] == {"critical": ["name:etcd"], "parameters": {}}
            assert json.loads(json.dumps(found)) == found
            with pytest.raises(ExperimentNotFound):
                await world.services.checks.check("exp-zzzzzzzz", ASKED)

    run.run(story())


def test_alert_that_goes_silent_decides_and_its_outcome_is_kept(
    world: World, run: asyncio.Runner
) -> None:
    async def story() -> None:
        async with world.services.opened():
            made = await world.begin(ASKED)
            assert [str(rule) for rule in made.spec.critical] == ["name:nginx", "name:etcd"]
            await world.emit(made)
            ended = await world.until_final(made)
            assert ended.state is State.COMPLETED, ended.error_message
            assert ended.verdict is not None
            assert ended.verdict.outcome == "needs_tuning"
            queries = ended.verdict.guardrails[-1]
            assert (queries.name, queries.passed) == ("queries", False)
            assert "Of 2 queries 1 go silent" in ended.verdict.sentence
            async with world.services.database.transaction() as tx:
                rows = await tx.fetch_all("SELECT outcome FROM experiment_queries")
            assert rows[0]["outcome"]["blocks"] == 1

    run.run(story())


def test_queries_without_anything_emitted_are_not_called_safe(
    world: World, run: asyncio.Runner
) -> None:
    async def story() -> None:
        async with world.services.opened():
            made = await world.begin(replace(ASKED, queries=(KEPT,)))
            ended = await world.until_final(made)
            assert ended.verdict is not None
            assert ended.verdict.outcome == "inconclusive"
            assert "Alerts and dashboards could not be checked" in ended.verdict.sentence

    run.run(story())


def test_experiment_without_queries_says_that_nothing_was_checked(
    world: World, run: asyncio.Runner
) -> None:
    async def story() -> None:
        async with world.services.opened():
            ended = await world.until_final(await world.begin(None))
            assert ended.verdict is not None
            assert ended.verdict.sentence.endswith("Alerts and dashboards not checked.")

    run.run(story())
