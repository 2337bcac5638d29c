"""The Merkle tree of RFC 6962 and RFC 9162: hashes, proofs, and a root that grows by appending.

A tree of n leaves splits at the largest power of two below n, so its left parts are complete and
never change again. A *node* (level, n) is the root of the complete subtree over the leaves
n·2^level … (n+1)·2^level. Proofs are lists of hashes of ranges of leaves; which ranges, and which
nodes make up a range, is said here without reading anything, so that a caller may fetch the nodes
from tiles, a table or a list, all at once.

Leaf and node hashes carry different first bytes (0x00, 0x01): no node can be shown as an entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from phoenix.ledger.errors import ProofRejected

HASH_BYTES = 32
#: Proofs longer than this belong to no tree that can exist (c2sp.org/tlog-witness).
PROOF_HASHES_MAX = 63
SIZE_MAX = 2**63 - 1
EMPTY_ROOT = hashlib.sha256(b"").digest()

#: A complete subtree: its height above the leaves, and its place in that row.
Node = tuple[int, int]
#: Leaves from `low` up to, not including, `high`.
Range = tuple[int, int]


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256 of 0x00 and the entry (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of 0x01 and both children (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the complete subtrees of a tree, largest first: all that appending needs.

    A compact range in the words of others. Its size in hashes is the number of ones in `size`.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        """An empty tree, or the one that `hashes` describe.

        Raises:
            ProofRejected: as many hashes of 32 bytes as `size` has ones are needed.
        """
        self.size = size
        self._hashes = list(hashes)
        if not 0 <= size <= SIZE_MAX or len(self._hashes) != size.bit_count():
            raise ProofRejected(f"A tree of {size} leaves has other subtrees than those given.")
        _need_hashes(self._hashes)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Frontier:
        """The inverse of `to_bytes`.

        Raises:
            ProofRejected: the bytes are not a whole number of hashes, or not the right number.
        """
        return cls(size, (data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)))

    def to_bytes(self) -> bytes:
        """The hashes one after another."""
        return b"".join(self._hashes)

    def extend(self, leaves: Iterable[bytes], every: int = 8) -> dict[Node, bytes]:
        """Append leaf hashes; returns the nodes that became complete at levels `every`, 2·`every`…

        Costs two hashes a leaf on average, and one per level at most.
        """
        hashes, size = self._hashes, self.size
        complete: dict[Node, bytes] = {}
        sha256 = hashlib.sha256
        for leaf in leaves:
            level, rest = 0, size
            node = leaf
            while rest & 1:
                node = sha256(b"\x01" + hashes.pop() + node).digest()
                level += 1
                rest >>= 1
                if level % every == 0:
                    complete[level, size >> level] = node
            hashes.append(node)
            size += 1
        self.size = size
        return complete

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self._hashes:
            return EMPTY_ROOT
        root = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> Frontier:
        """Another one that grows by itself."""
        return Frontier(self.size, self._hashes)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root()


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose hashes prove that leaf `index` is in a tree of `size`, from the leaf up."""
    assert 0 <= index < size, "the leaf is in the tree"
    found: list[Range] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    return found[::-1]


def consistency_ranges(old: int, size: int) -> list[Range]:
    """The ranges whose hashes prove that the tree of `size` begins with the tree of `old`."""
    assert 0 < old <= size, "an empty tree needs no proof"
    found: list[Range] = []
    low, high = 0, size
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            found.append((middle, high))
            high = middle
        else:
            found.append((low, middle))
            low = middle
    if low:  # the old tree is not itself one of the nodes: its last part opens the proof
        found.append((low, high))
    return found[::-1]


def nodes_of(part: Range) -> list[Node]:
    """The complete subtrees that make up a range of a proof, left to right."""
    low, high = part
    found: list[Node] = []
    while low < high:
        level = (high - low).bit_length() - 1
        assert low % (1 << level) == 0, "ranges of proofs begin where their largest node does"
        found.append((level, low >> level))
        low += 1 << level
    return found


def hash_of(part: Range, node: Callable[[Node], bytes]) -> bytes:
    """The hash of a range, from the hashes of its nodes."""
    hashes = [node(each) for each in nodes_of(part)]
    found = hashes[-1]
    for left in reversed(hashes[:-1]):
        found = node_hash(left, found)
    return found


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that `leaf` is the leaf `index` of the tree (RFC 9162 section 2.1.3.2).

    Raises:
        ProofRejected: it is not shown.
    """
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofRejected(f"A tree of {size} leaves has no leaf {index}.")
    _need_hashes([leaf, root, *proof])
    position, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            raise ProofRejected("The inclusion proof is too long.")
        if position & 1 or position == last:
            found = node_hash(each, found)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            found = node_hash(found, each)
        position >>= 1
        last >>= 1
    if last:
        raise ProofRejected("The inclusion proof is too short.")
    if found != root:
        raise ProofRejected("The inclusion proof leads to another root.")


def verify_consistency(
    old: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes
) -> None:
    """Check that the tree of `size` begins with the tree of `old` (RFC 9162 section 2.1.4.2).

    From an empty tree nothing can be shown, since every tree begins with it: `old` is at least 1.

    Raises:
        ProofRejected: it is not shown.
    """
    if not 0 < old <= size <= SIZE_MAX:
        raise ProofRejected(f"There is no proof from size {old} to size {size}.")
    _need_hashes([old_root, root, *proof])
    if old == size:
        if proof or old_root != root:
            raise ProofRejected("Two roots of the same size differ, or the proof is too long.")
        return
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise ProofRejected("The consistency proof is too short.")
    position, last = old - 1, size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    before = after = path[0]
    for each in path[1:]:
        if last == 0:
            raise ProofRejected("The consistency proof is too long.")
        if position & 1 or position == last:
            before = node_hash(each, before)
            after = node_hash(each, after)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            after = node_hash(after, each)
        position >>= 1
        last >>= 1
    if last:
        raise ProofRejected("The consistency proof is too short.")
    if before != old_root or after != root:
        raise ProofRejected("The consistency proof leads to other roots.")


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _need_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > PROOF_HASHES_MAX + 2:
        raise ProofRejected("There are more hashes than any tree is high.")
    if any(len(each) != HASH_BYTES for each in hashes):
        raise ProofRejected("Every hash has 32 bytes.")
