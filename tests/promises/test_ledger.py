"""Every change that a service makes is in the ledger, in the same transaction.

Nothing about a method is assumed: PostgreSQL itself refuses, at COMMIT, a decision without its
entry; methods and tables are found in the code and the schema, so a new one fails until it is
placed.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import pkgutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import phoenix
from phoenix.base.errors import PhoenixError
from phoenix.collectors.service import CollectorsService
from phoenix.experiments import deployment
from phoenix.experiments.model import Experiment, Phase, State
from phoenix.experiments.request import ArmRequest, ExperimentRequest
from phoenix.experiments.service import ExperimentsService
from phoenix.measurement.service import MeasurementService
from phoenix.safety.service import SafetyService
from phoenix.settings import Settings
from phoenix.testing.ledger import OBSERVED, guard, run_sql
from phoenix.wiring import Services, build

REQUEST = ExperimentRequest(
    baseline=ArmRequest(pipeline="process-baseline-v1"),
    candidate=ArmRequest(pipeline="process-slim-v1"),
)


@dataclass
class World:
    """Services over a database that insists on entries."""

    services: Services
    url: str
    data_dir: Path

    async def entries(self) -> list[dict[str, Any]]:
        """The ledger, oldest first."""
        async with self.services.database.transaction() as tx:
            rows = await tx.fetch_all("SELECT entry FROM ledger_outbox ORDER BY txid, id")
        return [json.loads(bytes(row["entry"])) for row in rows]

    async def create(self) -> Experiment:
        """A pending experiment."""
        created = await self.services.experiments.create(REQUEST, "test")
        return await self.services.experiments.get(created.answer["id"])

    async def move(self, experiment: Experiment, state: State, phase: Phase | None) -> Experiment:
        """One step."""
        async with self.services.database.transaction() as tx:
            await self.services.experiments.move(
                tx, experiment, state, phase, reason="test", actor="controller",
                now=self.services.clock.now(),
            )  # fmt: skip
        return await self.services.experiments.get(experiment.id)


@pytest.fixture
def world(fresh_database_url: str, tmp_path: Path) -> World:
    """Nothing has happened yet."""
    settings = Settings(
        data_dir=tmp_path,
        database_url=guard(fresh_database_url),
        ports={"api": 1, "meter": 2, "controller": 3},
        log_level="warning",
    )
    return World(build(settings), fresh_database_url, tmp_path)


def within(world: World, story: Callable[[World], Awaitable[Any]]) -> Any:
    """Run a story over open services."""

    async def run() -> Any:
        world.services = build(world.services.settings)  # a pool is opened once
        async with world.services.opened():
            return await story(world)

    return asyncio.run(run())


async def _create(world: World) -> None:
    await world.create()


async def _cancel(world: World) -> None:
    experiment = await world.create()
    await world.services.experiments.cancel(experiment.id, "test", "enough")


async def _deploy(world: World) -> None:
    experiment = await world.create()
    experiment = await world.move(experiment, State.INITIALIZING, Phase.DEPLOYING)
    shadow = deployment.shadow(experiment, "http://127.0.0.1:4318", world.data_dir)
    await world.services.experiments.deploy(experiment, shadow)


async def _fail(world: World) -> None:
    await _deploy(world)
    found = (await world.services.experiments.page(None, 1, 0))["items"][0]
    experiment = await world.services.experiments.get(found["id"])
    async with world.services.database.transaction() as tx:
        await world.services.experiments.move(
            tx, experiment, State.FAILED, None, reason="broke", actor="controller",
            now=world.services.clock.now(), error_message="broke",
        )  # fmt: skip
        await world.services.experiments.withdraw(tx, experiment.id)


async def _kill(world: World) -> None:
    world.services.safety.kill(actor="sre", reason="drill", scope="all")
    await world.services.safety.reconcile()


async def _revive(world: World) -> None:
    await _kill(world)
    await world.services.safety.revive(actor="sre", reason="over")


#: Method -> a story that ends in it, and the action of its entry.
CHANGES: dict[str, tuple[Callable[[World], Awaitable[None]], str]] = {
    "ExperimentsService.create": (_create, "experiment.create"),
    "ExperimentsService.cancel": (_cancel, "experiment.cancelled"),
    "ExperimentsService.deploy": (_deploy, "experiment.deploy"),
    "ExperimentsService.move": (_fail, "experiment.failed"),
    "ExperimentsService.withdraw": (_fail, "experiment.failed"),
    "SafetyService.reconcile": (_kill, "safety.kill"),
    "SafetyService.revive": (_revive, "safety.revive"),
}

#: Method -> a call of it; each runs in a database that refuses to be changed.
READS: dict[str, Callable[[Services, str], Awaitable[Any]]] = {
    "CollectorsService.status": lambda s, e: s.collectors.status(e),
    "CollectorsService.samples": lambda s, e: s.collectors.samples(e),
    "ExperimentsService.get": lambda s, e: s.experiments.get(e),
    "ExperimentsService.page": lambda s, _: s.experiments.page(None, 10, 0),
    "ExperimentsService.described": lambda s, e: s.experiments.described(e),
    "ExperimentsService.metrics": lambda s, e: s.experiments.metrics(e, -1, 10),
    "ExperimentsService.report": lambda s, e: s.experiments.report(e),
    "MeasurementService.ticks": lambda s, e: s.measurement.ticks(e),
    "MeasurementService.latest": lambda s, e: s.measurement.latest(e),
    "MeasurementService.names": lambda s, e: s.measurement.names(e),
    "MeasurementService.emitted": lambda s, e: s.measurement.emitted(e),
    "SafetyService.state": lambda s, _: s.safety.state(),
}


def methods() -> Iterator[tuple[str, Any]]:
    """Every public coroutine of a service."""
    for found in pkgutil.walk_packages(phoenix.__path__, "phoenix."):
        if not found.name.endswith(".service"):
            continue
        for name, each in vars(importlib.import_module(found.name)).items():
            if inspect.isclass(each) and each.__module__ == found.name and "Service" in name:
                for method, function in vars(each).items():
                    if method[0] != "_" and inspect.iscoroutinefunction(function):
                        yield f"{name}.{method}", function


def test_every_table_is_known_as_decisions_or_observations(world: World) -> None:
    tables = run_sql(world.url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert set(tables.split()) == set(OBSERVED), "place it in phoenix.testing.ledger"


def test_every_method_of_a_service_is_placed() -> None:
    found = dict(methods())
    # Whoever takes a transaction joins its caller's, which is where the entry has to be.
    alone = {name for name, each in found.items() if "tx" not in inspect.signature(each).parameters}
    assert alone - set(CHANGES) - set(READS) == set(), "does it change or read? place it above"
    assert (set(CHANGES) | set(READS)) - set(found) == set(), "gone: remove it above"
    assert {each.__name__ for each in
            (CollectorsService, ExperimentsService, MeasurementService, SafetyService)} <= {
        name.partition(".")[0] for name in found
    }  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_committed_with_its_entry(world: World, name: str) -> None:
    story, action = CHANGES[name]

    async def told(world: World) -> list[dict[str, Any]]:
        await story(world)
        return await world.entries()

    entries = within(world, told)
    assert [each["action"] for each in entries][-1] == action
    for each in entries:
        assert each["outcome"] == "done"
        assert each["actor"]["id"] in ("test", "sre", "controller")


@pytest.mark.parametrize("name", READS)
def test_a_read_changes_nothing(world: World, name: str) -> None:
    made: Experiment = within(world, lambda w: w.create())
    database = run_sql(world.url, "SELECT current_database()").strip()
    run_sql(world.url, f"ALTER DATABASE {database} SET default_transaction_read_only = on")

    async def read(world: World) -> None:
        try:
            await READS[name](world.services, made.id)
        except PhoenixError as refusal:  # there is no report yet; looking for one is allowed
            assert refusal.code == "conflict"

    within(world, read)


def test_a_step_of_every_kind_has_its_entry(world: World) -> None:
    async def life(world: World) -> list[str]:
        experiment = await world.create()
        for state, phase in (
            (State.INITIALIZING, Phase.DEPLOYING),
            (State.RUNNING, Phase.WARMUP),
            (State.RUNNING, Phase.OBSERVING),
            (State.ANALYZING, Phase.DECIDING),
            (State.COMPLETED, None),
        ):
            experiment = await world.move(experiment, state, phase)
        return [each["new_state"] for each in await world.entries()]

    assert within(world, life) == [
        "pending", "initializing", "running", "running", "analyzing", "completed",
    ]  # fmt: skip


def test_the_database_refuses_a_decision_without_its_entry(world: World) -> None:
    async def smuggled(world: World) -> None:
        experiment = await world.create()
        async with world.services.database.transaction() as tx:
            await tx.execute(
                "UPDATE experiments SET description = 'other' WHERE id = %(id)s",
                {"id": experiment.id},
            )

    with pytest.raises(psycopg.errors.RaiseException, match="without a ledger entry"):
        within(world, smuggled)


def test_an_observation_needs_no_entry(world: World) -> None:
    async def seen(world: World) -> int:
        experiment = await world.create()
        async with world.services.database.transaction() as tx:
            await tx.execute(
                "UPDATE experiments SET live = '{\"ticks\": 1}' WHERE id = %(id)s",
                {"id": experiment.id},
            )
        return len(await world.entries())

    assert within(world, seen) == 1


def test_a_change_that_is_rolled_back_leaves_no_entry(world: World) -> None:
    async def broken(world: World) -> list[dict[str, Any]]:
        experiment = await world.create()
        with pytest.raises(ZeroDivisionError):
            async with world.services.database.transaction() as tx:
                await world.services.experiments.move(
                    tx, experiment, State.INITIALIZING, Phase.VALIDATED, reason="test",
                    actor="controller", now=world.services.clock.now(),
                )  # fmt: skip
                raise ZeroDivisionError
        assert (await world.services.experiments.get(experiment.id)).state is State.PENDING
        return await world.entries()

    assert [each["action"] for each in within(world, broken)] == ["experiment.create"]
