"""What tests share: one embedded PostgreSQL for a run, and a fresh database for each module."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from phoenix.testing.databases import TestServer


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """The embedded server of this run."""
    server = TestServer(tmp_path_factory.mktemp("pg"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def database_url(postgres: TestServer) -> str:
    """A fresh, migrated database."""
    return postgres.fresh()


@pytest.fixture
def fresh_database_url(postgres: TestServer) -> str:
    """A fresh, migrated database for one test."""
    return postgres.fresh()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data folder."""
    return tmp_path / "data"


@pytest.fixture
def run() -> Iterator[asyncio.Runner]:
    """Runs coroutines on one event loop."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A test that configured logging wrote to a stream which ends with the test."""
    yield
    structlog.reset_defaults()
