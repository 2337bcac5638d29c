"""Settings to services: the one place that builds things, once per process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from phoenix.base.clock import Clock, SystemClock
from phoenix.collectors.service import CollectorsService
from phoenix.experiments.checking import QueryChecks
from phoenix.experiments.service import ExperimentsService
from phoenix.ledger.log import Log
from phoenix.measurement.service import MeasurementService
from phoenix.safety.service import SafetyService
from phoenix.settings import Settings
from phoenix.storage.database import Database

if TYPE_CHECKING:
    from phoenix.experiments.controller import Controller


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a door or a loop may call."""

    settings: Settings
    clock: Clock
    database: Database
    log: Log
    safety: SafetyService
    measurement: MeasurementService
    collectors: CollectorsService
    experiments: ExperimentsService
    checks: QueryChecks

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Services]:
        """The services with their connections, closed at the end."""
        await self.database.open()
        try:
            yield self
        finally:
            await self.database.close()


def build(settings: Settings, clock: Clock | None = None) -> Services:
    """Everything over one database; nothing is opened yet."""
    clock = clock or SystemClock()
    database = Database(settings.database_url)
    safety = SafetyService(database, clock, settings.data_dir)
    measurement = MeasurementService(database, clock)
    collectors = CollectorsService(database, clock)
    experiments = ExperimentsService(
        database=database,
        clock=clock,
        safety=safety,
        measurement=measurement,
        collectors=collectors,
        data_dir=settings.data_dir,
    )
    return Services(
        settings=settings,
        clock=clock,
        database=database,
        log=Log(database),
        safety=safety,
        measurement=measurement,
        collectors=collectors,
        experiments=experiments,
        checks=QueryChecks(database=database, clock=clock, measurement=measurement),
    )


def controller(services: Services, settings: Settings) -> Controller:
    """The loop that moves experiments on; imported late, since only one process has it."""
    from phoenix.experiments.controller import Controller  # noqa: PLC0415

    return Controller(
        database=services.database,
        clock=services.clock,
        safety=services.safety,
        measurement=services.measurement,
        collectors=services.collectors,
        experiments=services.experiments,
        checks=services.checks,
        data_dir=settings.data_dir,
        meter_url=settings.meter_url,
    )
