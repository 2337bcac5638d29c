"""The API in this process over a real PostgreSQL, spoken to over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from phoenix.api.app import create_app
from phoenix.api.server import server
from phoenix.experiments.model import Phase, State
from phoenix.host.ports import free_port
from phoenix.settings import LOOPBACK, Settings
from phoenix.storage.database import Database
from phoenix.testing.ledger import guard
from phoenix.wiring import Services, build

CREATE = {
    "baseline": {"pipeline": "process-baseline-v1"},
    "candidate": {"pipeline": "process-aggregated-v1"},
}
PORTS = {"api": 8080, "meter": 4318, "controller": 8090}


@dataclass
class Door:
    """One API and the services behind it."""

    services: Services
    loop: asyncio.Runner
    client: httpx.AsyncClient

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request."""
        return self.loop.run(self.client.request(method, path, **more))

    def create(self, **more: Any) -> dict[str, Any]:
        """A new experiment; there must be no other."""
        answer = self.ask("POST", "/api/v1/experiments", json={**CREATE, **more})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def cancel_all(self) -> None:
        """End whatever holds the host."""
        for found in self.ask("GET", "/api/v1/experiments").json()["items"]:
            if found["completed_at"] is None:
                self.ask("POST", f"/api/v1/experiments/{found['id']}/stop", json={})

    def begin(self, experiment_id: str) -> None:
        """Move an experiment on to its first tick."""
        self.loop.run(_begin(self.services, experiment_id))

    def entries(self) -> list[dict[str, Any]]:
        """The ledger, oldest first."""
        rows = self.rows("SELECT entry FROM ledger_outbox ORDER BY txid, id")
        return [json.loads(bytes(row["entry"])) for row in rows]

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """What the database holds."""
        return self.loop.run(_rows(self.services.database, sql))

    def census(self) -> dict[str, int]:
        """How many rows of each kind there are; refusals in the ledger left out."""
        counted = self.rows(
            "SELECT (SELECT count(*) FROM experiments) AS experiments,"
            " (SELECT count(*) FROM experiment_transitions) AS transitions,"
            " (SELECT count(*) FROM idempotency_keys) AS keys,"
            " (SELECT sum(version) FROM experiments) AS versions"
        )[0]
        done = [each for each in self.entries() if each["outcome"] != "refused"]
        return {**counted, "entries": len(done)}


async def _rows(database: Database, sql: str) -> list[dict[str, Any]]:
    async with database.transaction() as tx:
        return await tx.fetch_all(sql)


async def _begin(services: Services, experiment_id: str) -> None:
    for state, phase in ((State.INITIALIZING, Phase.DEPLOYING), (State.RUNNING, Phase.WARMUP)):
        experiment = await services.experiments.get(experiment_id)
        async with services.database.transaction() as tx:
            await services.experiments.move(
                tx, experiment, state, phase, reason="test", actor="controller",
                now=services.clock.now(),
            )  # fmt: skip


def open_door(loop: asyncio.Runner, url: str, data_dir: Path) -> Door:
    """An API over that database; close its services at the end."""
    services = build(
        Settings(data_dir=data_dir, database_url=url, ports=PORTS, log_level="warning")
    )
    loop.run(services.database.open())
    transport = httpx.ASGITransport(app=create_app(services), raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080")
    return Door(services=services, loop=loop, client=client)


@pytest.fixture(scope="module")
def door(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """An API for a module of tests."""
    with asyncio.Runner() as loop:
        # No request may change anything without its ledger entry.
        made = open_door(loop, guard(database_url), tmp_path_factory.mktemp("data"))
        yield made
        loop.run(made.client.aclose())
        loop.run(made.services.database.close())


@pytest.fixture
def free(door: Door) -> Door:
    """The API with nothing under way on this host."""
    door.cancel_all()
    return door


@pytest.fixture(scope="module")
def port(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the real server, in a thread of its own."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"), database_url=database_url, ports=PORTS,
        log_level="warning",
    )  # fmt: skip
    listening = server(create_app(build(settings)), host=LOOPBACK, port=free_port())
    thread = threading.Thread(target=lambda: asyncio.run(listening.serve()))
    thread.start()
    while not listening.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield listening.config.port
    listening.should_exit = True
    thread.join()
