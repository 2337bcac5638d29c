"""Files and folders of rules and dashboards."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoenix.guard import reading
from phoenix.guard.errors import UnreadableQueries

RULES = "groups: [{name: g, rules: [{alert: A, expr: up}]}]"
BOARD = '{"title": "T", "panels": [{"title": "P", "targets": [{"expr": "up"}]}]}'


def test_folder_is_read_with_everything_below_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.yml").write_text(RULES)
    (tmp_path / "deep/b.rules").write_text(RULES)
    (tmp_path / "deep/values.yaml").write_text("a: 1")
    (tmp_path / "README.md").write_text("groups:")
    assert [query.source for query in reading.rules(tmp_path)] == ["a.yml: g", "deep/b.rules: g"]


def test_unreadable_file_in_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(RULES)
    (tmp_path / "b.yml").write_text("{{ template }}: [")
    assert [query.kind for query in reading.rules(tmp_path)] == ["alert", "file"]


def test_dashboards_kept_in_config_maps_are_found(tmp_path: Path) -> None:
    inner = "\n".join(f"      {line}" for line in BOARD.splitlines())
    text = f"kind: ConfigMapList\nitems:\n- kind: ConfigMap\n  data:\n    t.json: |\n{inner}\n"
    (tmp_path / "boards.yaml").write_text(text)
    (tmp_path / "other.json").write_text(BOARD)
    assert [query.source for query in reading.boards(tmp_path)] == [
        "boards.yaml/t.json: T",
        "other.json: T",
    ]


@pytest.mark.parametrize("text", ["a: 1", "", "[]"])
def test_file_named_by_itself_has_to_hold_some(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(UnreadableQueries):
        reading.rules(file)
    with pytest.raises(UnreadableQueries):
        reading.boards(file)


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableQueries, match="There is no"):
        reading.rules(tmp_path / "gone")
    with pytest.raises(UnreadableQueries, match="There are no rules"):
        reading.rules(tmp_path)


def test_far_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "QUERIES_MAX", 1)
    (tmp_path / "a.yml").write_text(RULES)
    (tmp_path / "b.yml").write_text(RULES)
    with pytest.raises(UnreadableQueries, match="more than 1 queries"):
        reading.rules(tmp_path)
