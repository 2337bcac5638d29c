"""Record what happened, in the transaction in which it happens."""

from __future__ import annotations

from uuid import UUID

from phoenix.ledger import store
from phoenix.ledger.errors import LedgerBehind
from phoenix.ledger.model import Entry
from phoenix.storage.database import Transaction

#: A sequencer that crashed is replaced within seconds; what lasts a minute is not a restart.
BEHIND_S = 60.0
#: A kill is never refused over its evidence: that waits, and is kept.
ALWAYS = frozenset({"safety.kill"})


async def record(tx: Transaction, entry: Entry) -> UUID:
    """Append the entry to the outbox; committed with the change, or not at all.

    Returns the receipt's identifier.

    Raises:
        LedgerBehind: entries wait for their place for more than a minute, so the change must wait.
    """
    kept = await store.insert(
        tx, entry.id, entry.to_bytes(), always=entry.action in ALWAYS, behind_s=BEHIND_S
    )
    if not kept:
        raise LedgerBehind(
            remedy="See that the ledger runs (`phoenix status`) and what its log says; kill works."
        )
    return entry.id
