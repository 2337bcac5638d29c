"""The ledger as it runs, killed at any time: what was acknowledged is in the log, once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest

from phoenix.base.errors import PhoenixError
from phoenix.ledger import checkpoint, note, store
from phoenix.ledger.fsck import fsck
from phoenix.storage import migrate
from phoenix.storage.database import Database
from phoenix.storage.embedded import EmbeddedServer
from phoenix.testing.ledger import run_sql
from phoenix.testing.log import LocalSigner, an_entry

ROUNDS = 1000 if os.environ.get("PHOENIX_SOAK") == "full" else 30


class Running:
    """A server of our own, and the two processes of the ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = EmbeddedServer(folder)
        self.server.start()
        migrate.apply(self.server.dsn)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "phoenix", "serve", "ledger"],
            env={
                **os.environ,
                "DATABASE_URL": self.server.dsn,
                "PHOENIX_DATA_DIR": str(self.folder),
            },
            stderr=subprocess.DEVNULL,
        )

    def sql(self, text: str) -> str:
        return run_sql(self.server.dsn, text).strip()

    def signer_pids(self) -> list[int]:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with suppress(OSError):
            return [int(each) for each in children.read_text().split()]
        return []

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_server(self) -> None:
        pid = self.server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while self.server.is_running():
            time.sleep(0.02)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:  # until its children have noticed
            with suppress(PhoenixError):
                self.server.start()
                return
            time.sleep(0.2)
        raise AssertionError("the server does not start again")

    def until_published(self, within_s: float = 30) -> None:
        """Everything that was committed is under a checkpoint."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self.sql(_BEHIND) == "0":
                return
            time.sleep(0.1)
        raise AssertionError(f"behind: {self.sql(_BEHIND)}")

    def end(self) -> None:
        """End the ledger, which waits for its signer."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)

    def stop(self) -> None:
        self.end()
        self.server.stop()


_BEHIND = (
    "SELECT (SELECT count(*) FROM ledger_outbox) + (SELECT size FROM ledger_state)"
    " - coalesce((SELECT max(size) FROM ledger_checkpoints), 0)"
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.stop()


async def write(url: str, stop: threading.Event, journal: dict[UUID, bytes], seed: int) -> None:
    """A client: what it was told is committed, it writes down."""
    database, dice, count = Database(url), random.Random(seed), 0
    await database.open()
    try:
        while not stop.is_set():
            made = [an_entry(f"{seed}-{count + i}") for i in range(dice.randint(1, 9))]
            count += len(made)
            try:
                async with database.transaction() as tx:
                    for each in made:
                        await store.insert(tx, each.id, each.to_bytes(), always=True, behind_s=0)
            except PhoenixError:
                await asyncio.sleep(0.1)  # the outcome may be unknown: not in the journal
                continue
            journal |= {each.id: each.to_bytes() for each in made}
            await asyncio.sleep(dice.random() * 0.01)
    finally:
        await database.close()


def misfortune(running: Running, dice: random.Random) -> str:
    """One thing that happens."""
    signers = running.signer_pids()
    what = dice.choices(["ledger", "signer", "server"], [6, 3, 1])[0]
    if what == "signer" and signers:
        with suppress(ProcessLookupError):
            os.kill(signers[0], signal.SIGKILL)
    elif what == "server":
        running.kill_server()
    else:
        running.kill()
        # As if the time had passed after which another may lead.
        running.sql("UPDATE leases SET expires_at = now() - interval '1 second'")
        running.start()
    return what


@pytest.mark.soak
def test_killed_again_and_again_the_log_holds_everything_once(running: Running) -> None:
    """L1, L2, L5, L8: a client's journal against the log, after SIGKILL of every part."""
    dice, happened = random.Random(11), []
    journal: dict[UUID, bytes] = {}
    stop = threading.Event()
    running.start()

    async def write_all() -> None:
        await asyncio.gather(*(write(running.server.dsn, stop, journal, each) for each in range(3)))

    # The server ends with the thread that started it, so that misfortunes stay in this one.
    writers = threading.Thread(target=lambda: asyncio.run(write_all()))
    writers.start()
    for _ in range(ROUNDS):
        time.sleep(dice.random() * 1.6)
        happened.append(misfortune(running, dice))
    stop.set()
    writers.join()
    assert set(happened) == {"ledger", "signer", "server"}
    running.until_published()
    running.end()
    asyncio.run(compare(running, journal))


async def compare(running: Running, journal: dict[UUID, bytes]) -> None:
    """The log against the journal and against the signer's memory."""
    signer = LocalSigner(running.folder / "ledger")
    database = Database(running.server.dsn)
    await database.open()
    try:
        report = await fsck(database, [signer.signer.last.key])
        assert report.findings == []
        assert report.waiting == 0
        async with database.transaction() as tx:
            kept = {each.id: each.entry for each in await store.entries(tx, 0, 1 << 40)}
            last = await store.last_checkpoint(tx)
        assert len(kept) == report.entries >= len(journal) > 100
        assert {key: kept.get(key) for key in journal} == journal
        assert last is not None
        assert last.note == signer.signer.last.note
        assert checkpoint.parse(note.parse(last.note).text).size == report.entries
    finally:
        signer.close()
        await database.close()


def test_the_ledger_ends_when_told_and_its_signer_with_it(running: Running) -> None:
    running.start()
    assert running.process is not None
    asyncio.run(_one(running.server.dsn))
    running.until_published()
    (signer,) = running.signer_pids()
    running.process.terminate()
    assert running.process.wait(timeout=20) == 0
    assert not Path(f"/proc/{signer}").exists()


def test_the_signer_ends_with_a_ledger_that_is_killed(running: Running) -> None:
    running.start()
    asyncio.run(_one(running.server.dsn))
    running.until_published()
    (signer,) = running.signer_pids()
    running.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{signer}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{signer}").exists()


def test_the_signer_knows_no_database(running: Running) -> None:
    running.start()
    asyncio.run(_one(running.server.dsn))
    running.until_published()
    (signer,) = running.signer_pids()
    environment = Path(f"/proc/{signer}/environ").read_bytes()
    assert b"DATABASE_URL" not in environment


async def _one(url: str) -> None:
    database = Database(url)
    await database.open()
    made = an_entry("one")
    async with database.transaction() as tx:
        await store.insert(tx, made.id, made.to_bytes(), always=True, behind_s=0)
    await database.close()
