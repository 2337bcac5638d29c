"""The auditor's lines: what an entry says, which controls ask for it, and nothing that runs."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from phoenix.ledger import audit
from phoenix.ledger.model import Actor
from phoenix.testing.log import AT, an_entry


def page(*lines: audit.Line) -> str:
    return audit.page(
        list(lines), since=datetime(2026, 1, 1, tzinfo=UTC), until=datetime(2026, 2, 1, tzinfo=UTC),
        origin="phoenix.local/x", size=7, root="ab" * 32, vkey="phoenix.local/x+00000000+AQ==",
        made_at=AT,
    )  # fmt: skip


def test_a_line_is_what_the_entry_says() -> None:
    entry = replace(
        an_entry("exp-abc12345", reason="enough", prev_state="running", new_state="cancelled"),
        action="experiment.cancelled",
    )
    assert audit.line(4, entry.to_bytes()) == audit.Line(
        index=4, receipt=str(entry.id), at=AT, who="ada", acting_as="person",
        what="experiment.cancelled", target="exp-abc12345", result="done", before="running",
        after="cancelled", why="enough", controls=("SOC 2 CC8.1", "PCI DSS 10.2.1.2"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("action", "outcome", "actor", "found"),
    [
        ("experiment.create", "done", "key", ("SOC 2 CC8.1", "PCI DSS 10.2.1.2")),
        ("experiment.adopt", "done", "system", ("SOC 2 CC8.1",)),
        ("safety.kill", "done", "person", ("SOC 2 CC7.4", "PCI DSS 10.2.1.2")),
        ("experiment.create", "refused", "system", ("SOC 2 CC8.1", "PCI DSS 10.2.1.4")),
        ("other", "done", "system", ()),
    ],
)
def test_controls_follow_from_action_outcome_and_actor(
    action: str, outcome: str, actor: str, found: tuple[str, ...]
) -> None:
    assert audit.controls(action, outcome, actor) == found
    assert set(found) <= set(audit.CONTROLS)


def test_a_page_counts_and_escapes_and_loads_nothing() -> None:
    hostile = replace(
        an_entry("<script>alert(1)</script>", reason="a\u202eb\x1b[2J"), outcome="refused"
    )
    found = page(audit.line(0, hostile.to_bytes()), audit.line(1, an_entry("it").to_bytes()))
    assert "&lt;script&gt;" in found
    assert "<script" not in found
    assert "a\ufffdb\ufffd[2J" in found
    assert "2 entries, of which 1 tell" in found
    assert 'class="refused"' in found
    assert "http" not in found.replace("http-equiv", "")


def test_no_cell_of_the_table_is_a_formula() -> None:
    for reason in ("=cmd()", "+1", "-1", "@sum", "\t=1"):
        made = an_entry("it", reason=reason)
        rows = list(csv.DictReader(io.StringIO(audit.table([audit.line(0, made.to_bytes())]))))
        assert rows[0]["why"][0] not in "=+-@\t"
        assert rows[0]["target"] == "it"


@pytest.mark.parametrize("entry", [b"", b"\xff", b"[]", b'{"actor":7,"id":[]}', b"[" * 99_999])
def test_bytes_that_are_no_entry_of_ours_make_an_empty_line(entry: bytes) -> None:
    found = audit.line(3, entry)
    assert (found.index, found.who, found.what, found.receipt) == (3, "", "", "")
    assert page(found)


def test_who_acted_is_named_once() -> None:
    eve = replace(an_entry("a"), actor=Actor(type="key", id="eve"))
    found = page(*(audit.line(i, e.to_bytes()) for i, e in enumerate([eve, an_entry("b"), eve])))
    assert "acted: ada, eve." in found
