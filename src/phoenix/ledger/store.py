"""Entries to rows: the outbox takes bytes and gives them back as they were."""

from __future__ import annotations

from uuid import UUID

from phoenix.storage.database import Transaction
from phoenix.storage.queries import queries

_Q = queries("phoenix.ledger")


async def insert(tx: Transaction, entry_id: UUID, entry: bytes) -> None:
    """Append one entry."""
    await tx.execute(_Q["insert_entry"], {"id": entry_id, "entry": entry})


async def outbox(tx: Transaction) -> list[tuple[UUID, bytes]]:
    """What waits to be sequenced, in order of identifiers."""
    return [(row["id"], bytes(row["entry"])) for row in await tx.fetch_all(_Q["outbox"])]
