"""`phoenix ledger` against a running API and ledger; and offline, against what it wrote."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from phoenix.ledger.tree import leaf_hash
from phoenix.storage.database import Database
from phoenix.testing.command import Phoenix, in_this_process
from phoenix.testing.databases import TestServer
from phoenix.testing.ledger import run_sql
from phoenix.testing.log import record


@dataclass
class World:
    """A ledger and an API over one database, and what was recorded in it."""

    url: str
    data_dir: Path
    endpoint: str
    entries: dict[UUID, bytes]

    @property
    def vkey(self) -> str:
        return run_sql(self.url, "SELECT vkey FROM ledger_keys").strip()


@pytest.fixture(scope="module")
def world(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    url, data_dir = postgres.fresh(), tmp_path_factory.mktemp("data")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "DATABASE_URL": url, "PHOENIX_DATA_DIR": str(data_dir), "PHOENIX_API_PORT": str(port),
    }  # fmt: skip
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "phoenix", "serve", role],
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        for role in ("ledger", "api")
    ]
    try:
        yield World(url, data_dir, f"http://127.0.0.1:{port}", recorded(url, port))
    finally:
        for each in running:
            each.terminate()
        for each in running:
            each.wait(timeout=20)


def recorded(url: str, port: int) -> dict[UUID, bytes]:
    """300 entries, of which every tenth is about one experiment; all of them searchable."""

    async def write() -> dict[UUID, bytes]:
        database = Database(url)
        await database.open()
        made: dict[UUID, bytes] = {}
        for i in range(300):
            made |= await record(database, "exp-abc12345" if i % 10 == 0 else f"thing-{i}")
        await database.close()
        return made

    made = asyncio.run(write())
    deadline = time.monotonic() + 60
    while run_sql(url, "SELECT count(*) FROM ledger_facts").strip() != "300":
        assert time.monotonic() < deadline, "the ledger does not get on"
        time.sleep(0.2)
    while True:
        with suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1).close()
            return made
        assert time.monotonic() < deadline, "the API does not answer"
        time.sleep(0.2)


@pytest.fixture
def phoenix(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Phoenix:
    """Runs a command in this process against that world."""
    environment = {
        "PHOENIX_API_ENDPOINT": world.endpoint,
        "PHOENIX_DATA_DIR": str(world.data_dir),
        "DATABASE_URL": world.url,
        "PHOENIX_OUTPUT_FORMAT": None,
        "COLUMNS": "200",
    }
    run = in_this_process(monkeypatch, capsys, environment)
    return lambda *arguments, noun="ledger": run(noun, *arguments)


@pytest.fixture
def offline(phoenix: Phoenix, monkeypatch: pytest.MonkeyPatch) -> Phoenix:
    """The same without a server and a database."""
    monkeypatch.setenv("PHOENIX_API_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
    return phoenix


def test_the_audit_log_is_searched_and_its_end_is_shown(phoenix: Phoenix) -> None:
    found = phoenix("search", "--target", "exp-abc12345", "--limit", "7", "-o", "json").json
    assert [each["target"] for each in found] == ["exp-abc12345"] * 7
    assert found[0]["index"] > found[-1]["index"]
    assert "test.do" in phoenix("search", "--actor", "ada").out
    assert "Nothing of that" in phoenix("search", "--actor", "eve").out
    end = phoenix("tail", "-n", "3", "-o", "json").json
    assert [each["index"] for each in end] == [297, 298, 299]


def test_an_entry_is_shown_by_its_index_and_by_its_receipt(phoenix: Phoenix, world: World) -> None:
    by_index = phoenix("show", "7", "-o", "json").json
    receipt = by_index["entry"]["id"]
    assert (
        world.entries[UUID(receipt)]
        == json.dumps(by_index["entry"], sort_keys=True, separators=(",", ":")).encode()
    )
    by_receipt = phoenix("show", receipt, "-o", "json").json
    assert by_receipt["index"] == 7
    assert by_receipt["entry"] == by_index["entry"]
    assert "checkpointed" in phoenix("show", receipt).out
    assert phoenix("show", "300").code == 4
    assert phoenix("show", "no receipt").code == 4


def test_an_entry_is_proved_into_two_files(phoenix: Phoenix, tmp_path: Path) -> None:
    said = phoenix("prove", "7", "--out", str(tmp_path / "evidence"), "-o", "json")
    assert said.json["index"] == 7
    receipt = (tmp_path / "evidence/7.tlog-proof").read_text()
    assert receipt.startswith("c2sp.org/tlog-proof@v1\nindex 7\n")
    assert (tmp_path / "evidence/7.json").read_bytes().startswith(b'{"action"')


def test_the_whole_log_is_taken_along_and_verified_without_us(
    phoenix: Phoenix, offline: Phoenix, world: World, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """L24: on an empty machine the same root comes out."""
    bundle = tmp_path / "log.tar"
    vkey = world.vkey
    monkeypatch.setenv("PHOENIX_API_ENDPOINT", world.endpoint)
    said = phoenix("export", str(bundle), "--key", vkey, "-o", "json")
    assert (said.code, said.json["whole"], said.json["entries"]) == (0, True, 300)
    monkeypatch.setenv("PHOENIX_API_ENDPOINT", "http://127.0.0.1:1")
    verified = offline("verify", str(bundle), "--key", vkey, "-o", "json")
    assert verified.code == 0
    assert verified.err == ""
    assert verified.json == said.json
    shutil.unpack_archive(bundle, tmp_path, filter="data")
    script = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", vkey],
        cwd=tmp_path / "bundle", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "300 entries" in script.stdout
    assert offline("verify", str(tmp_path / "bundle"), "--key", vkey).code == 0


def test_what_is_about_one_thing_is_taken_along(
    phoenix: Phoenix, world: World, tmp_path: Path
) -> None:
    bundle = tmp_path / "exp.tar"
    said = phoenix("export", str(bundle), "--target", "exp-abc12345", "-o", "json").json
    assert (said["whole"], said["entries"], said["proofs"]) == (False, 30, 30)
    verified = phoenix("verify", str(bundle))
    assert verified.code == 0
    assert "the bundle's own key" in verified.err
    assert world.vkey in verified.err
    assert "30 of 300 entries" in verified.out
    few = phoenix("export", str(bundle), "--index", "3", "--index", "4", "-o", "json").json
    assert few["entries"] == 2


def test_evidence_that_does_not_hold_exits_nine(
    phoenix: Phoenix, world: World, tmp_path: Path
) -> None:
    bundle = tmp_path / "exp.tar"
    phoenix("export", str(bundle), "--index", "7")
    other = "phoenix.example/ledger+ebc36ea3+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    refused = phoenix("verify", str(bundle), "--key", other)
    assert refused.code == 9
    assert "note_rejected" in refused.err
    bundle.write_bytes(bundle.read_bytes().replace(b'"action":"test.do"', b'"action":"test.no"'))
    assert phoenix("verify", str(bundle)).code == 9
    assert phoenix("verify", str(tmp_path / "missing.tar")).code == 9
    assert phoenix("verify", str(bundle), "--key", "no key").code == 2


def test_nothing_is_left_where_an_export_failed(phoenix: Phoenix, tmp_path: Path) -> None:
    said = phoenix("export", str(tmp_path / "x.tar"), "--index", "99999")
    assert said.code == 4
    assert phoenix("export", str(tmp_path / "x.tar"), "--target", "exp-nothing1").code == 4
    assert list(tmp_path.iterdir()) == []


def test_the_stored_log_is_checked(phoenix: Phoenix, world: World, tmp_path: Path) -> None:
    said = phoenix("fsck", "-o", "json").json
    assert (said["entries"], said["tiles"], said["findings"]) == (300, 1, [])
    assert "sound: 300 entries" in phoenix("fsck").out
    kept = tmp_path / "checkpoint"
    kept.write_bytes(urllib.request.urlopen(f"{world.endpoint}/api/v1/log/checkpoint").read())
    assert phoenix("fsck", "--checkpoint", str(kept), "--key", world.vkey).code == 0


def test_a_forged_log_differs_from_a_checkpoint_that_somebody_kept(
    phoenix: Phoenix, world: World, postgres: TestServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whoever owns the database and the key can make a log that agrees with itself."""
    kept = tmp_path / "checkpoint"
    kept.write_bytes(urllib.request.urlopen(f"{world.endpoint}/api/v1/log/checkpoint").read())
    forged = postgres.fresh()
    monkeypatch.setenv("DATABASE_URL", forged)
    assert phoenix("fsck").code == 0  # an empty log is sound
    said = phoenix("fsck", "--checkpoint", str(kept), "-o", "json")
    assert said.code == 9
    assert [each["check"] for each in json.loads(said.out)["findings"]] == ["outside"]


