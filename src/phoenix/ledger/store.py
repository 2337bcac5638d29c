"""Entries to rows: the outbox takes bytes and gives them back as they were, the log keeps them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from phoenix.ledger.tree import HASH_BYTES, Frontier
from phoenix.storage.database import Transaction
from phoenix.storage.queries import queries

_Q = queries("phoenix.ledger")
# Any number that nobody else locks: "ledger" as bytes.
_LOCK = 0x6C6564676572


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """An entry with its place."""

    seq: int
    id: UUID
    entry: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far the log is."""

    origin: str | None
    size: int
    root: bytes
    frontier: bytes
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A signed checkpoint."""

    size: int
    root: bytes
    note: bytes
    at: datetime


async def insert(
    tx: Transaction, entry_id: UUID, entry: bytes, *, always: bool, behind_s: float
) -> bool:
    """Append one entry; False when others have waited longer than `behind_s`, unless `always`."""
    values = {"id": entry_id, "entry": entry, "always": always, "behind_s": behind_s}
    return await tx.execute(_Q["insert_entry"], values) == 1


async def outbox(tx: Transaction) -> list[tuple[UUID, bytes]]:
    """What waits to be sequenced, in order of identifiers."""
    return [(row["id"], bytes(row["entry"])) for row in await tx.fetch_all(_Q["outbox"])]


async def anything_waits(tx: Transaction) -> bool:
    """Whether the outbox has rows."""
    row = await tx.fetch_one(_Q["anything_waits"])
    return bool(row and row["waits"])


async def only_one(tx: Transaction) -> bool:
    """Whether nobody else sequences now; it holds until the end of the transaction."""
    row = await tx.fetch_one(_Q["only_one"], {"key": _LOCK})
    return bool(row and row["alone"])


async def state(tx: Transaction) -> State:
    """The one row."""
    row = await tx.fetch_one(_Q["state"])
    assert row is not None, "the migration made it, and nothing can delete it"
    return State(
        origin=row["origin"],
        size=row["size"],
        root=bytes(row["root"]),
        frontier=bytes(row["frontier"]),
        epoch=row["epoch"],
    )


async def begin_epoch(tx: Transaction, epoch: int) -> bool:
    """Shut out every sequencer of an earlier epoch; False when we are one."""
    return await tx.execute(_Q["begin_epoch"], {"epoch": epoch}) == 1


async def name_log(tx: Transaction, origin: str) -> bool:
    """Give the log its name, once; False when it has another."""
    return await tx.execute(_Q["name_log"], {"origin": origin}) == 1


async def keep_key(tx: Transaction, vkey: str, since: int) -> None:
    """Keep a public key of the log, once."""
    await tx.execute(_Q["insert_key"], {"vkey": vkey, "since": since})


async def move(tx: Transaction, size: int, limit: int) -> list[bytes]:
    """Take the next entries out of the outbox into the log, in order, from index `size`.

    Returns their leaves as PostgreSQL made them.
    """
    moved = await tx.fetch_one(_Q["move_entries"], {"size": size, "limit": limit})
    return _cut(bytes(moved["leaves"])) if moved else []


async def insert_tiles(
    tx: Transaction, level: int, tiles: Sequence[tuple[int, bytes, bytes]]
) -> None:
    """Keep full tiles of one row: index, hashes, and root."""
    await tx.execute_many(
        _Q["insert_tile"],
        [{"level": level, "n": n, "data": data, "root": root} for n, data, root in tiles],
    )


async def advance(tx: Transaction, *, epoch: int, old: int, frontier: Frontier) -> bool:
    """The log has grown from `old`; False when another sequencer moved it, or has taken over."""
    touched = await tx.execute(
        _Q["advance"],
        {
            "epoch": epoch,
            "old": old,
            "size": frontier.size,
            "root": frontier.root(),
            "frontier": frontier.to_bytes(),
        },
    )
    return touched == 1


async def entries(tx: Transaction, first: int, end: int) -> list[Logged]:
    """Entries `first` up to, not including, `end`."""
    rows = await tx.fetch_all(_Q["entries"], {"first": first, "end": end})
    return [_logged(row) for row in rows]


async def span(tx: Transaction, first: int, end: int) -> tuple[list[bytes], list[bytes]] | None:
    """The bytes of entries `first` up to `end` and their leaves; None unless all are there."""
    found = await tx.fetch_one(_Q["span"], {"first": first, "end": end})
    if not found or (found["first"], found["end"]) != (first, end):
        return None
    lengths, whole, leaves = (bytes(found[name]) for name in ("lengths", "entries", "leaves"))
    if len(lengths) != 4 * (end - first):
        return None
    kept, at = [], 0
    for (length,) in struct.iter_unpack(">I", lengths):
        kept.append(whole[at : at + length])
        at += length
    return kept, _cut(leaves)


async def row(tx: Transaction, level: int, first: int, end: int) -> list[bytes]:
    """Hashes of a row of tiles: leaves, or at higher levels roots of the full tiles below."""
    span = {"first": first, "end": end, "level": level - 1}
    rows = await tx.fetch_all(_Q["leaves" if level == 0 else "tile_roots"], span)
    return [bytes(each["hash"]) for each in rows]


async def tile(tx: Transaction, level: int, n: int) -> bytes | None:
    """The hashes of a full tile."""
    found = await tx.fetch_one(_Q["tile"], {"level": level, "n": n})
    return bytes(found["data"]) if found else None


async def full_tiles(
    tx: Transaction, level: int, first: int, end: int
) -> list[tuple[int, bytes, bytes]]:
    """Kept tiles of one row: index, hashes and root."""
    span = {"level": level, "first": first, "end": end}
    rows = await tx.fetch_all(_Q["tiles_since"], span)
    return [(each["n"], bytes(each["data"]), bytes(each["root"])) for each in rows]


async def publish(tx: Transaction, size: int, root: bytes, note: bytes) -> None:
    """Keep a signed checkpoint, which publishes it."""
    await tx.execute(_Q["insert_checkpoint"], {"size": size, "root": root, "note": note})


async def last_checkpoint(tx: Transaction) -> Published | None:
    """The newest."""
    return _published(await tx.fetch_one(_Q["last_checkpoint"]))


async def checkpoint_covering(tx: Transaction, seq: int) -> Published | None:
    """The oldest that covers an entry."""
    return _published(await tx.fetch_one(_Q["checkpoint_covering"], {"seq": seq}))


async def checkpoint_of(tx: Transaction, size: int) -> Published | None:
    """The one of exactly that size."""
    return _published(await tx.fetch_one(_Q["checkpoint_of"], {"size": size}))


async def checkpoints(tx: Transaction, after: int, limit: int) -> list[Published]:
    """The next ones, in order of size."""
    rows = await tx.fetch_all(_Q["checkpoints"], {"after": after, "limit": limit})
    return [found for each in rows if (found := _published(each)) is not None]


async def keep_anchor(tx: Transaction, size: int, kind: str) -> None:
    """Remember that a checkpoint is kept outside."""
    await tx.execute(_Q["insert_anchor"], {"size": size, "kind": kind})


async def last_anchor(tx: Transaction) -> int:
    """The size of the newest checkpoint that is kept outside; 0 when none is."""
    found = await tx.fetch_one(_Q["last_anchor"])
    return int(found["size"]) if found else 0


async def anchor_covering(tx: Transaction, seq: int) -> int | None:
    """The size of the oldest checkpoint outside that covers an entry."""
    found = await tx.fetch_one(_Q["anchor_covering"], {"seq": seq})
    return int(found["size"]) if found else None


async def place(tx: Transaction, entry_id: UUID) -> tuple[int | None, bytes] | None:
    """Where an entry is, and its bytes: its index, or None while it waits in the outbox."""
    waiting = await tx.fetch_one(_Q["waits_in_outbox"], {"id": entry_id})
    # The log second: an entry that moved in between is then seen there.
    found = await tx.fetch_one(_Q["where_is"], {"id": entry_id})
    if found:
        return found["seq"], bytes(found["entry"])
    return (None, bytes(waiting["entry"])) if waiting else None


def _cut(hashes: bytes) -> list[bytes]:
    """Hashes that came one after another."""
    return [hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)]


def _logged(row: Mapping[str, Any]) -> Logged:
    return Logged(seq=row["seq"], id=row["id"], entry=bytes(row["entry"]), leaf=bytes(row["leaf"]))


def _published(row: Mapping[str, Any] | None) -> Published | None:
    if row is None:
        return None
    return Published(
        size=row["size"], root=bytes(row["root"]), note=bytes(row["note"]), at=row["at"]
    )
