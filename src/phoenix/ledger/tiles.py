"""Tiles and entry bundles: the tree and its entries as files that never change.

A tile is a row of up to 256 hashes of subtrees of height 8·level (c2sp.org/tlog-tiles); a bundle is
the entries of a tile of level 0. A partial tile is the beginning of the tile that is full later, so
that only full ones have to be kept. The paths are those that every client of tile logs asks for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from phoenix.ledger.errors import TileInvalid
from phoenix.ledger.tree import HASH_BYTES, SIZE_MAX, Frontier, Node, node_hash

HEIGHT = 8
WIDTH = 1 << HEIGHT
ENTRY_BYTES_MAX = 65_535
LEVEL_MAX = 63

_PATH = re.compile(
    r"tile/(?P<level>0|[1-9][0-9]?|entries)/(?P<n>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A tile, or with `entries` the bundle of the entries under a tile of level 0."""

    level: int
    n: int
    width: int = WIDTH
    entries: bool = False

    @property
    def path(self) -> str:
        """Where it is served, relative to the log."""
        row = "entries" if self.entries else str(self.level)
        partial = f".p/{self.width}" if self.width < WIDTH else ""
        return f"tile/{row}/{_path_of(self.n)}{partial}"

    @property
    def end(self) -> int:
        """The size that a tree has at least when this tile exists."""
        return (self.n * WIDTH + self.width) << (HEIGHT * self.level)


def parse(path: str) -> Tile:
    """The tile at a path.

    Raises:
        TileInvalid: no tile has that path; each has exactly one.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise TileInvalid("That is no path of a tile.", remedy=_REMEDY)
    entries = found["level"] == "entries"
    level = 0 if entries else int(found["level"])
    n = int(found["n"].replace("x", "").replace("/", ""))
    width = int(found["width"] or WIDTH)
    if (
        n > SIZE_MAX
        or level > LEVEL_MAX
        or _path_of(n) != found["n"]
        or (found["width"] and width >= WIDTH)
    ):
        raise TileInvalid("That is no path of a tile.", remedy=_REMEDY)
    return Tile(level=level, n=n, width=width, entries=entries)


def tiles_of(size: int) -> Iterator[Tile]:
    """Every hash tile of a tree, the partial ones at its right edge included."""
    level = 0
    while size >> (HEIGHT * level):
        full, partial = divmod(size >> (HEIGHT * level), WIDTH)
        yield from (Tile(level=level, n=n) for n in range(full))
        if partial:
            yield Tile(level=level, n=full, width=partial)
        level += 1


def holding(node: Node, size: int) -> tuple[Tile, int, int]:
    """The tile of a tree of `size` in which a node's hashes lie, and from where to where."""
    level, n = node
    row, height = divmod(level, HEIGHT)
    first = n << height
    tile_n, start = divmod(first, WIDTH)
    width = min(WIDTH, (size >> (HEIGHT * row)) - tile_n * WIDTH)
    assert width >= start + (1 << height), "the tree has that node"
    return Tile(level=row, n=tile_n, width=width), start, start + (1 << height)


def node_in(data: bytes, start: int, end: int) -> bytes:
    """The hash of a complete subtree over the hashes `start` to `end` of a tile's bytes."""
    row = [data[i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in range(start, end)]
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def tile_root(data: bytes) -> bytes:
    """The hash that a full tile has in the row above it."""
    assert len(data) == WIDTH * HASH_BYTES, "only full tiles go up"
    frontier = Frontier()
    frontier.extend(hashes_in(data))
    return frontier.root()


def hashes_in(data: bytes) -> list[bytes]:
    """The hashes of a tile.

    Raises:
        TileInvalid: not 1 to 256 whole hashes.
    """
    if not data or len(data) % HASH_BYTES or len(data) > WIDTH * HASH_BYTES:
        raise TileInvalid("A tile is 1 to 256 hashes of 32 bytes.")
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries one after another, each behind its length in two bytes, big-endian."""
    parts: list[bytes] = []
    for entry in entries:
        assert len(entry) <= ENTRY_BYTES_MAX, "the outbox takes no longer ones"
        parts += (struct.pack(">H", len(entry)), entry)
    return b"".join(parts)


def unbundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        TileInvalid: not exactly `width` entries.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        if len(entries) == width or at + 2 > len(data):
            raise TileInvalid("The bundle is longer than its entries.")
        (length,) = struct.unpack_from(">H", data, at)
        at += 2
        if at + length > len(data):
            raise TileInvalid("The bundle ends inside an entry.")
        entries.append(data[at : at + length])
        at += length
    if len(entries) != width:
        raise TileInvalid(f"The bundle has {len(entries)} entries instead of {width}.")
    return entries


def full_tiles(first: int, hashes: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """`(n, bytes)` of the tiles that `hashes`, which begin a tile at index `first`, fill."""
    assert first % WIDTH == 0, "a row is cut where a tile begins"
    for start in range(0, len(hashes) - WIDTH + 1, WIDTH):
        yield (first + start) // WIDTH, b"".join(hashes[start : start + WIDTH])


_REMEDY = "A path is tile/LEVEL/x001/x234/067, with .p/WIDTH where the tile is not full."


def _path_of(n: int) -> str:
    assert 0 <= n <= SIZE_MAX, "an index of a tile"
    groups: list[str] = []
    rest = n
    while True:
        rest, low = divmod(rest, 1000)
        groups.append(f"{low:03d}")
        if not rest:
            break
    return "/".join([f"x{each}" for each in reversed(groups[1:])] + [groups[0]])
