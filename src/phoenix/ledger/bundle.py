"""A bundle: evidence in one file, for somebody who trusts nothing of ours but a public key.

Two forms, in one layout. *Some entries*: their bytes, a receipt for each, and the checkpoint. *The
whole log*: entry bundles and tiles under their usual paths, so that programs made for tile logs
read it too. Both hold the key, the signed bytes apart, a script, and a text that says how to check
everything with programs that everybody has.

Verifying reads files one after another and never writes one: a hostile bundle finds no path to
leave, and no place to expand into.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from phoenix.base.errors import PhoenixError
from phoenix.ledger import checkpoint, keys, note, proof, tiles
from phoenix.ledger.checkpoint import Checkpoint
from phoenix.ledger.errors import BundleRejected, KeyInvalid
from phoenix.ledger.keys import VerifierKey
from phoenix.ledger.note import Note
from phoenix.ledger.tiles import WIDTH, Tile
from phoenix.ledger.tree import Frontier, leaf_hash

File = tuple[str, bytes]

_FILE_BYTES_MAX = 32 * 1024 * 1024  # a bundle of 256 entries of 64 KiB, and then some
_INDEX = re.compile(r"(?:entries/(0|[1-9][0-9]*)\.json|proofs/(0|[1-9][0-9]*)\.tlog-proof)")
_ORDER = ("readme.txt", "verify.py", "policy", "key.pem", "checkpoint")
_REMEDY = "Ask for it again from where you had it; keep this one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a bundle shows: the checkpoint, and which entries are in its log."""

    checkpoint: Checkpoint
    keys: tuple[VerifierKey, ...]
    proofs: int
    entries: int
    whole: bool


def head(signed: bytes, key: VerifierKey) -> list[File]:
    """The files that every bundle begins with."""
    found = note.parse(signed)
    line = next(each for each in found.signatures if each.is_of(key))
    pem = ed25519.Ed25519PublicKey.from_public_bytes(key.public).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    shipped = files("phoenix.ledger").joinpath("bundle_files")
    return [
        ("readme.txt", shipped.joinpath("readme.txt").read_bytes()),
        ("verify.py", shipped.joinpath("verify.txt").read_bytes()),
        ("policy", f"log {key.text}\nquorum none\n".encode()),
        ("key.pem", pem),
        ("checkpoint", signed),
        ("checkpoint.text", found.text.encode()),
        ("checkpoint.sig", line.raw[4:]),
    ]


def with_proof(index: int, entry: bytes, receipt: bytes) -> list[File]:
    """The two files of an entry."""
    return [(f"entries/{index}.json", entry), (f"proofs/{index}.tlog-proof", receipt)]


def paths_of_all(size: int) -> Iterator[str]:
    """What the whole log consists of: its entry bundles, then its tiles."""
    every = list(tiles.tiles_of(size))
    yield from (
        Tile(level=0, n=t.n, width=t.width, entries=True).path for t in every if t.level == 0
    )
    yield from (each.path for each in every)


def write(path: Path, contents: Iterable[File]) -> int:
    """Write a tar file, the same bytes for the same contents; returns how many files it has.

    Raises:
        OSError: it cannot be written.
    """
    count = 0
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in contents:
            member = tarfile.TarInfo(f"bundle/{name}")
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
            count += 1
    return count


def read(path: Path) -> Iterator[File]:
    """The files of a bundle, packed or unpacked, in the order that verifying needs.

    Raises:
        BundleRejected: it is no bundle, or has something in it that none has.
    """
    try:
        if path.is_dir():
            yield from _unpacked(path)
        else:
            yield from _packed(path)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BundleRejected(f"The bundle cannot be read: {error}.", remedy=_REMEDY) from error


def verify(contents: Iterable[File], trusted: Iterable[VerifierKey] = ()) -> Verified:
    """Check everything in a bundle.

    Args:
        contents: its files, those of `head` first.
        trusted: the keys that count; without any, the one in the bundle, which shows only that the
            bundle agrees with itself.

    Raises:
        BundleRejected: something is missing, or does not belong to the rest.
        NoteRejected, CheckpointRejected, ProofRejected, TileInvalid: what it says.
    """
    return _Reading(list(trusted)).all(contents)


