"""Queries checked against what a real database keeps of both arms, by anybody and by the
controller before its verdict."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from phoenix.base.clock import SystemClock
from phoenix.experiments.controller import Controller
from phoenix.experiments.errors import ExperimentNotFound
from phoenix.experiments.guarding import Asked
from phoenix.experiments.model import Experiment, Phase, State
from phoenix.experiments.request import ArmRequest, ExperimentRequest
from phoenix.guard.backend import Backend
from phoenix.guard.errors import NothingEmitted
from phoenix.measurement import store as meter_store
from phoenix.measurement.emitted import Catalogue
from phoenix.measurement.model import ARMS, Subscription
from phoenix.settings import Settings
from phoenix.testing.arms import ALL, alert
from phoenix.testing.ledger import guard
from phoenix.wiring import Services, build

pytestmark = pytest.mark.database

NGINX, ETCD, *_ = ALL
MEM = "process_memory_usage_bytes"
LOST = alert(f'{MEM}{{process_executable_name="etcd"}} > 1')
KEPT = alert(f'{MEM}{{process_executable_name="nginx"}} > 1')
ASKED = Asked(queries=(LOST, KEPT), backend=Backend())


class Ahead(SystemClock):
    """The system's clock, as far ahead as a test wants it."""

    by = timedelta()

    def now(self) -> Any:
        return super().now() + self.by


@dataclass
class World:
    """Services and a controller over one database."""

    services: Services
    controller: Controller
    clock: Ahead

    async def begin(self, asked: Asked | None) -> Experiment:
        """An experiment at its first tick."""
        request = ExperimentRequest(
            baseline=ArmRequest(pipeline="process-baseline-v1"),
            candidate=ArmRequest(pipeline="process-aggregated-v1"),
            critical=["nginx"],
            guard=None if asked is None else asked.to_dict(),
        )
        created = await self.services.experiments.create(request, "test")
        made = await self.services.experiments.get(created.answer["id"])
        for state, phase in ((State.INITIALIZING, Phase.DEPLOYING), (State.RUNNING, Phase.WARMUP)):
            async with self.services.database.transaction() as tx:
                await self.services.experiments.move(
                    tx, made, state, phase, reason="test", actor="controller", now=self.clock.now()
                )
                if state is State.INITIALIZING:
                    await self.services.measurement.subscribe(tx, self._counted(made))
            made = await self.services.experiments.get(made.id)
        return made

    def _counted(self, made: Experiment) -> Subscription:
        return Subscription(
            experiment_id=made.id, interval_s=1.0, critical=(),
            token_sha256=dict.fromkeys(ARMS, "x"), states={}, created_at=self.clock.now(),
        )  # fmt: skip

    async def emit(self, made: Experiment) -> None:
        """What the arms have sent: the candidate lost everything but nginx."""
        async with self.services.database.transaction() as tx:
            packed = {
                "baseline": Catalogue(ALL, last_tick=9).packed(),
                "candidate": Catalogue((NGINX,), last_tick=9).packed(),
            }
            await meter_store.save_emitted(tx, made.id, packed)  # type: ignore[arg-type]

    async def until_final(self, made: Experiment) -> Experiment:
        """Cycle until nothing follows."""
        self.clock.by = timedelta(hours=2)
        for _ in range(200):
            await self.controller.run_cycle()
            found = await self.services.experiments.get(made.id)
            if found.state.is_final:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"still {found.state}")


@pytest.fixture
def world(fresh_database_url: str, tmp_path: Path) -> World:
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
    return World(services, controller, clock)


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
