"""What the ledger costs a change, how far behind it is, and how fast it proves and verifies.

    python bench/ledger.py [--seconds 10] [--clients 16] [--entries 200000]

Everything runs over a PostgreSQL of its own with fsync on, in a temporary folder, with the role
`ledger` and its signer as processes, beside the clients on the same cores.

1. *Changes*: a service call changes one row and records one entry, from Python, over the pool that
   services use. Beside it, in turns, the same call without the entry, and the same call with what
   others do: a hash chain, whose head every request locks and moves.
2. *Lag*: from the client's COMMIT to the commit of the checkpoint that covers the entry.
3. *Sequencer*: a full outbox to its last published checkpoint.
4. *Proofs*, *verification*, *size*: over the log that came out of that.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from phoenix.base.clock import SystemClock
from phoenix.ledger import bundle, checkpoint, facts, keys, note, service, store
from phoenix.ledger.fsck import fsck
from phoenix.ledger.log import Log
from phoenix.ledger.model import Actor, Entry, entry
from phoenix.ledger.readback import BATCH_MAX
from phoenix.ledger.sequencer import Sequencer
from phoenix.storage import migrate
from phoenix.storage.database import Database, Transaction
from phoenix.storage.embedded import EmbeddedServer
from phoenix.testing.ledger import run_sql
from phoenix.testing.log import LocalSigner

ROWS = 10_000
CLOCK = SystemClock()
TABLES = f"""
CREATE TABLE things (id int PRIMARY KEY, version int NOT NULL);
INSERT INTO things SELECT i, 0 FROM generate_series(0, {ROWS - 1}) AS i;
CREATE TABLE chain_head (one boolean PRIMARY KEY, hash bytea NOT NULL);
INSERT INTO chain_head VALUES (true, sha256(''));
CREATE TABLE chain (seq bigserial PRIMARY KEY, entry bytea NOT NULL, hash bytea NOT NULL);
"""
CHANGE = "UPDATE things SET version = version + 1 WHERE id = %(id)s"


@dataclass
class Calls:
    """What the clients of one kind did."""

    count: int = 0
    seconds: float = 0.0
    committed: dict[UUID, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.count / self.seconds


def an_entry(thing: int) -> Entry:
    return entry(
        kind="experiment", at=CLOCK.now(), actor=Actor(type="person", id="ada"),
        action="experiment.observe", target=f"exp-{thing:08d}", outcome="done",
        prev_state="running", new_state="running",
        reason="the window is complete and every guardrail passes",
        request_hash=hashlib.sha256(str(thing).encode()).hexdigest(),
    )  # fmt: skip


async def bare(tx: Transaction, thing: int) -> None:
    await tx.execute(CHANGE, {"id": thing})


async def audited(tx: Transaction, thing: int) -> UUID:
    await tx.execute(CHANGE, {"id": thing})
    return await service.record(tx, an_entry(thing))


async def chained(tx: Transaction, thing: int) -> None:
    await tx.execute(CHANGE, {"id": thing})
    data = an_entry(thing).to_bytes()
    head = await tx.fetch_one("SELECT hash FROM chain_head FOR UPDATE")
    assert head is not None
    found = hashlib.sha256(bytes(head["hash"]) + data).digest()
    await tx.execute("UPDATE chain_head SET hash = %(hash)s", {"hash": found})
    await tx.execute(
        "INSERT INTO chain (entry, hash) VALUES (%(e)s, %(h)s)", {"e": data, "h": found}
    )


Kind = Callable[[Transaction, int], Awaitable[UUID | None]]


async def clients(database: Database, kind: Kind, number: int, seconds: float, into: Calls) -> None:
    """So many clients call, one call after the other each, for so long."""
    end = time.perf_counter() + seconds

    async def one(dice: random.Random) -> None:
        while time.perf_counter() < end:
            async with database.transaction() as tx:
                receipt = await kind(tx, dice.randrange(ROWS))
            into.count += 1
            if receipt is not None:
                into.committed[receipt] = time.time()

    began = time.perf_counter()
    await asyncio.gather(*(one(random.Random(i)) for i in range(number)))
    into.seconds += time.perf_counter() - began


async def changes(dsn: str, number: int, seconds: float, turns: int = 3) -> dict[str, Calls]:
    """The three kinds in turns, so that a busy neighbour slows them alike."""
    database = Database(dsn, pool_max=number)
    await database.open()
    kinds: dict[str, Kind] = {"bare": bare, "audited": audited, "chained": chained}
    found = {name: Calls() for name in kinds}
    await clients(database, bare, number, 0.5, Calls())
    for _ in range(turns):
        for name, kind in kinds.items():
            await clients(database, kind, number, seconds / turns, found[name])
            await asyncio.sleep(0.5)  # what waits is sequenced before the next has its turn
    await database.close()
    return found


async def lags(dsn: str, committed: dict[UUID, float]) -> list[float]:
    """Seconds from COMMIT to the checkpoint, sorted."""
    database = Database(dsn)
    await database.open()
    for _ in range(600):
        if not (await Log(database).status()).waiting:
            break
        await asyncio.sleep(0.2)
    async with database.transaction() as tx:
        rows = await tx.fetch_all("SELECT id, seq FROM ledger_entries ORDER BY seq")
        marks = await store.checkpoints(tx, 0, 10**9)
    await database.close()
    found, at = [], 0
    for row in rows:
        while marks[at].size <= row["seq"]:
            at += 1
        if row["id"] in committed:
            found.append(marks[at].at.timestamp() - committed[row["id"]])
    return sorted(found)


def share(values: list[float], part: float) -> float:
    return values[min(len(values) - 1, int(part * len(values)))]


async def drain(dsn: str, folder: Path, entries: int) -> tuple[float, list[float]]:
    """Seconds to sequence, sign and publish a full outbox, and those of each checkpoint."""
    database, signer = Database(dsn), LocalSigner(folder)
    await database.open()
    made = Sequencer(database, signer)
    lead = await made.take_over(10**6)
    signing: list[float] = []
    began, cpu = time.perf_counter(), time.process_time()
    while await made.sequence(lead.epoch):
        each = time.perf_counter()
        await made.sign_and_publish(lead)
        signing.append(time.perf_counter() - each)
    seconds = time.perf_counter() - began
    print(
        f"sequencer: {(time.process_time() - cpu) / entries * 1e6:.1f} µs of CPU an entry, Python"
    )
    assert lead.signed.size >= entries
    while await facts.catch_up(database):  # for the sizes below, after the time was taken
        continue
    await database.close()
    signer.close()
    return seconds, sorted(signing)


async def reading(dsn: str, folder: Path) -> dict[str, float]:
    """Proofs made and verified, the whole log checked and taken along."""
    database, signer = Database(dsn), LocalSigner(folder)
    await database.open()
    log, key = Log(database), signer.signer.last.key
    size = (await log.checkpoint()).size
    dice, found = random.Random(5), {}
    began = time.perf_counter()
    receipts = [await log.receipt(dice.randrange(size)) for _ in range(300)]
    found["proofs a second, one client"] = 300 / (time.perf_counter() - began)
    entries = [await log.entry(each.index) for each in receipts]
    began = time.perf_counter()
    for each, data in zip(receipts, entries, strict=True):
        each.verify(data, key.name, [key])
    found["receipts verified a second, signature included"] = 300 / (time.perf_counter() - began)
    began = time.perf_counter()
    report = await fsck(database, [key])
    assert report.sound, report.findings
    found["entries checked a second by fsck"] = report.entries / (time.perf_counter() - began)
    signed = (await log.checkpoint()).note
    contents = bundle.head(signed, keys.parse(key.text))
    said = checkpoint.parse(note.parse(signed).text)
    for path in bundle.paths_of_all(said.size):
        contents.append((path, await log.tile(path)))
    began = time.perf_counter()
    bundle.verify(contents, [key])
    seconds = time.perf_counter() - began
    found["entries verified a second, whole log offline"] = size / seconds
    found["10 million entries offline, seconds (extrapolated)"] = seconds / size * 10_000_000
    await database.close()
    signer.close()
    return found


def sizes(dsn: str) -> dict[str, float]:
    """Bytes an entry, tables with their indexes."""
    names = ("ledger_entries", "ledger_tiles", "ledger_facts", "ledger_checkpoints")
    rows = run_sql(
        dsn,
        "VACUUM; SELECT (SELECT size FROM ledger_state),"
        " (SELECT avg(octet_length(entry)) FROM ledger_entries), "
        + ", ".join(f"pg_total_relation_size('{name}')" for name in names),
    )
    size, mean, *tables = (float(each) for each in rows.strip().split("|"))
    found = {"bytes of an entry itself": mean}
    found |= {
        f"{name}, bytes an entry": each / size for name, each in zip(names, tables, strict=True)
    }
    found["100 million entries, GB (extrapolated)"] = sum(tables) / size * 1e8 / 1e9
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--entries", type=int, default=200_000)
    asked = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as name:
        server = EmbeddedServer(Path(name))
        server.start()
        try:
            migrate.apply(server.dsn)
            run_sql(server.dsn, TABLES)
            measure(server.dsn, Path(name), asked)
        finally:
            server.stop()


def measure(dsn: str, folder: Path, asked: argparse.Namespace) -> None:
    ledger = subprocess.Popen(
        [sys.executable, "-m", "phoenix", "serve", "ledger"],
        env={**os.environ, "DATABASE_URL": dsn, "PHOENIX_DATA_DIR": str(folder)},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not run_sql(dsn, "SELECT origin FROM ledger_state").strip():
            time.sleep(0.1)
        found = asyncio.run(changes(dsn, asked.clients, asked.seconds))
        late = asyncio.run(lags(dsn, found["audited"].committed))
    finally:
        ledger.terminate()
        ledger.wait()
    for kind, calls in found.items():
        print(f"{kind:>8}: {calls.rate:8,.0f} calls/s, {asked.clients} clients")
    print(f"audited of bare: {found['audited'].rate / found['bare'].rate:.0%}")
    print(
        f"lag to checkpoint: p50 {share(late, 0.5) * 1e3:.0f} ms, p99 {share(late, 0.99) * 1e3:.0f}"
        f" ms, longest {late[-1] * 1e3:.0f} ms"
    )
    run_sql(
        dsn,
        "INSERT INTO ledger_outbox (id, entry) SELECT gen_random_uuid(), entry FROM ("
        " SELECT entry FROM ledger_entries ORDER BY seq LIMIT 1000) AS some_entries,"
        f" generate_series(1, {asked.entries} / 1000)",
    )
    seconds, signing = asyncio.run(drain(dsn, folder / "ledger", asked.entries))
    print(f"sequencer: {asked.entries / seconds:,.0f} entries/s, batches of {BATCH_MAX:,}")
    print(
        f"read back, sign and publish {BATCH_MAX:,} entries: p50 {share(signing, 0.5) * 1e3:.1f},"
        f" p99 {share(signing, 0.99) * 1e3:.1f} ms"
    )
    for what, figure in (asyncio.run(reading(dsn, folder / "ledger")) | sizes(dsn)).items():
        print(f"{what}: {figure:,.0f}")


if __name__ == "__main__":
    main()
