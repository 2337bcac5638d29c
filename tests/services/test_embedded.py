"""The embedded server and its schema, when something goes wrong around them."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from phoenix.storage import migrate
from phoenix.storage.embedded import EmbeddedServer
from phoenix.testing.databases import TestServer

_KEEPS_A_SERVER = """
import sys, time
from pathlib import Path
from phoenix.storage.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), durable=False)
server.start()
print("up", flush=True)
time.sleep(600)
"""


def test_a_start_right_after_a_killed_supervisor_waits_for_its_server_to_end(
    tmp_path: Path,
) -> None:
    keeper = subprocess.Popen(
        [sys.executable, "-c", _KEEPS_A_SERVER, str(tmp_path)], stdout=subprocess.PIPE
    )
    with keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"up\n"
        server = EmbeddedServer(tmp_path, durable=False)
        sql = "CREATE TABLE kept AS SELECT g FROM generate_series(1, 200000) g"
        assert server._psql("phoenix", sql).returncode == 0
        keeper.kill()
    server.start()
    try:
        assert server._psql("phoenix", "SELECT count(*) FROM kept").stdout == b"200000\n"
    finally:
        server.stop()


def test_an_initdb_that_was_cut_is_begun_again(tmp_path: Path) -> None:
    half = tmp_path / "pg.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedServer(tmp_path, durable=False)
    server.start()
    server.stop()
    assert not half.exists()


def test_a_deep_data_folder_has_one_socket_for_every_process(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    assert EmbeddedServer(deep).dsn == EmbeddedServer(deep).dsn
    server = EmbeddedServer(deep, durable=False)
    server.start()
    try:
        assert EmbeddedServer(deep)._psql("phoenix", "SELECT 1").stdout == b"1\n"
    finally:
        server.stop()


def test_processes_that_migrate_at_once_apply_each_step_once(postgres: TestServer) -> None:
    assert postgres.server._psql("postgres", "CREATE DATABASE at_once").returncode == 0
    url = postgres.server.url("at_once")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate.apply, [url] * 4))
    assert all(applied for _, applied in migrate.status(url))


def test_a_dotenv_of_the_present_folder_is_not_read(
    postgres: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("this is not = 'a dotenv")
    monkeypatch.chdir(tmp_path)
    assert migrate.status(postgres.server.dsn)
