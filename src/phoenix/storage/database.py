"""Connections and transactions: the one door to PostgreSQL.

A service opens one transaction per method and hands it to stores; only leaving the block commits.
Connection trouble becomes DatabaseUnavailable. A break during COMMIT becomes OutcomeUnknown, since
the server may have committed before the answer was lost: who called looks the change up by its key.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb, JsonbDumper
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from phoenix.storage.errors import (
    AlreadyThere,
    DatabaseUnavailable,
    OutcomeUnknown,
    TransactionConflict,
)

_CONNECT_TIMEOUT_S = 5
_REMEDY = "Check that PostgreSQL runs (`phoenix status`) and that DATABASE_URL names it."
_Params = Mapping[str, object] | None


def jsonb(value: object) -> object:
    """`value` as an argument for a jsonb column; a dict needs no wrapping, a list does."""
    return Jsonb(value, dumps=_dumps)


class Transaction:
    """One open transaction. Stores use it and never commit."""

    def __init__(self, connection: psycopg.AsyncConnection[DictRow]) -> None:
        self._connection = connection

    async def execute(self, sql: str, params: _Params = None) -> int:
        """Run one statement; returns the number of rows it touched."""
        cursor = await self._connection.execute(_trusted(sql), params)
        return cursor.rowcount

    async def fetch_all(self, sql: str, params: _Params = None) -> list[dict[str, Any]]:
        """Run one query; returns its rows."""
        cursor = await self._connection.execute(_trusted(sql), params)
        return await cursor.fetchall()

    async def fetch_one(self, sql: str, params: _Params = None) -> dict[str, Any] | None:
        """Run one query; returns its first row, or None when there is none."""
        cursor = await self._connection.execute(_trusted(sql), params)
        return await cursor.fetchone()

    async def execute_many(self, sql: str, rows: Sequence[Mapping[str, object]]) -> int:
        """Run one statement for every row in one round trip; returns the rows touched."""
        if not rows:
            return 0
        async with self._connection.cursor() as cursor:
            await cursor.executemany(_trusted(sql), rows)
            return cursor.rowcount


class Database:
    """A pool of connections to one database."""

    def __init__(self, dsn: str, *, pool_max: int = 8) -> None:
        """`dsn` is a libpq connection string or URL; it may hold a password and is never shown."""
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]] = AsyncConnectionPool(
            dsn,
            connection_class=psycopg.AsyncConnection[DictRow],
            kwargs={
                "row_factory": dict_row,
                "autocommit": True,  # transactions are opened and closed by us alone
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "options": "-c timezone=UTC",
            },
            configure=_configure,
            # After a restart of the server every kept connection is dead, and the first question
            # on each would fail: one round trip finds out before somebody's work does.
            check=AsyncConnectionPool.check_connection,
            min_size=1,
            max_size=pool_max,
            timeout=_CONNECT_TIMEOUT_S,
            reconnect_timeout=60,
            open=False,
        )

    async def open(self) -> None:
        """Start the pool. It does not wait for the database: the first transaction does."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that commits when the block succeeds and rolls back when it raises.

        Raises:
            DatabaseUnavailable: no connection in time, or it broke before COMMIT; nothing changed.
            OutcomeUnknown: it broke at COMMIT.
            TransactionConflict: serialization failure, deadlock or lock time-out.
            AlreadyThere: a unique constraint refused a row (`constraint` is in the context).
        """
        committing = False
        try:
            async with self._pool.connection() as connection:
                await connection.execute("BEGIN")
                with _translated():
                    try:
                        yield Transaction(connection)
                    except BaseException:
                        await _roll_back(connection)
                        raise
                committing = True
                await connection.execute("COMMIT")
        except (PoolTimeout, PoolClosed, TooManyRequests) as reason:
            raise DatabaseUnavailable(remedy=_REMEDY) from reason
        except (psycopg.OperationalError, psycopg.InterfaceError) as reason:
            if not committing:
                raise DatabaseUnavailable(remedy=_REMEDY) from reason
            if _server_answered(reason):
                raise TransactionConflict from reason
            raise OutcomeUnknown(remedy="Look the change up before trying it again.") from reason
        except psycopg.errors.UniqueViolation as reason:  # a deferred constraint speaks at COMMIT
            raise AlreadyThere(constraint=reason.diag.constraint_name) from reason


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors inside a transaction into ours."""
    try:
        yield
    except psycopg.errors.UniqueViolation as reason:
        raise AlreadyThere(constraint=reason.diag.constraint_name) from reason
    except (
        psycopg.errors.SerializationFailure,
        psycopg.errors.DeadlockDetected,
        psycopg.errors.LockNotAvailable,
    ) as reason:
        raise TransactionConflict from reason


async def _roll_back(connection: psycopg.AsyncConnection[DictRow]) -> None:
    if connection.closed:
        return
    try:
        await connection.execute("ROLLBACK")
    except psycopg.Error:
        await connection.close()  # the pool throws it away; the server rolls back by itself


def _server_answered(reason: psycopg.Error) -> bool:
    """Whether the server itself refused the COMMIT, rather than the connection being lost.

    Class 40 is transaction rollback; 57P01 to 57P03 (server going down) leave the outcome open.
    """
    return (reason.sqlstate or "").startswith("40")


async def _configure(connection: psycopg.AsyncConnection[DictRow]) -> None:
    connection.adapters.register_dumper(dict, _DictDumper)


class _DictDumper(JsonbDumper):
    """A dict given as an argument is jsonb; NaN and infinities, which JSON lacks, are refused."""

    def dump(self, obj: Any) -> bytes:
        return _dumps(obj).encode("utf-8")


def _dumps(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)


def _trusted(sql: str) -> LiteralString:
    """SQL comes from our `queries.sql` files, never from input."""
    return sql
