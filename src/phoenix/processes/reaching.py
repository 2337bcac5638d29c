"""The database of this machine's Phoenix, for commands that need no server in between."""

from __future__ import annotations

from pathlib import Path

from phoenix.base.errors import Invalid
from phoenix.processes import state
from phoenix.settings import load
from phoenix.storage.database import Database
from phoenix.storage.embedded import EmbeddedServer


def database(data_dir: Path) -> Database:
    """The database in the data folder, or the one of DATABASE_URL; not opened yet.

    Raises:
        Invalid: Phoenix runs over another one.
    """
    settings = load()
    if not settings.database_is_embedded:
        return Database(settings.database_url, pool_max=2)
    running = state.read(data_dir)
    if running is not None and running.database == "external":
        raise Invalid(
            "This Phoenix uses a database of yours.", remedy="Set DATABASE_URL as it was set then."
        )
    return Database(EmbeddedServer(data_dir).dsn, pool_max=2)
