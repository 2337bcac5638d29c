"""Keys that sign logs: their names, their four-byte identifiers, and what each of them signs.

Three kinds (c2sp.org/signed-note, c2sp.org/tlog-cosignature): Ed25519 over the text, which is what
a log signs with; Ed25519 over the text and a time, which is what a witness signs with; and the
same statement with ML-DSA-44 (FIPS 204), so that evidence outlives elliptic curves. A verifier key
is one line of text that can be printed on paper: name, identifier, and public key.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from phoenix.ledger import checkpoint
from phoenix.ledger.checkpoint import decoded, encoded
from phoenix.ledger.errors import CheckpointRejected, KeyInvalid

ED25519 = 0x01
COSIGNATURE = 0x04
ML_DSA_44 = 0x06
SEED_BYTES = 32

_PUBLIC_BYTES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_44: 1312}
_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE: 8 + 64, ML_DSA_44: 8 + 2420}
_NAME_BYTES_MAX = 255
_REMEDY = "A verifier key looks like example.com/log+1a2b3c4d+AQ…=."


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key with its name."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart; they are no proof of anything."""
        return key_id(self.name, self.kind, self.public)

    @property
    def text(self) -> str:
        """The key as one line, without a newline."""
        return f"{self.name}+{self.id.hex()}+{encoded(bytes([self.kind]) + self.public)}"

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether `signature`, without the identifier in front of it, is this key's over `text`."""
        if len(signature) != _SIGNATURE_BYTES[self.kind]:
            return False
        try:
            if self.kind == ED25519:
                _verify_ed25519(self.public, signature, text.encode())
            elif self.kind == COSIGNATURE:
                time = timestamp(signature)
                _verify_ed25519(self.public, signature[8:], cosigned_text(text, time))
            else:
                message = cosigned_tree(self.name, timestamp(signature), text)
                mldsa.MLDSA44PublicKey.from_public_bytes(self.public).verify(signature[8:], message)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        except CheckpointRejected:  # a witness signs nothing but checkpoints
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKey:
    """A private Ed25519 key that signs texts of notes. Never printed: `repr` shows the name."""

    name: str
    _private: ed25519.Ed25519PrivateKey

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> LogKey:
        """The key of RFC 8032 with this private seed of 32 bytes.

        Raises:
            KeyInvalid: the name cannot stand in a note.
        """
        check_name(name)
        assert len(seed) == SEED_BYTES, "an Ed25519 seed"
        return cls(name=name, _private=ed25519.Ed25519PrivateKey.from_private_bytes(seed))

    def __repr__(self) -> str:
        return f"LogKey(name={self.name!r})"

    @property
    def verifier(self) -> VerifierKey:
        """What others need to know of it."""
        public = self._private.public_key().public_bytes_raw()
        return VerifierKey(name=self.name, kind=ED25519, public=public)

    def sign(self, text: str) -> bytes:
        """The identifier and the signature over `text`."""
        return self.verifier.id + self._private.sign(text.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey:
    """A private Ed25519 key that signs checkpoints of others with the time (cosignature/v1)."""

    name: str
    _private: ed25519.Ed25519PrivateKey

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> WitnessKey:
        """The key of RFC 8032 with this private seed of 32 bytes."""
        check_name(name)
        assert len(seed) == SEED_BYTES, "an Ed25519 seed"
        return cls(name=name, _private=ed25519.Ed25519PrivateKey.from_private_bytes(seed))

    def __repr__(self) -> str:
        return f"WitnessKey(name={self.name!r})"

    @property
    def verifier(self) -> VerifierKey:
        """What others need to know of it."""
        public = self._private.public_key().public_bytes_raw()
        return VerifierKey(name=self.name, kind=COSIGNATURE, public=public)

    def sign(self, text: str, at_s: int) -> bytes:
        """The identifier, the time in seconds since 1970, and the signature over both texts."""
        signature = self._private.sign(cosigned_text(text, at_s))
        return self.verifier.id + struct.pack(">Q", at_s) + signature


def parse(text: str) -> VerifierKey:
    """A verifier key from its line.

    Raises:
        KeyInvalid: it is malformed, or its identifier is another key's.
    """
    # From the right: base64 has plus signs of its own, names have none.
    found = re.fullmatch(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})", text)
    if found is None:
        raise KeyInvalid(remedy=_REMEDY)
    name, identifier, material = found.groups()
    check_name(name)
    try:
        raw = decoded(material)
    except ValueError as error:
        raise KeyInvalid("The public key is not base64.", remedy=_REMEDY) from error
    if not raw or _PUBLIC_BYTES.get(raw[0]) != len(raw) - 1:
        raise KeyInvalid("The public key is of no kind that is known.", remedy=_REMEDY)
    key = VerifierKey(name=name, kind=raw[0], public=raw[1:])
    if key.id.hex() != identifier:
        raise KeyInvalid("The identifier is not that of the public key.", remedy=_REMEDY)
    return key


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The first four bytes of SHA-256 over name, newline, kind and public key."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def check_name(name: str) -> None:
    """Names stand between spaces and plus signs, so that they hold neither.

    Raises:
        KeyInvalid: the name cannot stand in a note.
    """
    if not name or len(name.encode("utf-8", "replace")) > _NAME_BYTES_MAX:
        raise KeyInvalid("A key has a name of 1 to 255 bytes.", remedy=_REMEDY)
    if any(each.isspace() or each == "+" or ord(each) < 0x20 for each in name):
        raise KeyInvalid("A key's name has no spaces, plus or control signs.", remedy=_REMEDY)


def timestamp(signature: bytes) -> int:
    """The time in a witness's signature, in seconds since 1970."""
    return int.from_bytes(signature[:8], "big")


def cosigned_text(text: str, at_s: int) -> bytes:
    """What an Ed25519 witness signs."""
    if not 0 <= at_s < 1 << 63:
        raise ValueError("a time beyond what the format allows")
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def cosigned_tree(name: str, at_s: int, text: str) -> bytes:
    """What an ML-DSA-44 witness signs: the tree, without lines that extend the checkpoint."""
    if not 0 <= at_s < 1 << 63:
        raise ValueError("a time beyond what the format allows")
    found = checkpoint.parse(text)
    cosigner, origin = name.encode(), found.origin.encode()
    if not 0 < len(origin) <= _NAME_BYTES_MAX:
        raise ValueError("an origin longer than the format allows")
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(cosigner)]), cosigner,
            struct.pack(">Q", at_s),
            bytes([len(origin)]), origin,
            struct.pack(">QQ", 0, found.size), found.root,
        )
    )  # fmt: skip


def _verify_ed25519(public: bytes, signature: bytes, message: bytes) -> None:
    ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
