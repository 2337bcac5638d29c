"""The log as everybody may read it: what is under a published checkpoint, and proofs of it.

Nothing beyond the newest checkpoint is shown, so that whatever was shown can be proved.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from phoenix.ledger import facts, nodes, note, store, tiles
from phoenix.ledger.errors import NotCheckpointed, NotInLog, RangeInvalid, TileInvalid
from phoenix.ledger.facts import Fact
from phoenix.ledger.proof import Receipt
from phoenix.ledger.store import Published
from phoenix.ledger.tiles import WIDTH, Tile
from phoenix.storage.database import Database, Transaction
from phoenix.storage.queries import queries

_Q = queries("phoenix.ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """How far an entry has come: in the outbox, in the log, under a checkpoint, kept outside."""

    id: UUID
    state: Literal["pending", "sequenced", "checkpointed", "anchored"]
    index: int | None
    checkpoint_size: int | None
    checkpointed_at: datetime | None
    anchored_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatus:
    """How far the log is. `oldest_s` is the age of the oldest entry that waits, in seconds."""

    origin: str | None
    entries: int
    checkpointed: int
    anchored: int
    waiting: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A public key of the log, and the size from which on it signed."""

    vkey: str
    since: int
    at: datetime


class Log:
    """Reads the log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def status(self) -> LogStatus:
        """How far it is, and what waits (counted up to 100,000)."""
        async with self._database.transaction() as tx:
            row = await tx.fetch_one(_Q["status"])
            last = await store.last_checkpoint(tx)
            anchored = await store.last_anchor(tx)
        assert row is not None, "the state row is always there"
        return LogStatus(
            origin=row["origin"],
            entries=row["size"],
            checkpointed=last.size if last else 0,
            anchored=anchored,
            waiting=row["waiting"],
            oldest_s=row["oldest_s"],
        )

    async def checkpoint(self) -> Published:
        """The newest.

        Raises:
            NotInLog: nothing was signed yet.
        """
        async with self._database.transaction() as tx:
            return await _newest(tx)

    async def keys(self) -> list[KnownKey]:
        """The log's public keys. Trust those that reached you another way."""
        async with self._database.transaction() as tx:
            rows = await tx.fetch_all(_Q["keys"])
        return [KnownKey(**row) for row in rows]

    async def tile(self, path: str) -> bytes:
        """A tile or entry bundle, by its path below the log.

        Raises:
            NotInLog: that is no path, or the newest checkpoint has no such tile.
        """
        try:
            wanted = tiles.parse(path)
        except TileInvalid as error:
            raise NotInLog(error.message, remedy=error.remedy) from error
        async with self._database.transaction() as tx:
            newest = await store.last_checkpoint(tx)
            if newest is None or wanted.end > newest.size:
                raise NotInLog(f"The newest checkpoint has no {path}.")
            return await _contents(tx, wanted)

    async def entry(self, index: int) -> bytes:
        """The bytes of an entry.

        Raises:
            NotInLog, NotCheckpointed: see `receipt`.
        """
        async with self._database.transaction() as tx:
            await _covering(tx, index, None)
            return (await store.entries(tx, index, index + 1))[0].entry

    async def receipt(self, index: int, size: int | None = None) -> Receipt:
        """The proof of an entry, in the newest checkpoint or in the one of `size`.

        Raises:
            NotInLog: there is no such entry or checkpoint.
            NotCheckpointed: no checkpoint covers the entry yet.
            RangeInvalid: that checkpoint does not cover the entry.
        """
        async with self._database.transaction() as tx:
            under = await _covering(tx, index, size)
            hashes = await nodes.inclusion(tx, index, under.size)
        return Receipt(index=index, hashes=tuple(hashes), note=note.parse(under.note))

    async def consistency(self, old: int, size: int) -> list[bytes]:
        """The proof that the tree of `size` begins with that of `old`; none is needed from 0.

        Raises:
            RangeInvalid: not 0 <= old <= size <= the size of the newest checkpoint.
        """
        async with self._database.transaction() as tx:
            newest = await store.last_checkpoint(tx)
            largest = newest.size if newest else 0
            if not 0 <= old <= size <= largest:
                raise RangeInvalid(f"Sizes are from 0 to {largest}, the smaller one first.")
            return await nodes.consistency(tx, old, size) if old else []

    async def whereabouts(self, receipt: UUID) -> Whereabouts:
        """How far the entry of a receipt has come.

        Raises:
            NotInLog: no entry has that identifier.
        """
        async with self._database.transaction() as tx:
            found = await store.place(tx, receipt)
            if found is None:
                raise NotInLog("No entry has that identifier.")
            index, _ = found
            under = None if index is None else await store.checkpoint_covering(tx, index)
            outside = None if index is None else await store.anchor_covering(tx, index)
        return Whereabouts(
            id=receipt,
            state=_state(index, under, outside),
            anchored_size=outside,
            index=index,
            checkpoint_size=under.size if under else None,
            checkpointed_at=under.at if under else None,
        )

    async def search(self, *, limit: int, **filters: object) -> list[Fact]:
        """The newest lines of the audit log that pass every filter of `facts.search`."""
        async with self._database.transaction() as tx:
            return await facts.search(tx, limit=limit, **filters)

    async def entries(self, first: int, end: int) -> AsyncIterator[tuple[int, bytes]]:
        """Entries under the newest checkpoint, in order, read a bundle at a time."""
        while first < end:
            stop = min(end, first - first % WIDTH + WIDTH)
            async with self._database.transaction() as tx:
                kept = await store.entries(tx, first, stop)
            for each in kept:
                yield each.seq, each.entry
            first = stop


def _state(
    index: int | None, under: Published | None, outside: int | None
) -> Literal["pending", "sequenced", "checkpointed", "anchored"]:
    if index is None:
        return "pending"
    if under is None:
        return "sequenced"
    return "checkpointed" if outside is None else "anchored"


async def _newest(tx: Transaction) -> Published:
    newest = await store.last_checkpoint(tx)
    if newest is None:
        raise NotInLog("Nothing was signed yet.", remedy="Try again once something happened.")
    return newest


async def _contents(tx: Transaction, wanted: Tile) -> bytes:
    if not wanted.entries:
        return await nodes.data_of(tx, wanted)
    first = wanted.n * WIDTH
    kept = await store.entries(tx, first, first + wanted.width)
    return tiles.bundle(each.entry for each in kept)


async def _covering(tx: Transaction, index: int, size: int | None) -> Published:
    """The checkpoint that a proof of the entry is made in."""
    newest = await store.last_checkpoint(tx)
    if newest is None or index >= newest.size:
        if index < (await store.state(tx)).size:
            raise NotCheckpointed(remedy="Checkpoints follow within a second; try again.")
        raise NotInLog(f"The log has no entry {index}.")
    if size is None:
        return newest
    under = await store.checkpoint_of(tx, size)
    if under is None:
        raise NotInLog(f"There is no checkpoint of size {size}.")
    if index >= size:
        raise RangeInvalid(f"The checkpoint of size {size} does not cover entry {index}.")
    return under
