"""An experiment under a controller over a real database, cycle by cycle, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from phoenix.base.clock import SystemClock
from phoenix.experiments.controller import Controller
from phoenix.experiments.model import Experiment, Phase, State
from phoenix.experiments.request import ExperimentRequest
from phoenix.settings import Settings
from phoenix.storage.database import Transaction
from phoenix.wiring import Services, build, controller


class Ahead(SystemClock):
    """The system's clock, as far ahead as a test wants it."""

    by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by


@dataclass
class Controlled:
    """Services, a controller on them, and their clock."""

    services: Services
    clock: Ahead
    controller: Controller

    async def create(self, request: ExperimentRequest) -> Experiment:
        """A new experiment."""
        created = await self.services.experiments.create(request, "test")
        return await self.services.experiments.get(created.answer["id"])

    async def begin(
        self,
        request: ExperimentRequest,
        deployed: Callable[[Transaction, Experiment], Awaitable[None]] | None = None,
    ) -> Experiment:
        """An experiment at its first tick; `deployed` happens with its deployment."""
        made = await self.create(request)
        for state, phase in ((State.INITIALIZING, Phase.DEPLOYING), (State.RUNNING, Phase.WARMUP)):
            async with self.services.database.transaction() as tx:
                await self.services.experiments.move(
                    tx, made, state, phase, reason="test", actor="controller", now=self.clock.now()
                )
                if deployed is not None and state is State.INITIALIZING:
                    await deployed(tx, made)
            made = await self.services.experiments.get(made.id)
        return made

    async def until_final(self, experiment_id: str, *, cycles: int) -> Experiment:
        """Cycle until nothing follows."""
        for _ in range(cycles):
            await self.controller.run_cycle()
            found = await self.services.experiments.get(experiment_id)
            if found.state.is_final:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"still {found.state}")


def controlled(database_url: str, data_dir: Path) -> Controlled:
    """All of it over one database; nothing is opened yet."""
    clock = Ahead()
    settings = Settings(
        data_dir=data_dir, database_url=database_url,
        ports={"api": 1, "meter": 2, "controller": 3}, log_level="warning",
    )  # fmt: skip
    services = build(settings, clock)
    return Controlled(services, clock, controller(services, settings))
