"""Bundles: verified by us, by the script that ships in them, by sha256sum and by OpenSSL; and every
way of spoiling one is noticed by all who look at what was spoiled."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phoenix.base.errors import PhoenixError
from phoenix.ledger import bundle, tiles
from phoenix.ledger.bundle import Verified
from phoenix.ledger.checkpoint import Checkpoint
from phoenix.ledger.errors import BundleRejected, NoteRejected
from phoenix.ledger.keys import LogKey
from phoenix.ledger.note import Note, Signature
from phoenix.ledger.proof import Receipt
from phoenix.ledger.tree import hash_of, inclusion_ranges, leaf_hash, root_of

LOG = LogKey.from_seed("phoenix.example/ledger", bytes(range(32)))
OTHER = LogKey.from_seed("phoenix.example/ledger", bytes(32))
ENTRIES = [b'{"n":%d}' % i for i in range(600)]
LEAVES = [leaf_hash(each) for each in ENTRIES]


def signed(size: int, by: LogKey = LOG) -> Note:
    text = Checkpoint(origin=by.name, size=size, root=root_of(LEAVES[:size])).text
    return Note(text=text, signatures=(Signature(name=by.name, raw=by.sign(text)),))


def receipt(index: int, size: int) -> bytes:
    def node(wanted: tuple[int, int]) -> bytes:
        return root_of(LEAVES[wanted[1] << wanted[0] : (wanted[1] + 1) << wanted[0]])

    hashes = [hash_of(part, node) for part in inclusion_ranges(index, size)]
    return Receipt(index=index, hashes=tuple(hashes), note=signed(size)).to_bytes()


def some(*indexes: int, size: int = 600) -> dict[str, bytes]:
    found = dict(bundle.head(signed(size).to_bytes(), LOG.verifier))
    for index in indexes:
        found |= bundle.with_proof(index, ENTRIES[index], receipt(index, size))
    return found


def whole(size: int = 600) -> dict[str, bytes]:
    found = dict(bundle.head(signed(size).to_bytes(), LOG.verifier))
    rows = [LEAVES[:size]]
    while len(rows[-1]) >= 256:
        rows.append([tiles.tile_root(data) for _, data in tiles.full_tiles(0, rows[-1])])
    for path in bundle.paths_of_all(size):
        tile = tiles.parse(path)
        span = slice(tile.n * 256, tile.n * 256 + tile.width)
        data = tiles.bundle(ENTRIES[span]) if tile.entries else b"".join(rows[tile.level][span])
        found[path] = data
    return found


def unpack(contents: dict[str, bytes], folder: Path) -> Path:
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def script(folder: Path, *key: str) -> subprocess.CompletedProcess[str]:
    """The script that ships in the bundle, on its own and without our packages."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", *key],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def verdicts(contents: dict[str, bytes], folder: Path) -> tuple[bool, bool]:
    """What we say and what the script says."""
    unpack(contents, folder)
    try:
        bundle.verify(bundle.read(folder), [LOG.verifier])
        ours = True
    except PhoenixError:
        ours = False
    theirs = script(folder, LOG.verifier.text)
    assert (theirs.returncode == 0) == theirs.stdout.startswith("VERIFIED")
    return ours, theirs.returncode == 0


def test_some_entries_are_verified_by_everybody(tmp_path: Path) -> None:
    contents = some(0, 7, 255, 599)
    assert verdicts(contents, tmp_path) == (True, True)
    found = bundle.verify(bundle.read(tmp_path))
    assert found == Verified(
        checkpoint=Checkpoint(origin=LOG.name, size=600, root=root_of(LEAVES)),
        keys=(LOG.verifier,), proofs=4, entries=4, whole=False,
    )  # fmt: skip
    assert script(tmp_path).stdout.startswith("VERIFIED: 4 proofs, 0 entries, log of size 600")


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 600])
def test_a_whole_log_is_verified_by_everybody(size: int, tmp_path: Path) -> None:
    assert verdicts(whole(size), tmp_path) == (True, True)
    found = bundle.verify(bundle.read(tmp_path), [LOG.verifier])
    assert (found.whole, found.entries, found.checkpoint.size) == (True, size, size)