class _Reading:
    """One pass over a bundle. Of what was read only hashes are kept."""

    def __init__(self, trusted: list[VerifierKey]) -> None:
        self._trusted = trusted
        self._signed: Note | None = None
        self._said: Checkpoint | None = None
        self._by: list[VerifierKey] = []
        self._entries: dict[int, bytes] = {}
        self._proofs: dict[int, proof.Receipt] = {}
        self._whole = _Whole()
        self._tiles: dict[str, str] = {}

    def all(self, contents: Iterable[File]) -> Verified:
        for name, data in contents:
            self._one(name, data)
        if self._said is None:
            raise BundleRejected("The bundle has no checkpoint.", remedy=_REMEDY)
        self._check_proofs(self._said)
        whole = bool(self._whole.frontier.size or self._tiles)
        if whole:
            self._check_whole(self._said)
        elif not self._proofs:
            raise BundleRejected("The bundle proves nothing.", remedy=_REMEDY)
        return Verified(
            checkpoint=self._said, keys=tuple(self._by), proofs=len(self._proofs),
            entries=self._whole.frontier.size if whole else len(self._entries), whole=whole,
        )  # fmt: skip

    def _one(self, name: str, data: bytes) -> None:
        if name == "policy" and not self._trusted:
            self._trusted = [_key_in(data)]
        elif name == "checkpoint":
            self._signed = note.parse(data)
            self._by = self._signed.verified_by(self._trusted)
            self._said = checkpoint.parse(self._signed.text)
            if self._said.origin not in {each.name for each in self._by}:
                raise BundleRejected("The checkpoint is another log's than the key.")
        elif name == "checkpoint.text":
            if self._signed is None or data != self._signed.text.encode():
                raise BundleRejected("checkpoint.text is not the text of the checkpoint.")
        elif name.startswith(("entries/", "proofs/")):
            self._indexed(name, data)
        elif name.startswith("tile/"):
            self._tile(tiles.parse(name), data)

    def _indexed(self, name: str, data: bytes) -> None:
        found = _INDEX.fullmatch(name)
        if found is None:
            raise BundleRejected(f"{name!r} is in no bundle.", remedy=_REMEDY)
        if found[1] is not None:
            self._entries[int(found[1])] = leaf_hash(data)
        else:
            receipt = proof.parse(data)
            if receipt.index != int(found[2]):
                raise BundleRejected(f"{name} is the proof of another entry.", remedy=_REMEDY)
            self._proofs[receipt.index] = receipt

    def _tile(self, tile: Tile, data: bytes) -> None:
        if not tile.entries:
            self._tiles[tile.path] = hashlib.sha256(data).hexdigest()
            return
        self._whole.take(tile, data)

    def _check_proofs(self, said: Checkpoint) -> None:
        if set(self._proofs) != set(self._entries):
            raise BundleRejected("Not every entry has its proof.", remedy=_REMEDY)
        for index, receipt in self._proofs.items():
            under = receipt.verify_leaf(self._entries[index], said.origin, self._trusted)
            if under.size > said.size:
                raise BundleRejected("A proof is in a newer checkpoint than the bundle's.")

    def _check_whole(self, said: Checkpoint) -> None:
        frontier = self._whole.frontier
        if (frontier.size, frontier.root()) != (said.size, said.root):
            raise BundleRejected(
                f"The {frontier.size} entries are not the {said.size} that were signed.",
                remedy=_REMEDY,
            )
        self._whole.end()
        if self._tiles != self._whole.tiles:
            wrong = sorted(set(self._tiles.items()) ^ set(self._whole.tiles.items()))[0][0]
            raise BundleRejected(f"{wrong} is not what the entries say.", remedy=_REMEDY)


class _Whole:
    """The tree over entry bundles as they come, and the SHA-256 of every tile that it has."""

    def __init__(self) -> None:
        self.frontier = Frontier()
        self.tiles: dict[str, str] = {}
        self._rows: dict[int, list[bytes]] = {}

    def take(self, tile: Tile, data: bytes) -> None:
        if tile.n * WIDTH != self.frontier.size:
            raise BundleRejected(f"{tile.path} is not the next of the log.", remedy=_REMEDY)
        leaves = [leaf_hash(each) for each in tiles.unbundle(data, tile.width)]
        self._keep(Tile(level=0, n=tile.n, width=tile.width), leaves)
        for (height, n), root in sorted(self.frontier.extend(leaves).items()):
            level = height // tiles.HEIGHT
            row = self._rows.setdefault(level, [])
            row.append(root)
            if len(row) == WIDTH:
                self._keep(Tile(level=level, n=n // WIDTH), row)
                row.clear()

    def end(self) -> None:
        """Also the tiles at the right edge, which are not full."""
        for level, row in self._rows.items():
            if row:
                n = self.frontier.size >> tiles.HEIGHT * (level + 1)
                self._keep(Tile(level=level, n=n, width=len(row)), row)

    def _keep(self, tile: Tile, hashes: list[bytes]) -> None:
        self.tiles[tile.path] = hashlib.sha256(b"".join(hashes)).hexdigest()


def _key_in(policy: bytes) -> VerifierKey:
    try:
        line = policy.decode("ascii").split("\n")[0]
        return keys.parse(line.removeprefix("log "))
    except (UnicodeDecodeError, KeyInvalid) as error:
        raise BundleRejected("The policy names no key of a log.", remedy=_REMEDY) from error


def _unpacked(folder: Path) -> Iterator[File]:
    names = sorted(
        (each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()),
        key=_place,
    )
    for name in names:
        found = folder / name
        if found.is_symlink() or found.stat().st_size > _FILE_BYTES_MAX:
            raise BundleRejected(f"{name!r} is in no bundle.", remedy=_REMEDY)
        yield name, found.read_bytes()


def _packed(path: Path) -> Iterator[File]:
    seen: set[str] = set()
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            name = member.name.removeprefix("bundle/")
            if member.isdir():
                continue
            if not member.isreg() or member.size > _FILE_BYTES_MAX or name in seen:
                raise BundleRejected(f"{member.name!r} is in no bundle.", remedy=_REMEDY)
            seen.add(name)
            data = tar.extractfile(member)
            assert data is not None, "a regular file has contents"
            yield name, data.read()


def _place(name: str) -> tuple[int, int, str]:
    """Where a file stands: the head, then what is proved, then the log in its order."""
    if name in _ORDER:
        return 0, _ORDER.index(name), name
    if not name.startswith("tile/"):
        return 1, 0, name
    try:
        found = tiles.parse(name)
    except PhoenixError:
        return 3, 0, name  # refused when it is read
    return (2, found.n, name) if found.entries else (3, found.n, name)
