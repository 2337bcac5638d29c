"""Record what happened, in the transaction in which it happens."""

from __future__ import annotations

from uuid import UUID

from phoenix.ledger import store
from phoenix.ledger.model import Entry
from phoenix.storage.database import Transaction


async def record(tx: Transaction, entry: Entry) -> UUID:
    """Append the entry to the outbox; committed with the change, or not at all.

    Returns the receipt's identifier.
    """
    await store.insert(tx, entry.id, entry.to_bytes())
    return entry.id
