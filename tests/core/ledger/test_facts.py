"""Words of entries: whatever bytes come, the columns can hold what is taken from them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from phoenix.ledger.facts import words
from phoenix.ledger.store import Logged
from phoenix.testing.log import an_entry


def said(entry: bytes) -> dict[str, object]:
    return words(Logged(seq=0, id=UUID(int=1), entry=entry, leaf=bytes(32)))


def test_an_entry_is_told_in_columns() -> None:
    assert said(an_entry("it", reason="because").to_bytes()) == {
        "seq": 0,
        "at": datetime(2026, 1, 1, 12, tzinfo=UTC),
        "kind": "test",
        "actor": "ada",
        "action": "test.do",
        "target": "it",
        "outcome": "done",
        "reason": "because",
    }


@pytest.mark.parametrize(
    "entry",
    [
        b"", b"\xff", b"[]", b"7", b"null", b"{", b"[" * 100_000, b'{"at":7,"actor":[],"kind":{}}',
        b'{"at":"2026-01-01T00:00:00","actor":{"id":7}}', b'{"at":"0001-01-01T00:00:00+14:00"}',
        b'{"at":"9999-12-31T23:59:59-14:00"}', b'{"at":"noon"}',
    ],
)  # fmt: skip
def test_what_an_entry_does_not_say_is_null(entry: bytes) -> None:
    found = said(entry)
    del found["seq"]
    assert set(found.values()) == {None}


def test_text_that_a_column_cannot_hold_is_made_one_that_it_can() -> None:
    found = said(b'{"reason":"a\\u0000b\\ud800c","target":"' + b"x" * 5000 + b'"}')
    assert found["reason"] == "a\ufffdb?c"
    assert found["target"] == "x" * 2000
