"""The words of entries as columns, so that people can search them.

A copy for convenience: nothing is proved from it, it may lag behind, and when it is deleted it is
read again from the entries. What an entry does not say, or says in another form, is null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from phoenix.ledger import store
from phoenix.ledger.store import Logged
from phoenix.storage.database import Database, Transaction
from phoenix.storage.queries import queries

_Q = queries("phoenix.ledger")
_BATCH = 2000
_TEXT_MAX = 2000
# Beyond these an instant in another zone can fall out of what Python can name.
_YEARS = (1970, 9000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the audit log."""

    seq: int
    id: UUID
    at: datetime | None
    who: str | None
    what: str | None
    target: str | None
    why: str | None
    result: str | None


async def catch_up(database: Database) -> int:
    """Read the next checkpointed entries that no fact is known of; how many there were."""
    async with database.transaction() as tx:
        row = await tx.fetch_one(_Q["facts_end"])
        newest = await store.last_checkpoint(tx)
        first = int(row["next"]) if row else 0
        read = await store.entries(tx, first, min(first + _BATCH, newest.size if newest else 0))
        await tx.execute_many(_Q["insert_fact"], [words(each) for each in read])
    return len(read)


async def search(tx: Transaction, *, limit: int, **filters: object) -> list[Fact]:
    """The newest facts that pass every filter."""
    names = ("actor", "action", "target", "outcome", "since", "until", "before")
    asked = {name: filters.get(name) for name in names}
    rows = await tx.fetch_all(_Q["search"], {**asked, "limit": limit})
    return [Fact(**row) for row in rows]


def words(logged: Logged) -> dict[str, object]:
    """What an entry says, as far as it says it."""
    said = _fields(logged.entry)
    actor = said.get("actor")
    return {
        "seq": logged.seq,
        "at": _instant(said.get("at")),
        "actor": _text(actor.get("id") if isinstance(actor, dict) else None),
        **{
            each: _text(said.get(each))
            for each in ("kind", "action", "target", "outcome", "reason")
        },
    }


def _fields(entry: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(entry)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    """Text that a column can hold: no NUL, no half of a surrogate pair, and not endless."""
    if not isinstance(value, str):
        return None
    held = value.encode("utf-8", "replace").decode("utf-8")
    return held.replace("\0", "\ufffd")[:_TEXT_MAX]


def _instant(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if found is None or found.tzinfo is None or not _YEARS[0] <= found.year <= _YEARS[1]:
        return None
    return found
