"""The text that a log signs: its name, its size and its root (c2sp.org/tlog-checkpoint)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from phoenix.ledger.errors import CheckpointRejected
from phoenix.ledger.tree import EMPTY_ROOT, HASH_BYTES, SIZE_MAX

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a log said of itself. Two with one origin and size have one root, or the log forked."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The bytes that are signed, as text; it ends with a newline."""
        lines = (self.origin, str(self.size), encoded(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse(text: str) -> Checkpoint:
    """The checkpoint in the text of a note.

    Raises:
        CheckpointRejected: it is not exactly what `Checkpoint.text` would write.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        raise CheckpointRejected("A checkpoint is three or more lines, none of them empty.")
    origin, size, root, *extensions = lines
    if not _SIZE.fullmatch(size) or int(size) > SIZE_MAX:
        raise CheckpointRejected("The size of a checkpoint is a number without leading zeros.")
    try:
        raw = decoded(root)
    except ValueError as error:
        raise CheckpointRejected("The root of a checkpoint is base64.") from error
    if len(raw) != HASH_BYTES or (size == "0" and raw != EMPTY_ROOT):
        raise CheckpointRejected("The root of a checkpoint is a hash of 32 bytes.")
    return Checkpoint(origin=origin, size=int(size), root=raw, extensions=tuple(extensions))


def encoded(data: bytes) -> str:
    """Base64 of RFC 4648 section 4."""
    return base64.b64encode(data).decode("ascii")


def decoded(text: str) -> bytes:
    """The bytes of a base64 text, of which there is exactly one: no spare bits, no white space.

    Raises:
        ValueError: another text would have these bytes, or none.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if encoded(data) != text:
        raise ValueError("not the base64 of its bytes")
    return data
