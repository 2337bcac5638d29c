"""The database as every service uses it: whole transactions, leases, an append-only outbox."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from phoenix.base.errors import PhoenixError
from phoenix.ledger import service as ledger
from phoenix.ledger import store as ledger_store
from phoenix.ledger.model import Actor, entry
from phoenix.storage.database import Database
from phoenix.storage.leases import Leases

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(run: asyncio.Runner, fresh_database_url: str) -> Iterator[Database]:
    made = Database(fresh_database_url)
    run.run(made.open())
    yield made
    run.run(made.close())


def an_entry(target: str) -> object:
    return entry(
        kind="test", at=NOON, actor=Actor(type="system", id="t"), action="test.did", target=target,
        outcome="done",
    )  # fmt: skip


def test_an_entry_is_committed_with_its_change_or_not_at_all(
    run: asyncio.Runner, database: Database
) -> None:
    async def fail_half_way() -> None:
        async with database.transaction() as tx:
            await ledger.record(tx, an_entry("a"))  # type: ignore[arg-type]
            raise RuntimeError("crash")

    async def read() -> int:
        async with database.transaction() as tx:
            return len(await ledger_store.outbox(tx))

    with pytest.raises(RuntimeError):
        run.run(fail_half_way())
    assert run.run(read()) == 0


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger_outbox SET entry = 'x'",
        "DELETE FROM ledger_outbox",
        "TRUNCATE ledger_outbox",
    ],
)
def test_the_outbox_refuses_everything_but_appending(
    run: asyncio.Runner, database: Database, sql: str
) -> None:
    async def append() -> None:
        async with database.transaction() as tx:
            await ledger.record(tx, an_entry("a"))  # type: ignore[arg-type]

    async def tamper() -> None:
        async with database.transaction() as tx:
            await tx.execute(sql)

    run.run(append())
    with pytest.raises(Exception, match="append-only"):
        run.run(tamper())


def test_one_holder_at_a_time_and_a_new_epoch_for_each(
    run: asyncio.Runner, database: Database
) -> None:
    leases = Leases(database)
    first = run.run(leases.acquire("loop", "a", 60))
    assert first is not None
    assert run.run(leases.acquire("loop", "b", 60)) is None
    assert run.run(leases.acquire("loop", "a", 60)) == first
    run.run(leases.release("loop", "a"))
    second = run.run(leases.acquire("loop", "b", 60))
    assert second is not None
    assert second.epoch == first.epoch + 1


def test_a_database_that_is_away_is_unavailable(run: asyncio.Runner) -> None:
    async def ask() -> None:
        gone = Database("postgres://nobody@127.0.0.1:1/none")
        async with gone.transaction() as tx:
            await tx.execute("SELECT 1")

    with pytest.raises(PhoenixError) as refused:
        run.run(ask())
    assert refused.value.remedy
