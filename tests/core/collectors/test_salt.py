"""The text that hides command lines: one for a host, whole, and readable by its owner only."""

from __future__ import annotations

from pathlib import Path

from phoenix.collectors.agent import salt


def test_a_host_has_one_salt_that_only_its_owner_reads(tmp_path: Path) -> None:
    made = salt(tmp_path / "data")
    assert len(made) == 32
    assert salt(tmp_path / "data") == made
    kept = list((tmp_path / "data").iterdir())
    assert [path.name for path in kept] == ["redaction.salt"]
    assert kept[0].stat().st_mode & 0o077 == 0


def test_two_hosts_have_different_salts(tmp_path: Path) -> None:
    assert salt(tmp_path / "one") != salt(tmp_path / "other")


def test_a_salt_that_was_cut_by_a_crash_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "redaction.salt").write_text("")
    assert len(salt(tmp_path)) == 32
