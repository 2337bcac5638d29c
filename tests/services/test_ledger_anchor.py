"""Checkpoints outside the database: kept in a folder or a repository, and never contradicted."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from phoenix.ledger import note, signing
from phoenix.ledger.anchor import Folder
from phoenix.ledger.checkpoint import Checkpoint
from phoenix.ledger.errors import AnchorUnavailable, LogDamaged, LogRolledBack
from phoenix.ledger.keys import LogKey
from phoenix.ledger.log import Log
from phoenix.ledger.note import Note, Signature
from phoenix.ledger.sequencer import Sequencer
from phoenix.ledger.tree import EMPTY_ROOT
from phoenix.storage.database import Database
from phoenix.testing.databases import TestServer
from phoenix.testing.ledger import run_sql
from phoenix.testing.log import LocalSigner, record


class World:
    """A log, its signer's folder, and a folder outside."""

    def __init__(self, url: str, folder: Path, loop: asyncio.Runner) -> None:
        self.url, self.loop = url, loop
        self.keys, self.outside = folder / "ledger", folder / "outside"
        self.receipts: list[UUID] = []

    def grow(self, count: int, *, anchor: bool = True) -> bool:
        """A process that starts, sequences, signs, keeps its checkpoint outside, and ends."""

        async def live() -> bool:
            database, signer = Database(self.url), LocalSigner(self.keys)
            await database.open()
            try:
                self.receipts += await record(database, *map(str, range(count)))
                made = Sequencer(database, signer, Folder(self.outside))
                while await made.run_cycle():
                    continue
                kept = await made.anchor_if_due() if anchor else False
                await made._release() if anchor else None
                return kept
            finally:
                signer.close()
                await database.close()
                run_sql(self.url, "UPDATE leases SET expires_at = now() - interval '1 second'")

        return self.loop.run(live())

    def kept_sizes(self) -> list[int]:
        signer = LocalSigner(self.keys)
        signer.close()
        kept = Folder(self.outside).kept(signer.signer.last.key)
        for each in kept:
            note.parse(each.note).verified_by([signer.signer.last.key])
        return [each.checkpoint.size for each in kept]

    def state(self, receipt: UUID) -> str:
        async def ask() -> str:
            database = Database(self.url)
            await database.open()
            try:
                return (await Log(database).whereabouts(receipt)).state
            finally:
                await database.close()

        return self.loop.run(ask())


@pytest.fixture
def world(fresh_database_url: str, tmp_path: Path, run: asyncio.Runner) -> Iterator[World]:
    yield World(fresh_database_url, tmp_path, run)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_checkpoints_are_kept_in_a_folder(world: World) -> None:
    assert world.grow(3)
    assert world.state(world.receipts[0]) == "anchored"
    assert world.grow(4)
    assert world.kept_sizes() == [7, 3]
    assert world.grow(1, anchor=False) is False
    assert world.state(world.receipts[-1]) == "checkpointed"
    assert world.state(world.receipts[0]) == "anchored"


def test_the_same_checkpoint_is_kept_once(world: World) -> None:
    world.grow(3)
    assert not world.grow(0)
    assert world.kept_sizes() == [3]


def test_in_a_repository_each_is_committed_and_pushed(world: World, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "-q", "--bare", str(remote))
    git(tmp_path, "clone", "-q", str(remote), str(world.outside))
    git(world.outside, "config", "push.default", "current")
    assert world.grow(3)
    assert world.grow(2)
    said = git(remote, "log", "--all", "--format=%s").splitlines()
    assert [each.partition(" of phoenix")[0] for each in said] == [
        "Checkpoint of 5 entries", "Checkpoint of 3 entries",
    ]  # fmt: skip
    assert git(world.outside, "status", "--porcelain") == ""
    assert Folder(world.outside).kind == "git"


def test_what_cannot_be_kept_stops_nothing(world: World) -> None:
    world.outside.write_text("a file where the folder should be")
    assert not world.grow(3, anchor=False)
    with pytest.raises(AnchorUnavailable):
        Folder(world.outside).keep((world.keys / "signed.note").read_bytes())
    assert world.state(world.receipts[0]) == "checkpointed"
    world.outside.unlink()
    assert world.grow(1)


def test_a_remote_that_does_not_answer_stops_nothing(world: World, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", str(world.outside))
    git(world.outside, "remote", "add", "origin", str(tmp_path / "nowhere"))
    assert not world.grow(3)
    assert world.state(world.receipts[0]) == "checkpointed"
    assert world.kept_sizes() == [3], "here it is kept all the same"


def test_database_and_signer_restored_together_are_still_older_than_the_outside(
    world: World,
) -> None:
    """The one rollback that the signer cannot see, since it was rolled back too."""
    world.grow(3)
    shutil.copytree(world.keys, world.keys.with_name("backup"))
    old = run_sql(world.url, "SELECT current_database()").strip()
    run_sql(
        world.url.replace(old, "postgres"),
        f"CREATE DATABASE {old}_backup TEMPLATE {old}",
    )
    world.grow(2)
    world.url = world.url.replace(old, f"{old}_backup")
    shutil.rmtree(world.keys)
    world.keys.with_name("backup").rename(world.keys)
    with pytest.raises(LogRolledBack, match="checkpoint of 5 entries; there are 3"):
        world.grow(1)


def test_another_history_under_the_stolen_key_contradicts_the_outside(
    world: World, postgres: TestServer, tmp_path: Path
) -> None:
    world.grow(3)
    forged = World(postgres.fresh(), tmp_path / "forged", world.loop)
    shutil.copytree(world.keys, forged.keys)
    found = json.loads((forged.keys / signing.KEY).read_bytes())
    key = LogKey.from_seed(found["name"], bytes.fromhex(found["seed"]))
    text = Checkpoint(origin=key.name, size=0, root=EMPTY_ROOT).text
    empty = Note(text=text, signatures=(Signature(name=key.name, raw=key.sign(text)),))
    (forged.keys / signing.MEMORY).write_bytes(empty.to_bytes())  # it forgets the true history
    forged.grow(4)
    forged.outside = world.outside
    with pytest.raises(LogDamaged, match="another root of the first 3 entries"):
        forged.grow(1)


def test_other_files_in_the_folder_are_passed_over(world: World) -> None:
    world.grow(3)
    kept = next(world.outside.glob("*.checkpoint"))
    world.outside.joinpath("README").write_text("checkpoints")
    prefix = kept.name.partition("-")[0]
    world.outside.joinpath(f"{prefix}-9999999999999999999.checkpoint").write_text("junk")
    world.outside.joinpath(f"{prefix}-9999999999999999998.checkpoint").write_bytes(
        kept.read_bytes().replace(b"\n3\n", b"\n4\n")
    )
    assert world.grow(1)
    assert world.kept_sizes() == [4, 3]
