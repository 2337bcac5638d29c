"""An entry: who did what to what, when, why, and with which outcome, as final bytes.

The bytes are canonical JSON: keys sorted, no floats, times as text with microseconds, fields that
do not apply left out (never null), so that a field added later changes no old entry. Secrets never
appear; personal data only as a salted commitment, so that it can be erased while proofs stay valid.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from phoenix import __version__
from phoenix.base.canonical import canonical_bytes
from phoenix.base.clock import rfc3339
from phoenix.base.ids import uuid7

VERSION = 1
SCHEMA = "phoenix.entry/1"
ENTRY_BYTES_MAX = 65_535
SALT_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acted: a person, a key, or a part of Phoenix."""

    type: Literal["person", "key", "system"]
    id: str
    key_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fact."""

    id: UUID
    kind: str
    at: datetime
    actor: Actor
    action: str
    target: str
    outcome: str
    on_behalf_of: str | None = None
    scope: str | None = None
    reason: str | None = None
    request_hash: str | None = None
    idem_key_hash: str | None = None
    prev_state: str | None = None
    new_state: str | None = None
    payload_commit: str | None = None

    def to_bytes(self) -> bytes:
        """The bytes that are kept, hashed and signed.

        At most 65,535: a longer reason is cut, and says so.
        """
        encoded = canonical_bytes(self._fields(self.reason))
        if len(encoded) > ENTRY_BYTES_MAX and self.reason is not None:
            encoded = canonical_bytes(self._fields(self.reason[:4000] + " [cut]"))
        assert len(encoded) <= ENTRY_BYTES_MAX, "an entry holds names and hashes, no documents"
        return encoded

    def _fields(self, reason: str | None) -> dict[str, object]:
        fields: dict[str, object] = {
            "v": VERSION,
            "schema": SCHEMA,
            "build": __version__,
            "id": str(self.id),
            "kind": self.kind,
            "at": rfc3339(self.at),
            "actor": _without_none(
                {"type": self.actor.type, "id": self.actor.id, "key_id": self.actor.key_id}
            ),
            "action": self.action,
            "target": self.target,
            "outcome": self.outcome,
            "on_behalf_of": self.on_behalf_of,
            "scope": self.scope,
            "reason": reason,
            "request_hash": self.request_hash,
            "idem_key_hash": self.idem_key_hash,
            "prev_state": self.prev_state,
            "new_state": self.new_state,
            "payload_commit": self.payload_commit,
        }
        return _without_none(fields)


def entry(
    *, kind: str, at: datetime, actor: Actor, action: str, target: str, outcome: str, **more: str
) -> Entry:
    """A new entry with its identifier, which is also the receipt's."""
    return Entry(
        id=uuid7(), kind=kind, at=at, actor=actor, action=action, target=target, outcome=outcome,
        **more,
    )  # fmt: skip


def payload_commit(salt: bytes, payload: bytes) -> str:
    """SHA-256 of 0x02, a 32-byte salt and the payload: tells nothing once the salt is erased."""
    assert len(salt) == SALT_BYTES, "a short salt could be searched"
    return hashlib.sha256(b"\x02" + salt + payload).hexdigest()


def _without_none(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
