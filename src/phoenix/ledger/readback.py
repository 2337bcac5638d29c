"""What was committed, read again and hashed again, before anybody signs it.

PostgreSQL hashed the entries when they moved. Here they are hashed once more from the bytes that
the database gives back, and everything that was derived from them is derived once more: one bit
that differs, on a disk or in memory, and nothing is signed.
"""

from __future__ import annotations

from collections.abc import Sequence

from phoenix.ledger import nodes, store, tiles
from phoenix.ledger.errors import LogDamaged
from phoenix.ledger.store import State
from phoenix.ledger.tiles import WIDTH
from phoenix.ledger.tree import Frontier, leaf_hash
from phoenix.storage.database import Transaction

BATCH_MAX = 2000
FSCK = "`phoenix ledger fsck` says what differs; keep the database as evidence."


async def read_back(
    tx: Transaction, signed: Frontier, state: State
) -> tuple[Frontier, list[bytes]]:
    """The tree that is stored now, from the bytes of its entries, and its proof from tiles."""
    grown = signed.copy()
    while grown.size < state.size:
        end = min(state.size, grown.size + BATCH_MAX)
        kept = await store.span(tx, grown.size, end)
        if kept is None:
            raise LogDamaged("Entries are missing from the log.", remedy=FSCK)
        grown.extend(_leaves(grown.size, *kept))
    if (grown.root(), grown.to_bytes()) != (state.root, state.frontier):
        raise LogDamaged("The entries have another root than the state row.", remedy=FSCK)
    await _check_tiles(tx, signed.size, grown.size)
    proof = await nodes.consistency(tx, signed.size, grown.size) if signed.size else []
    return grown, proof


async def _check_tiles(tx: Transaction, old: int, size: int) -> None:
    """Tiles that were filled since are what the rows below them say, and so are their roots."""
    level, first, end = 0, old // WIDTH, size // WIDTH
    while first < end:
        kept = await store.full_tiles(tx, level, first, end)
        below = await store.row(tx, level, first * WIDTH, end * WIDTH)
        made = dict(tiles.full_tiles(first * WIDTH, below))
        if {n: data for n, data, _ in kept} != made:
            raise LogDamaged("A tile is not what the row below it says.", remedy=FSCK)
        if any(tiles.tile_root(data) != root for _, data, root in kept):
            raise LogDamaged("The root of a tile is not that of its hashes.", remedy=FSCK)
        level, first, end = level + 1, first // WIDTH, end // WIDTH


def _leaves(first: int, entries: Sequence[bytes], kept: Sequence[bytes]) -> list[bytes]:
    """The leaf hashes of entries, hashed here, which have to be those that are kept."""
    leaves = [leaf_hash(each) for each in entries]
    if leaves != kept:
        wrong = next(i for i, leaf in enumerate(leaves) if leaf != kept[i])
        raise LogDamaged(f"Entry {first + wrong} is not what its leaf says.", remedy=FSCK)
    return leaves
