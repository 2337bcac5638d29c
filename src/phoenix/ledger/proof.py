"""A receipt in one file: that an entry is in a log, for anybody who has the entry and the log's key
(c2sp.org/tlog-proof). Our name for it is *receipt*; its files end in `.tlog-proof`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from phoenix.ledger import checkpoint, note
from phoenix.ledger.checkpoint import Checkpoint, decoded, encoded
from phoenix.ledger.errors import ProofRejected
from phoenix.ledger.keys import VerifierKey
from phoenix.ledger.note import Note
from phoenix.ledger.tree import (
    HASH_BYTES,
    PROOF_HASHES_MAX,
    SIZE_MAX,
    leaf_hash,
    verify_inclusion,
)

HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The place of an entry in a log, and the signed checkpoint that covers it."""

    index: int
    hashes: tuple[bytes, ...]
    note: Note
    extra: bytes | None = None

    def to_bytes(self) -> bytes:
        """The file."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {encoded(self.extra)}")
        lines += [f"index {self.index}", *(encoded(each) for each in self.hashes), "", ""]
        return "\n".join(lines).encode() + self.note.to_bytes()

    def verify(self, entry: bytes, origin: str, keys: Iterable[VerifierKey]) -> Checkpoint:
        """Check everything; returns the checkpoint that covers the entry.

        Raises:
            NoteRejected: no key of `keys` signed the checkpoint.
            CheckpointRejected: what was signed is no checkpoint.
            ProofRejected: it is another log's, or the entry is not in it.
        """
        return self.verify_leaf(leaf_hash(entry), origin, keys)

    def verify_leaf(self, leaf: bytes, origin: str, keys: Iterable[VerifierKey]) -> Checkpoint:
        """The same, for an entry of which only the leaf hash is known."""
        self.note.verified_by(keys)
        found = checkpoint.parse(self.note.text)
        if found.origin != origin:
            raise ProofRejected(f"The checkpoint is of the log {found.origin!r}.")
        verify_inclusion(leaf, self.index, found.size, self.hashes, found.root)
        return found


def parse(data: bytes) -> Receipt:
    """A receipt from its file; `Receipt.to_bytes` gives the same bytes back.

    Raises:
        ProofRejected: it is malformed.
        NoteRejected: the checkpoint in it is.
    """
    head, blank, signed = data.partition(b"\n\n")
    try:
        header, *lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise ProofRejected("A proof is plain text.") from error
    if header != HEADER or not blank:
        raise ProofRejected(f"A proof begins with {HEADER} and holds a checkpoint.")
    extra: bytes | None = None
    try:
        if lines and lines[0].startswith("extra "):
            extra = decoded(lines.pop(0).removeprefix("extra "))
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        hashes = tuple(decoded(line) for line in lines)
    except ValueError as error:
        raise ProofRejected("A line of the proof is not base64.") from error
    if index is None or int(index[1]) > SIZE_MAX:
        raise ProofRejected("A proof says the index of its entry.")
    if len(hashes) > PROOF_HASHES_MAX or any(len(each) != HASH_BYTES for each in hashes):
        raise ProofRejected("A proof has at most 63 hashes of 32 bytes.")
    return Receipt(index=int(index[1]), hashes=hashes, note=note.parse(signed), extra=extra)
