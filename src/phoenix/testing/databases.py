"""A fresh, migrated PostgreSQL database in milliseconds: one server, one template, cheap copies."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

from phoenix.storage import migrate
from phoenix.storage.embedded import EmbeddedServer, binaries

_TEMPLATE = "phoenix"


class TestServer:
    """An embedded server without fsync, with the schema in its template."""

    __test__ = False  # not a test case, whatever its name says to a collector of tests

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedServer(folder, durable=False)

    def start(self) -> None:
        """Start it and migrate the template."""
        self.server.start()
        migrate.apply(self.server.dsn)

    def stop(self) -> None:
        """Stop it."""
        self.server.stop()

    def fresh(self) -> str:
        """The URL of a new database with the schema and nothing else."""
        name = f"test_{uuid.uuid4().hex}"
        subprocess.run(
            [
                str(binaries() / "psql"), "-X", "-q", "-d", self.server.url("postgres"),
                "-c", f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}",
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip
        return self.server.url(name)
