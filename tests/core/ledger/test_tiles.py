"""Tiles: their paths, their bytes, and that any proof can be made from them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phoenix.ledger import tiles
from phoenix.ledger.errors import TileInvalid
from phoenix.ledger.tiles import Tile
from phoenix.ledger.tree import (
    Frontier,
    Node,
    hash_of,
    inclusion_ranges,
    leaf_hash,
    root_of,
    verify_inclusion,
)

TREE = json.loads((Path(__file__).parents[2] / "vectors/ledger/tree.json").read_text())


def entries(size: int) -> list[bytes]:
    return [str(i).encode() for i in range(size)]


def row(level: int, leaves: list[bytes]) -> list[bytes]:
    """The hashes of a level of tiles."""
    for _ in range(level):
        leaves = [root_of(leaves[i : i + 256]) for i in range(0, len(leaves) - 255, 256)]
    return leaves


def data_of(tile: Tile, leaves: list[bytes]) -> bytes:
    return b"".join(row(tile.level, leaves)[tile.n * 256 : tile.n * 256 + tile.width])


def test_tiles_of_the_published_size_are_as_published() -> None:
    every = entries(70_000)
    leaves = [leaf_hash(each) for each in every]
    for path, digest in TREE["decimal_tiles_of_70000"].items():
        tile = tiles.parse(path)
        if tile.entries:
            body = tiles.bundle(every[tile.n * 256 : tile.n * 256 + tile.width])
        else:
            body = data_of(tile, leaves)
        assert hashlib.sha256(body).hexdigest() == digest, path


def test_a_tree_has_the_tiles_that_the_specification_counts() -> None:
    found = [(t.level, t.n, t.width) for t in tiles.tiles_of(70_000)]
    assert len(found) == 273 + 1 + 1 + 1 + 1
    assert found[273:] == [(0, 273, 112), (1, 0, 256), (1, 1, 17), (2, 0, 1)]
    assert [t.path for t in tiles.tiles_of(256)] == ["tile/0/000", "tile/1/000.p/1"]
    assert list(tiles.tiles_of(0)) == []


def test_the_path_of_a_large_index_has_groups_of_three() -> None:
    assert Tile(level=0, n=1_234_067).path == "tile/0/x001/x234/067"
    assert Tile(level=0, n=1000, width=7, entries=True).path == "tile/entries/x001/000.p/7"


@given(
    level=st.integers(0, 63), n=st.integers(0, 2**55), width=st.integers(1, 256), of=st.booleans()
)
def test_a_path_names_one_tile(level: int, n: int, width: int, of: bool) -> None:
    tile = Tile(level=0 if of else level, n=n, width=width, entries=of)
    assert tiles.parse(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/64/000", "tile/00/000", "tile/-1/000", "tile/0/0", "tile/0/0000", "tile/0/x000/001",
        "tile/0/001/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/",
        "tile/0/000/", "tile/0/x001/000.p/999", "tile/0/\u0661\u0661\u0661", "/tile/0/000",
        "tile/entries/1", "", "tile/0/x999/x999/x999/x999/x999/x999/x999",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ],
)  # fmt: skip
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(TileInvalid):
        tiles.parse(path)


@settings(max_examples=80, deadline=None)
@given(size=st.integers(1, 1200), data=st.data())
def test_proofs_can_be_made_from_tiles_alone(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = [leaf_hash(each) for each in entries(size)]
    served = {tile.path: data_of(tile, leaves) for tile in tiles.tiles_of(size)}

    def node(wanted: Node) -> bytes:
        tile, start, end = tiles.holding(wanted, size)
        return tiles.node_in(served[tile.path], start, end)

    proof = [hash_of(part, node) for part in inclusion_ranges(index, size)]
    verify_inclusion(leaves[index], index, size, proof, root_of(leaves))


def test_appending_fills_the_tiles_of_the_row_above() -> None:
    leaves = [leaf_hash(each) for each in entries(1100)]
    frontier = Frontier()
    above = frontier.extend(leaves)
    filled = list(tiles.full_tiles(0, leaves))
    assert [n for n, _ in filled] == [0, 1, 2, 3]
    for n, body in filled:
        assert tiles.tile_root(body) == above[8, n]
        assert tiles.hashes_in(body) == leaves[n * 256 : (n + 1) * 256]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_a_bundle_gives_its_entries_back(found: list[bytes]) -> None:
    assert tiles.unbundle(tiles.bundle(found), len(found)) == found


@pytest.mark.parametrize(
    ("body", "width"),
    [(b"\x00", 1), (b"\x00\x02a", 1), (b"\x00\x01a", 2), (b"\x00\x01a\x00", 1), (b"", 1),
     (b"\x00\x01a\x00\x01b", 1)],
)  # fmt: skip
def test_a_bundle_that_does_not_add_up_is_refused(body: bytes, width: int) -> None:
    with pytest.raises(TileInvalid):
        tiles.unbundle(body, width)


@pytest.mark.parametrize("body", [b"", bytes(31), bytes(257 * 32)])
def test_a_tile_of_broken_hashes_is_refused(body: bytes) -> None:
    with pytest.raises(TileInvalid):
        tiles.hashes_in(body)
