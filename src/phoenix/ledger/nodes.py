"""Hashes of the tree as the database keeps them: full tiles, and rows where a tile is not full."""

from __future__ import annotations

from collections.abc import Sequence

from phoenix.ledger import store, tiles, tree
from phoenix.ledger.errors import LogDamaged, NotInLog
from phoenix.ledger.tiles import WIDTH, Tile
from phoenix.ledger.tree import Frontier, Node, Range
from phoenix.storage.database import Transaction


async def data_of(tx: Transaction, tile: Tile) -> bytes:
    """The hashes of a tile, one after another.

    Raises:
        NotInLog: the tree is not that large.
    """
    if tile.width == WIDTH:
        data = await store.tile(tx, tile.level, tile.n)
    else:
        first = tile.n * WIDTH
        data = b"".join(await store.row(tx, tile.level, first, first + tile.width))
    if data is None or len(data) != tile.width * tree.HASH_BYTES:
        raise NotInLog(f"The log has no {tile.path}.")
    return data


async def hashes(tx: Transaction, parts: Sequence[Range], size: int) -> list[bytes]:
    """The hashes of ranges of a tree of `size`, read from its tiles.

    Raises:
        LogDamaged: a tile that such a tree has is not there.
    """
    wanted = {node for part in parts for node in tree.nodes_of(part)}
    read: dict[Tile, bytes] = {}
    found: dict[Node, bytes] = {}
    for node in wanted:
        tile, start, end = tiles.holding(node, size)
        if tile not in read:
            try:
                read[tile] = await data_of(tx, tile)
            except NotInLog as error:
                raise LogDamaged(f"{tile.path} is missing.") from error
        found[node] = tiles.node_in(read[tile], start, end)
    return [tree.hash_of(part, found.__getitem__) for part in parts]


async def frontier(tx: Transaction, size: int) -> Frontier:
    """The frontier of the first `size` entries, read from tiles.

    Raises:
        LogDamaged: a tile is missing.
    """
    parts = [(n << level, (n + 1) << level) for level, n in tree.nodes_of((0, size))]
    return Frontier(size, await hashes(tx, parts, size))


async def inclusion(tx: Transaction, index: int, size: int) -> list[bytes]:
    """The proof that entry `index` is in the first `size`."""
    return await hashes(tx, tree.inclusion_ranges(index, size), size)


async def consistency(tx: Transaction, old: int, size: int) -> list[bytes]:
    """The proof that the first `size` entries begin with the first `old`."""
    return await hashes(tx, tree.consistency_ranges(old, size), size)