def test_the_script_has_sixty_lines_and_needs_nothing() -> None:
    text = some(0)["verify.py"].decode()
    assert text.count("\n") <= 60
    assert "import base64, functools, hashlib, pathlib, sys" in text
    assert text.count("import ") == 1
    assert max(len(line) for line in text.splitlines()) <= 120


def test_the_leaf_is_made_with_sha256sum(tmp_path: Path) -> None:
    unpack(some(7), tmp_path)
    done = subprocess.run(
        ["sh", "-c", r"(printf '\0'; cat entries/7.json) | sha256sum"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split()[0] == LEAVES[7].hex()


def openssl(folder: Path) -> bool:
    program = shutil.which("openssl")
    assert program, "openssl is part of every system that we support"
    done = subprocess.run(
        [program, "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin",
         "-in", "checkpoint.text", "-sigfile", "checkpoint.sig"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "Signature Verified Successfully" in done.stdout


def test_the_signature_is_verified_with_openssl(tmp_path: Path) -> None:
    unpack(some(7), tmp_path)
    assert openssl(tmp_path)
    (tmp_path / "checkpoint.text").write_bytes(signed(599).text.encode())
    assert not openssl(tmp_path)


def flipped(data: bytes, at: int = 9) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def other_checkpoint(contents: dict[str, bytes]) -> dict[str, bytes]:
    return contents | {"checkpoint": signed(600, OTHER).to_bytes()}


SPOILED = {
    "an entry changed": lambda: some(7) | {"entries/7.json": flipped(ENTRIES[7], 5)},
    "another entry": lambda: some(7) | {"entries/7.json": ENTRIES[8]},
    "a proof of another entry": lambda: some(7) | {"proofs/7.tlog-proof": receipt(8, 600)},
    "a proof of another name": lambda: (
        some(7) | {"entries/8.json": ENTRIES[7], "proofs/8.tlog-proof": receipt(7, 600)}
    ),
    "a checkpoint of another key": lambda: other_checkpoint(some(7)),
    "a size changed": lambda: (
        some(7) | {"checkpoint": signed(600).to_bytes().replace(b"\n600\n", b"\n601\n")}
    ),
    "no proof": lambda: {k: v for k, v in some(7).items() if "proof" not in k},
    "no entry": lambda: {k: v for k, v in some(7).items() if "entries" not in k},
    "no checkpoint": lambda: {k: v for k, v in some(7).items() if k != "checkpoint"},
    "nothing": some,
    "an entry of the whole changed": lambda: (
        whole() | {"tile/entries/001": flipped(whole()["tile/entries/001"], 5)}
    ),
    "an entry of the whole too many": lambda: (
        whole() | {"tile/entries/002.p/88": whole()["tile/entries/002.p/88"] + b"\0\1a"}
    ),
    "an entry of the whole too few": lambda: (
        whole() | {"tile/entries/002.p/88": whole()["tile/entries/002.p/88"][:-11]}
    ),
    "a bundle cut": lambda: (
        whole() | {"tile/entries/002.p/88": whole()["tile/entries/002.p/88"][:-1]}
    ),
    "a bundle missing": lambda: {k: v for k, v in whole().items() if k != "tile/entries/001"},
    "bundles in another order": lambda: (
        whole()
        | {"tile/entries/000": whole()["tile/entries/001"]}
        | {"tile/entries/001": whole()["tile/entries/000"]}
    ),
    "a whole of another key": lambda: other_checkpoint(whole()),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_bundle_is_noticed_by_everybody(how: str, tmp_path: Path) -> None:
    assert verdicts(SPOILED[how](), tmp_path) == (False, False)


ONLY_OURS = {
    "a tile changed": lambda: whole() | {"tile/0/001": flipped(whole()["tile/0/001"])},
    "a tile missing": lambda: {k: v for k, v in whole().items() if k != "tile/1/000.p/2"},
    "a tile too many": lambda: whole() | {"tile/1/000.p/1": whole()["tile/0/000"][:32]},
    "a strange file": lambda: some(7) | {"entries/07.json": ENTRIES[7]},
    "another text": lambda: some(7) | {"checkpoint.text": b"other"},
    "a path of no tile": lambda: whole() | {"tile/0/1": b"x"},
}


@pytest.mark.parametrize("how", ONLY_OURS)
def test_what_the_script_does_not_look_at_is_noticed_by_us(how: str, tmp_path: Path) -> None:
    unpack(ONLY_OURS[how](), tmp_path)
    with pytest.raises(PhoenixError):
        bundle.verify(bundle.read(tmp_path), [LOG.verifier])


def test_a_key_from_elsewhere_beats_the_key_in_the_bundle(tmp_path: Path) -> None:
    forged = some(7) | {
        "checkpoint": signed(600, OTHER).to_bytes(),
        "policy": f"log {OTHER.verifier.text}\nquorum none\n".encode(),
        "proofs/7.tlog-proof": receipt(7, 600).replace(
            signed(600).to_bytes(), signed(600, OTHER).to_bytes()
        ),
    }
    unpack(forged, tmp_path)
    assert bundle.verify(bundle.read(tmp_path)).proofs == 1  # it agrees with itself
    assert script(tmp_path).returncode == 0
    with pytest.raises(NoteRejected):
        bundle.verify(bundle.read(tmp_path), [LOG.verifier])
    assert script(tmp_path, LOG.verifier.text).returncode != 0


def test_a_bundle_is_the_same_file_for_the_same_contents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        bundle.write(tmp_path / name, whole().items())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert bundle.verify(bundle.read(tmp_path / "a"), [LOG.verifier]).entries == 600
    subprocess.run(["tar", "-xf", "a"], cwd=tmp_path, check=True)
    assert script(tmp_path / "bundle", LOG.verifier.text).returncode == 0


def tar_with(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def hostile() -> Iterator[bytes]:
    link = tarfile.TarInfo("bundle/checkpoint")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    yield tar_with((link, b""))
    hard = tarfile.TarInfo("bundle/checkpoint")
    hard.type, hard.linkname = tarfile.LNKTYPE, "/etc/passwd"
    yield tar_with((hard, b""))
    device = tarfile.TarInfo("bundle/checkpoint")
    device.type = tarfile.CHRTYPE
    yield tar_with((device, b""))
    twice = [(tarfile.TarInfo("bundle/checkpoint"), signed(600).to_bytes()) for _ in range(2)]
    yield tar_with(*twice)
    large = tarfile.TarInfo("bundle/checkpoint")
    large.size = 10**12
    yield large.tobuf() + bytes(2048)
    yield b""
    yield b"no archive" * 1000
    yield bytes(10240)


def test_a_hostile_archive_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    for index, data in enumerate(hostile()):
        path = tmp_path / f"{index}.tar"
        path.write_bytes(data)
        with pytest.raises(BundleRejected):
            bundle.verify(bundle.read(path), [LOG.verifier])
    with pytest.raises(BundleRejected):
        bundle.verify(bundle.read(tmp_path / "missing.tar"), [LOG.verifier])
    assert len(list(tmp_path.iterdir())) == 8


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_bundle_with_one_flipped_byte_shows_nothing_else(
    data: st.DataObject, tmp_path: Path
) -> None:
    """What still verifies has the same entries: only names and texts for people may differ."""
    path = tmp_path / "bundle.tar"
    bundle.write(path, some(3, size=5).items())
    raw = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        found = bundle.verify(bundle.read(path), [LOG.verifier])
    except PhoenixError:
        return
    assert (found.proofs, found.checkpoint.root) == (1, root_of(LEAVES[:5]))
