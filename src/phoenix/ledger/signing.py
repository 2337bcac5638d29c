"""The signer: a key, a memory, and no way to talk it into two histories.

It knows nothing of entries or databases. It signs a checkpoint only when a proof shows that the
tree of its last one is the beginning of the new one, and it writes the new one into its memory,
flushed to the disk, before anybody gets to see the signature. So there is at most one root a size
under its key, whatever the database says, was restored to, or is talked into.

Key and memory are two files in a folder of their own. Losing the memory is not the same as being
new: a key without its memory signs nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from phoenix.ledger import checkpoint, note
from phoenix.ledger.checkpoint import Checkpoint
from phoenix.ledger.errors import (
    CheckpointRejected,
    ForkRefused,
    KeyInvalid,
    LogRolledBack,
    NoteRejected,
    ProofRejected,
    SignerUnavailable,
)
from phoenix.ledger.keys import SEED_BYTES, LogKey, VerifierKey
from phoenix.ledger.note import Note, Signature
from phoenix.ledger.tree import EMPTY_ROOT, SIZE_MAX, verify_consistency

KEY = "key.json"
MEMORY = "signed.note"
_RESTORE = "Restore the folder `ledger` of the data folder together with the database."


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What the signer signed last: a note over a checkpoint, at first that of an empty log."""

    checkpoint: Checkpoint
    note: bytes
    key: VerifierKey


class Signer:
    """One key with its memory; one process at a time, which a lock on the folder sees to."""

    def __init__(self, folder: Path) -> None:
        """Open the folder, or make it with a new key.

        Raises:
            SignerUnavailable: another signer uses it.
            LogRolledBack: there is a key without its memory, or the memory is not the key's.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._lock = _locked(folder)
        try:
            if not (folder / KEY).exists():
                self._create()
            self._key = self._read_key()
            self._last = self._read_memory()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another signer use the folder."""
        self._lock.close()

    @property
    def last(self) -> Remembered:
        """What it signed last."""
        return self._last

    def sign(self, size: int, root: bytes, proof: list[bytes]) -> bytes:
        """The signed note of the tree of `size`, which must begin with the last one signed.

        The same size and root again gives the same note again: an answer may have been lost.

        Raises:
            LogRolledBack: the tree is smaller than the last one signed.
            ForkRefused: the proof does not show that it begins with the last one signed.
        """
        last = self._last.checkpoint
        if size < last.size:
            raise LogRolledBack(
                f"A checkpoint of {last.size} entries was signed; there are only {size} now.",
                remedy=_RESTORE,
            )
        if (size, root) == (last.size, last.root):
            return self._last.note
        try:
            if last.size:
                verify_consistency(last.size, size, proof, last.root, root)
            elif proof or not 0 < size <= SIZE_MAX or len(root) != len(EMPTY_ROOT):
                raise ProofRejected("From an empty log there is nothing to prove.")
        except ProofRejected as error:
            raise ForkRefused(
                f"The tree of {size} entries does not begin with the one of {last.size} that was"
                f" signed: {error.message}",
                remedy="Keep the database as evidence; `phoenix ledger fsck` says what differs.",
            ) from error
        signed = self._signed(Checkpoint(origin=self._key.name, size=size, root=root))
        self._write(MEMORY, signed)
        self._last = self._remembered(signed)
        return signed

    def _create(self) -> None:
        name = f"phoenix.local/{secrets.token_hex(8)}"
        seed = secrets.token_bytes(SEED_BYTES)
        self._key = LogKey.from_seed(name, seed)
        # The memory first: a crash in between leaves no key, and so makes a new one.
        empty = Checkpoint(origin=name, size=0, root=EMPTY_ROOT)
        self._write(MEMORY, self._signed(empty))
        self._write(KEY, json.dumps({"name": name, "seed": seed.hex()}).encode())

    def _signed(self, made: Checkpoint) -> bytes:
        line = Signature(name=self._key.name, raw=self._key.sign(made.text))
        return Note(text=made.text, signatures=(line,)).to_bytes()

    def _read_key(self) -> LogKey:
        try:
            found = json.loads((self._folder / KEY).read_bytes())
            return LogKey.from_seed(found["name"], bytes.fromhex(found["seed"]))
        except (OSError, ValueError, KeyError, TypeError, KeyInvalid, AssertionError) as error:
            raise SignerUnavailable("The signer's key cannot be read.", remedy=_RESTORE) from error

    def _read_memory(self) -> Remembered:
        try:
            return self._remembered((self._folder / MEMORY).read_bytes())
        except (OSError, NoteRejected, CheckpointRejected) as error:
            raise LogRolledBack(
                "The signer does not know what it signed last, so it signs nothing.",
                remedy=_RESTORE,
            ) from error

    def _remembered(self, data: bytes) -> Remembered:
        found = note.parse(data)
        found.verified_by([self._key.verifier])
        last = checkpoint.parse(found.text)
        if last.origin != self._key.name:
            raise CheckpointRejected("The memory is another log's.")
        return Remembered(checkpoint=last, note=data, key=self._key.verifier)

    def _write(self, name: str, data: bytes) -> None:
        """Replace a file whole, readable by its owner only, flushed with its folder."""
        temporary = self._folder / f"{name}.new"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _locked(folder: Path) -> IO[bytes]:
    handle = (folder / "lock").open("ab")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise SignerUnavailable(
            "Another signer uses the key.", remedy="Let one Phoenix use a data folder."
        ) from error
    return handle
