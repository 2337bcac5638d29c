"""Signed notes: a text, an empty line, and one line for each signature (c2sp.org/signed-note).

Nothing of a note may be looked at before a key that one trusts has signed it. Lines of unknown keys
are passed over, so that witnesses and new keys can be added; a line of a known key that does not
verify makes the whole note worthless.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from phoenix.ledger.checkpoint import decoded, encoded
from phoenix.ledger.errors import KeyInvalid, NoteRejected
from phoenix.ledger.keys import VerifierKey, check_name

NOTE_BYTES_MAX = 1_000_000
SIGNATURES_MAX = 100

_DASH = "— "


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One line. `raw` is the identifier of the key, four bytes, and what the key signed."""

    name: str
    raw: bytes

    @property
    def line(self) -> str:
        """The line without its newline."""
        return f"{_DASH}{self.name} {encoded(self.raw)}"

    def is_of(self, key: VerifierKey) -> bool:
        """Whether it claims to be this key's."""
        return self.name == key.name and self.raw[:4] == key.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text with its signatures, none of which has been verified."""

    text: str
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """The whole note."""
        lines = "".join(f"{each.line}\n" for each in self.signatures)
        return f"{self.text}\n{lines}".encode()

    def verified_by(self, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
        """The keys of `keys` that signed the text.

        Raises:
            NoteRejected: one of them did not sign what stands under its name, or none did.
        """
        found: list[VerifierKey] = []
        for key in keys:
            line = next((each for each in self.signatures if each.is_of(key)), None)
            if line is None or key in found:
                continue
            if not key.verifies(self.text, line.raw[4:]):
                raise NoteRejected(f"The signature of {key.name} does not verify.")
            found.append(key)
        if not found:
            raise NoteRejected("No key that is trusted has signed the note.")
        return found


def parse(data: bytes) -> Note:
    """A note from its bytes; `Note.to_bytes` gives the same bytes back.

    Raises:
        NoteRejected: it is malformed.
    """
    if len(data) > NOTE_BYTES_MAX:
        raise NoteRejected("The note is longer than a million bytes.")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoteRejected("The note is not UTF-8.") from error
    if any(each < " " and each != "\n" for each in whole):
        raise NoteRejected("The note has control characters.")
    at = whole.rfind("\n\n")
    if at < 0 or not whole.endswith("\n"):
        raise NoteRejected("The note has no signatures.")
    text, below = whole[: at + 1], whole[at + 2 :]
    lines = below.removesuffix("\n").split("\n") if below else []
    if not 0 < len(lines) <= SIGNATURES_MAX:
        raise NoteRejected(f"A note has 1 to {SIGNATURES_MAX} signatures.")
    return Note(text=text, signatures=tuple(_signature(line) for line in lines))


def _signature(line: str) -> Signature:
    parts = line.removeprefix(_DASH).split(" ")
    if not line.startswith(_DASH) or len(parts) != 2:
        raise NoteRejected("A line below the text is no signature.")
    name, material = parts
    try:
        check_name(name)
        raw = decoded(material)
    except (KeyInvalid, ValueError) as error:
        raise NoteRejected("A line below the text is no signature.") from error
    if len(raw) < 5:
        raise NoteRejected("A signature is shorter than its key's identifier.")
    return Signature(name=name, raw=raw)
