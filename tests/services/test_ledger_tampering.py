"""What somebody can do who owns the database server, and which check sees it.

Three look at a log: `fsck` with the keys alone, the next start of the sequencer with its signer,
and `fsck` with a checkpoint that somebody kept outside. What only the last sees is why one should.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from phoenix.base.errors import PhoenixError
from phoenix.ledger import nodes, signing, store
from phoenix.ledger.checkpoint import Checkpoint
from phoenix.ledger.errors import LogDamaged, LogRolledBack, SignerForeign
from phoenix.ledger.fsck import fsck
from phoenix.ledger.keys import LogKey
from phoenix.ledger.note import Note, Signature
from phoenix.ledger.sequencer import Sequencer
from phoenix.ledger.store import Published
from phoenix.ledger.tree import EMPTY_ROOT
from phoenix.storage.database import Database
from phoenix.testing.databases import TestServer
from phoenix.testing.ledger import run_sql
from phoenix.testing.log import LocalSigner, record

SIZES = (200, 400, 600)


@dataclass
class Log:
    """A log of 600 entries in three checkpoints, of which somebody kept the last."""

    url: str
    folder: Path
    kept: Published

    def as_superuser(self, sql: str) -> None:
        run_sql(self.url, f"SET session_replication_role = replica; {sql}")

    def seen(self, *, outside: bool) -> set[str]:
        """The checks of fsck that found something."""

        async def look() -> set[str]:
            database = Database(self.url)
            await database.open()
            signer = LocalSigner(self.folder)
            try:
                keys = [signer.signer.last.key]
                report = await fsck(database, keys, [self.kept] if outside else [])
                return {each.check for each in report.findings}
            finally:
                signer.close()
                await database.close()

        return asyncio.run(look())

    def start(self) -> type[PhoenixError] | None:
        """What the next start of the sequencer says."""

        async def begin() -> type[PhoenixError] | None:
            database = Database(self.url)
            await database.open()
            signer = LocalSigner(self.folder)
            try:
                await record(database, "the next")
                await Sequencer(database, signer).run_cycle()
            except PhoenixError as refusal:
                return type(refusal)
            finally:
                signer.close()
                await database.close()
            return None

        return asyncio.run(begin())


async def written(url: str, folder: Path, word: str) -> Published:
    """A log in an empty database; its last checkpoint."""
    database, signer = Database(url), LocalSigner(folder)
    await database.open()
    made = Sequencer(database, signer)
    for first, end in zip((0, *SIZES), SIZES, strict=False):
        await record(database, *(f"{word} {i}" for i in range(first, end)))
        while await made.run_cycle():
            continue
    async with database.transaction() as tx:
        last = await store.last_checkpoint(tx)
        await tx.execute("UPDATE leases SET expires_at = now() - interval '1 second'")
    signer.close()
    await database.close()
    assert last is not None and last.size == SIZES[-1]
    return last


@pytest.fixture
def log(fresh_database_url: str, tmp_path: Path) -> Iterator[Log]:
    folder = tmp_path / "ledger"
    kept = asyncio.run(written(fresh_database_url, folder, "true"))
    # PostgreSQL checks leaves even then; he who owns it drops the check first.
    run_sql(
        fresh_database_url,
        "ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_check;"
        "ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_seq_check",
    )
    yield Log(fresh_database_url, folder, kept)


REHASH = "leaf = sha256('\\x00'::bytea || entry)"
EDIT = "entry = convert_to(replace(convert_from(entry, 'UTF8'), 'ada', 'eve'), 'UTF8')"

#: What is done, what fsck then sees without help, and what the next start says.
SCRIPTS: dict[str, tuple[str, set[str], type[PhoenixError] | None]] = {
    "edit an entry": (
        f"UPDATE ledger_entries SET {EDIT} WHERE seq = 300",
        {"leaf", "checkpoint", "state"},
        None,
    ),
    "edit an entry and its leaf": (
        f"UPDATE ledger_entries SET {EDIT} WHERE seq = 300; UPDATE ledger_entries SET {REHASH}",
        {"checkpoint", "state", "tile"},
        None,
    ),
    "edit the newest entry and its leaf": (
        f"UPDATE ledger_entries SET {EDIT} WHERE seq = 599; UPDATE ledger_entries SET {REHASH}",
        {"checkpoint", "state"},
        LogDamaged,
    ),
    "delete an entry": (
        "DELETE FROM ledger_entries WHERE seq = 300",
        {"sequence", "checkpoint", "state"},
        None,
    ),
    "delete an entry and close the gap": (
        "DELETE FROM ledger_entries WHERE seq = 300;"
        "UPDATE ledger_entries SET seq = -seq WHERE seq > 300;"
        "UPDATE ledger_entries SET seq = -seq - 1 WHERE seq < 0",
        {"checkpoint", "state", "tile"},
        LogDamaged,
    ),
    "insert an entry": (
        "UPDATE ledger_entries SET seq = -seq - 1 WHERE seq >= 300;"
        "UPDATE ledger_entries SET seq = -seq WHERE seq < 0;"
        "INSERT INTO ledger_entries VALUES (300, gen_random_uuid(), 'x',"
        " sha256('\\x00'::bytea || 'x'))",
        {"checkpoint", "state", "tile"},
        LogDamaged,
    ),
    "swap two entries": (
        "UPDATE ledger_entries SET seq = -1 WHERE seq = 300;"
        "UPDATE ledger_entries SET seq = 300 WHERE seq = 301;"
        "UPDATE ledger_entries SET seq = 301 WHERE seq = -1",
        {"checkpoint", "state", "tile"},
        None,
    ),
    "cut the end off": (
        "DELETE FROM ledger_entries WHERE seq >= 550",
        {"checkpoint", "state"},
        LogDamaged,
    ),
    "cut the end off everywhere": (
        "DELETE FROM ledger_checkpoints WHERE size > 400;"
        "DELETE FROM ledger_tiles WHERE n > 0;"
        "DELETE FROM ledger_facts WHERE seq >= 400;"
        "DELETE FROM ledger_entries WHERE seq >= 400;"
        "UPDATE ledger_state SET size = 400, root = (SELECT root FROM ledger_checkpoints"
        " WHERE size = 400), frontier = 'FRONTIER'",
        set(),
        LogRolledBack,
    ),
    "change a tile": (
        "UPDATE ledger_tiles SET data = set_bit(data, 9, 1 - get_bit(data, 9)) WHERE n = 1",
        {"tile"},
        None,
    ),
    "change the root of a tile": (
        "UPDATE ledger_tiles SET root = sha256('x') WHERE n = 0",
        {"tile"},
        LogDamaged,
    ),
    "change the state": ("UPDATE ledger_state SET root = sha256('x')", {"state"}, LogDamaged),
    "change a checkpoint": (
        "UPDATE ledger_checkpoints SET root = sha256('x') WHERE size = 400",
        {"note", "checkpoint"},
        None,
    ),
    "give a checkpoint the note of another": (
        "UPDATE ledger_checkpoints SET note ="
        " (SELECT note FROM ledger_checkpoints WHERE size = 200) WHERE size = 400",
        {"note"},
        None,
    ),
    "forge a note": (
        "UPDATE ledger_checkpoints SET note = 'x' WHERE size = 600",
        {"note"},
        LogDamaged,
    ),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_tampering_is_seen_and_it_is_said_by_which_check(log: Log, script: str) -> None:
    sql, seen, refusal = SCRIPTS[script]
    log.as_superuser(sql.replace("'FRONTIER'", frontier_of(log, 400)))
    assert log.seen(outside=False) == seen
    # A checkpoint from outside names what it contradicts, as the one in the table does.
    also = {"outside"} if "checkpoint" in seen or not seen else set()
    if script == "change a checkpoint":
        also = set()  # that one is only in the table
    assert log.seen(outside=True) == seen | also
    assert log.start() is refusal
    if refusal is None:
        assert log.seen(outside=False) >= seen  # signing more does not hide it


def frontier_of(log: Log, size: int) -> str:
    """The frontier of a part of the log, as an SQL text: an owner can compute it too."""

    async def read() -> bytes:
        database = Database(log.url)
        await database.open()
        async with database.transaction() as tx:
            found = await nodes.frontier(tx, size)
        await database.close()
        return found.to_bytes()

    return f"'\\x{asyncio.run(read()).hex()}'"


def forgery(postgres: TestServer, folder: Path, name: str, seed: bytes) -> Log:
    """Another history of the same length, signed from its first entry on."""
    folder.mkdir()
    key = LogKey.from_seed(name, seed)
    text = Checkpoint(origin=name, size=0, root=EMPTY_ROOT).text
    empty = Note(text=text, signatures=(Signature(name=name, raw=key.sign(text)),))
    (folder / signing.KEY).write_text(json.dumps({"name": name, "seed": seed.hex()}))
    (folder / signing.MEMORY).write_bytes(empty.to_bytes())
    url = postgres.fresh()
    return Log(url, folder, asyncio.run(written(url, folder, "forged")))


def test_a_log_that_was_replaced_and_signed_with_another_key_is_seen(
    log: Log, postgres: TestServer, tmp_path: Path
) -> None:
    forged = forgery(postgres, tmp_path / "forged", "phoenix.local/forged", bytes(32))
    seen = Log(forged.url, log.folder, log.kept)
    assert seen.seen(outside=False) == {"note"}
    assert seen.seen(outside=True) == {"note", "outside"}
    assert seen.start() is SignerForeign


def test_a_log_that_was_replaced_and_signed_with_the_stolen_key_is_seen_from_outside(
    log: Log, postgres: TestServer, tmp_path: Path
) -> None:
    """Without anybody's memory a perfect forgery is a log."""
    key = json.loads((log.folder / signing.KEY).read_bytes())
    forged = forgery(postgres, tmp_path / "forged", key["name"], bytes.fromhex(key["seed"]))
    assert forged.seen(outside=False) == set()
    seen = Log(forged.url, log.folder, log.kept)
    assert seen.seen(outside=True) == {"outside"}
    assert seen.start() is LogDamaged, "the signer remembers"
    shutil.copytree(forged.folder, log.folder, dirs_exist_ok=True)
    assert seen.start() is None, "once its memory is replaced too, only the outside is left"
    assert seen.seen(outside=True) == {"outside"}