def test_a_leaf_is_the_hash_that_the_tile_serves(world: World) -> None:
    tile = urllib.request.urlopen(f"{world.endpoint}/api/v1/log/tile/0/000").read()
    entry = urllib.request.urlopen(f"{world.endpoint}/api/v1/log/entries/5").read()
    assert tile[5 * 32 : 6 * 32] == leaf_hash(entry)


def test_an_auditor_gets_a_page_a_table_and_the_evidence(
    phoenix: Phoenix, world: World, tmp_path: Path
) -> None:
    out = tmp_path / "audit"
    span = ("report", "--from", "2026-01-01", "--to", "2026-01-02", "--out", str(out))
    said = phoenix(*span, "--key", world.vkey, "-o", "json", noun="audit")
    assert (said.code, said.json["entries"]) == (0, 300)
    assert phoenix("verify", str(out / "evidence.tar"), "--key", world.vkey).code == 0
    rows = list(csv.DictReader(io.StringIO((out / "report.csv").read_text())))
    assert [row["index"] for row in rows] == [str(i) for i in range(300)]
    assert {UUID(row["receipt"]) for row in rows} <= set(world.entries)
    page = (out / "report.html").read_text()
    assert world.vkey in page
    assert "300 entries" in page
    assert "<script" not in page


def test_a_time_without_entries_has_no_report(phoenix: Phoenix, tmp_path: Path) -> None:
    out = str(tmp_path / "audit")
    for span, code in (
        (("2020-01-01", "2020-02-01"), 4),
        (("2026-01-01", "never"), 2),
        (("2026-01-01T00:00:00", "2026-01-02"), 2),
    ):
        said = phoenix("report", "--from", span[0], "--to", span[1], "--out", out, noun="audit")
        assert said.code == code, said.err
    assert not (tmp_path / "audit").exists()


def test_lines_are_shown_as_they_come(world: World) -> None:
    following = subprocess.Popen(
        [sys.executable, "-m", "phoenix", "ledger", "tail", "-n", "1", "--follow", "-o", "json"],
        env={**os.environ, "PHOENIX_API_ENDPOINT": world.endpoint, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert following.stdout is not None
    try:
        first = following.stdout.readline()  # the array of the newest line
        assert first == "[\n"

        async def write() -> None:
            database = Database(world.url)
            await database.open()
            world.entries.update(await record(database, "something new"))
            await database.close()

        asyncio.run(write())
        deadline = time.monotonic() + 30
        for line in following.stdout:
            assert time.monotonic() < deadline
            if "something new" in line:
                break
    finally:
        following.kill()
        following.wait()
        following.stdout.close()
