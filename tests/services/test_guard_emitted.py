"""What both arms emitted is kept in the database, and a restarted meter goes on with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from phoenix.base.clock import SystemClock
from phoenix.measurement.meter import Meter
from phoenix.measurement.model import ARMS, Subscription
from phoenix.measurement.service import MeasurementService, token_sha256
from phoenix.storage.database import Database
from phoenix.testing.otlp import aged, collector_bytes, processes

pytestmark = pytest.mark.database

ID = "exp-abc12345"


class Later(SystemClock):
    """The system's clock, as far ahead as a test wants it."""

    by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by


@pytest.fixture
def database(run: asyncio.Runner, fresh_database_url: str) -> Iterator[Database]:
    made = Database(fresh_database_url)
    run.run(made.open())
    yield made
    run.run(made.close())


async def scrapes(meter: Meter, clock: Later, count: int, begin: int = 0) -> None:
    """Both arms send scrapes, the candidate half of the processes; their ticks are closed."""
    now_ns = int(clock.now().timestamp() * 1e9)
    host = processes(6, seed=3, started_ns=now_ns - 10**9)
    for number in range(begin, begin + count):
        clock.by += timedelta(seconds=1)
        at_ns = int(clock.now().timestamp() * 1e9)
        for arm in ARMS:
            told = aged(host, float(number))[:: 1 if arm == "baseline" else 2]
            meter.receive(ID, arm, collector_bytes(told, at_ns), encoding="", json=False)
    clock.by += timedelta(seconds=5)
    meter.close_due()


async def subscribed(database: Database, clock: Later) -> MeasurementService:
    service = MeasurementService(database, clock)
    async with database.transaction() as tx:
        await service.subscribe(
            tx,
            Subscription(
                experiment_id=ID,
                interval_s=1.0,
                critical=(),
                token_sha256={arm: token_sha256(arm) for arm in ARMS},
                states=dict.fromkeys(ARMS, "alive"),
                created_at=datetime(2026, 1, 1, tzinfo=UTC),
            ),
        )
    return service


def test_what_arms_emit_is_written_with_its_ticks(run: asyncio.Runner, database: Database) -> None:
    async def story() -> None:
        clock = Later()
        service = await subscribed(database, clock)
        assert await service.emitted(ID) == {}
        meter = Meter(database, clock)
        await meter.refresh()
        await scrapes(meter, clock, 4)
        await meter.write()
        found = await service.emitted(ID)
        assert {arm: len(found[arm].all()) for arm in ARMS} == {"baseline": 6, "candidate": 3}
        assert {one.ticks for one in found["baseline"].all()} == {4}
        ticks = await service.ticks(ID)
        assert found["candidate"].last_tick == ticks[-1].tick

    run.run(story())


def test_restarted_meter_goes_on_counting(run: asyncio.Runner, database: Database) -> None:
    async def story() -> None:
        clock = Later()
        service = await subscribed(database, clock)
        first = Meter(database, clock)
        await first.refresh()
        await scrapes(first, clock, 3)
        await first.write()
        second = Meter(database, clock)
        await second.refresh()
        await scrapes(second, clock, 2)
        await second.write()
        found = await service.emitted(ID)
        # A process that both meters saw is the same: its ticks add up.
        ticks = sorted({one.ticks for one in found["baseline"].all()})
        assert ticks[-1] == 5

    run.run(story())
