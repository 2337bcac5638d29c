"""The bytes of an entry."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from phoenix.ledger.model import ENTRY_BYTES_MAX, Actor, Entry, payload_commit

AT = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)


def an_entry(**more: str) -> Entry:
    return Entry(
        id=UUID(int=7), kind="experiment", at=AT, actor=Actor(type="key", id="local"),
        action="experiment.create", target="exp-abc12345", outcome="done", **more,
    )  # fmt: skip


def test_bytes_are_sorted_dense_and_without_null() -> None:
    body = an_entry().to_bytes()
    fields = json.loads(body)
    assert body == json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    assert None not in fields.values()
    assert fields["at"] == "2026-01-01T12:00:00.000001Z"
    assert "key_id" not in fields["actor"]


def test_a_field_that_does_not_apply_changes_no_byte() -> None:
    assert b"reason" not in an_entry().to_bytes()
    assert b'"reason":"because"' in an_entry(reason="because").to_bytes()


def test_an_endless_reason_is_cut_and_says_so() -> None:
    body = an_entry(reason="x" * 100_000).to_bytes()
    assert len(body) <= ENTRY_BYTES_MAX
    assert body.count(b"[cut]") == 1


def test_a_commitment_is_the_hash_of_a_domain_byte_salt_and_payload() -> None:
    salt = bytes(range(32))
    assert payload_commit(salt, b"name") == hashlib.sha256(b"\x02" + salt + b"name").hexdigest()


def test_a_short_salt_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        payload_commit(b"short", b"name")
