"""Passwords on other people's command lines are nowhere in what Phoenix keeps or shows.

Fifty processes really run with a secret each; a real experiment measures them from start to
verdict. Then everything is searched: every row, every file, every page, every answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from phoenix.host import proc
from phoenix.load import profiles, service
from phoenix.load.model import ProcessPlan
from phoenix.processes import state
from phoenix.testing.machine import Machine
from phoenix.testing.secrets import Planted, found, planted

pytestmark = [pytest.mark.database, pytest.mark.collector]

CLONE = Path(__file__).parents[2]
PLANTS = planted()


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """The fifty, started by somebody else: their plan lies outside of Phoenix's folder."""
    folder = tmp_path_factory.mktemp("strangers")
    (folder / "load").mkdir()
    program = CLONE / ".phoenix" / "load" / "phoenix-load"
    (folder / "load" / program.name).symlink_to(program.resolve())
    plan = profiles.with_processes(
        profiles.plan("realistic", seed=1, count=50),
        [ProcessPlan(name=plant.name, argv=plant.argv, cpu_share=0.0005) for plant in PLANTS],
    )
    service.start_detached(plan, folder)
    yield [process.pid for process in service.list_running(folder)]
    service.stop(folder)


@pytest.fixture(scope="module")
def measured(running: Machine, strangers: list[int]) -> tuple[Machine, str]:
    """A finished experiment on them, with one of them critical."""
    made = json.loads(
        running.phoenix(
            "-o", "json", "experiment", "run", "--no-follow",
            "--candidate", "process-aggregated-v1", "--critical", "planted-00",
            "--warmup", "3", "--evidence", "25", "--coverage-margin", "0.3",
        ).stdout
    )  # fmt: skip
    ended = running.until_final(made["id"])
    assert ended["state"] == "completed", ended["error_message"]
    return running, made["id"]


def assert_clean(haystack: bytes, where: str) -> None:
    """No needle is in there."""
    assert list(found(haystack, PLANTS)) == [], where


def rows_of_everything(machine: Machine) -> Iterator[tuple[str, bytes]]:
    """Every table with all of its rows, binary columns as they are."""
    tables = machine.rows(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND %(id)s <> ''", "any"
    )
    for table in sorted(row["tablename"] for row in tables):
        rows = machine.rows(f"SELECT * FROM \"{table}\" WHERE %(id)s <> ''", "any")
        yield table, b"\n".join(_flat(row) for row in rows)


def _flat(value: Any) -> bytes:
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    if isinstance(value, dict):
        return b" ".join(_flat(part) for item in value.items() for part in item)
    if isinstance(value, list):
        return b" ".join(_flat(part) for part in value)
    if isinstance(value, datetime):
        return value.isoformat().encode()
    return str(value).encode()


def test_the_secrets_are_really_there(strangers: list[int]) -> None:
    command_lines = "\n".join("\0".join(proc.command_line(pid) or ()) for pid in strangers).encode()
    seen = {name for name, _ in found(command_lines, PLANTS)}
    assert seen == {plant.name for plant in PLANTS}, "what is not planted cannot leak"


def test_no_row_holds_a_secret(measured: tuple[Machine, str]) -> None:
    machine, _ = measured
    dumped = dict(rows_of_everything(machine))
    for plant in PLANTS:
        assert plant.name.encode() in dumped["meter_names"], "it was measured, by its name"
    for table, rows in dumped.items():
        assert_clean(rows, table)


def test_no_file_holds_a_secret(measured: tuple[Machine, str]) -> None:
    machine, _ = measured
    read = 0
    for path in sorted(machine.data_dir.rglob("*")):
        # The database's own files too, logs, configurations, reports; programs are links.
        if path.is_file() and not path.is_symlink():
            read += 1
            assert_clean(path.read_bytes(), str(path.relative_to(machine.data_dir)))
    assert read > 100
    assert any((machine.data_dir / "logs").rglob("*.log"))


def test_no_answer_shows_a_secret(measured: tuple[Machine, str]) -> None:
    machine, made = measured
    up = state.read(machine.data_dir)
    assert up is not None
    for role, paths in {
        "api": [
            f"/api/v1/experiments/{made}{rest}" for rest in ("", "/metrics", "/events", "/report")
        ] + ["/metrics", "/api/v1/experiments"],
        "controller": ["/metrics"],
        "meter": ["/metrics"],
    }.items():  # fmt: skip
        for path in paths:
            answer = httpx.get(f"http://127.0.0.1:{up.ports[role]}{path}", trust_env=False)
            assert answer.status_code == 200, path
            assert_clean(answer.content, f"{role} {path}")


def test_no_report_and_no_view_shows_a_secret(
    measured: tuple[Machine, str], tmp_path: Path
) -> None:
    machine, made = measured
    page = tmp_path / "report.html"
    for command in (
        ("experiment", "report", made),
        ("experiment", "report", made, "-o", "json"),
        ("experiment", "report", made, "--html", str(page)),
        ("experiment", "show", made),
        ("experiment", "list"),
        ("status", "-o", "yaml"),
        ("pipeline", "check", "process-slim-v1", "--critical", "planted-00", "-o", "json"),
    ):
        said = machine.phoenix(*command)
        assert_clean((said.stdout + said.stderr).encode(), " ".join(command))
    drawn = page.read_bytes()
    assert b"planted-07" in drawn, "the report speaks of them"
    assert_clean(drawn, "the page")


def test_a_search_finds_what_is_there() -> None:
    for plant in PLANTS:
        assert [name for name, _ in found(_as_text(plant), PLANTS)], plant.name
    assert len({needle for plant in PLANTS for needle in plant.needles}) >= 3 * 49


def _as_text(plant: Planted) -> bytes:
    return " ".join(plant.argv).encode()
