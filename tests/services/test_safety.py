"""The kill plane over a real database and a real file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from phoenix.base.clock import SystemClock
from phoenix.base.errors import Unavailable
from phoenix.ledger import store as ledger_store
from phoenix.safety import file, store
from phoenix.safety.errors import Killed, KillFileTampered, NotKilled, Overtaken
from phoenix.safety.model import KillState
from phoenix.safety.service import SafetyService
from phoenix.safety.watch import SafetyWatch
from phoenix.storage.database import Database, Transaction


class Plane:
    """One kill plane and the loop it lives on."""

    def __init__(self, runner: asyncio.Runner, url: str, data_dir: Path) -> None:
        self.runner = runner
        self.database = Database(url)
        self.data_dir = data_dir
        self.safety = SafetyService(self.database, SystemClock(), data_dir)
        runner.run(self.database.open())

    def kill(self) -> None:
        self.safety.kill(actor="sre", reason="drill", scope="all")
        self.runner.run(self.safety.reconcile())

    def entries(self) -> list[dict[str, object]]:
        async def read() -> list[dict[str, object]]:
            async with self.database.transaction() as tx:
                return [json.loads(body) for _, body in await ledger_store.outbox(tx)]

        return self.runner.run(read())


@pytest.fixture
def plane(run: asyncio.Runner, fresh_database_url: str, data_dir: Path) -> Iterator[Plane]:
    made = Plane(run, fresh_database_url, data_dir)
    yield made
    run.run(made.database.close())


def test_a_kill_is_in_the_row_the_file_and_the_ledger(plane: Plane) -> None:
    plane.kill()
    state = plane.runner.run(plane.safety.state())
    assert state.killed
    kept = file.read(plane.data_dir)
    assert kept is not None
    assert (kept.state, kept.told) == (state, True)
    assert [entry["action"] for entry in plane.entries()] == ["safety.kill"]


def test_killing_twice_changes_nothing(plane: Plane) -> None:
    plane.kill()
    first = plane.runner.run(plane.safety.state())
    plane.kill()
    assert plane.runner.run(plane.safety.state()) == first
    assert len(plane.entries()) == 1


def test_nothing_of_the_scope_begins_while_killed(plane: Plane) -> None:
    plane.kill()

    async def begin() -> None:
        async with plane.database.transaction() as tx:
            await plane.safety.refuse_when_killed(tx, "experiments")

    with pytest.raises(Killed, match="drill"):
        plane.runner.run(begin())


def test_a_kill_of_payments_lets_experiments_go_on(plane: Plane) -> None:
    plane.safety.kill(actor="sre", reason="drill", scope="payments")
    state = plane.runner.run(plane.safety.reconcile())
    assert state.stops("payments")
    assert not state.stops("experiments")


def test_revive_ends_it_and_only_once(plane: Plane) -> None:
    plane.kill()
    plane.runner.run(plane.safety.revive(actor="sre", reason="fixed"))
    assert not plane.runner.run(plane.safety.state()).killed
    with pytest.raises(NotKilled):
        plane.runner.run(plane.safety.revive(actor="sre", reason="again"))


def test_a_crash_between_row_and_file_of_a_revive_does_not_kill_again(plane: Plane) -> None:
    plane.kill()
    before = (plane.data_dir / file.FILE).read_bytes()
    plane.runner.run(plane.safety.revive(actor="sre", reason="fixed"))
    (plane.data_dir / file.FILE).write_bytes(before)
    assert not plane.runner.run(plane.safety.reconcile()).killed
    kept = file.read(plane.data_dir)
    assert kept is not None
    assert kept.state == plane.runner.run(plane.safety.state())


def test_a_file_that_was_touched_stops_candidates_until_a_person_revives(plane: Plane) -> None:
    plane.kill()
    plane.runner.run(plane.safety.revive(actor="sre", reason="fixed"))
    path = plane.data_dir / file.FILE
    path.write_text(path.read_text().replace("fixed", "other"))
    with pytest.raises(KillFileTampered):
        file.read(plane.data_dir)
    watch = SafetyWatch(plane.safety, SystemClock())
    plane.runner.run(watch.confirm())
    assert not watch.may_run().allowed
    plane.runner.run(plane.safety.revive(actor="sre", reason="looked into it"))
    plane.runner.run(watch.confirm())
    assert watch.may_run().allowed


def test_without_a_database_nothing_is_confirmed_and_a_kill_still_holds(
    run: asyncio.Runner, data_dir: Path
) -> None:
    database = Database("postgres://nobody@127.0.0.1:1/none")
    safety = SafetyService(database, SystemClock(), data_dir)
    watch = SafetyWatch(safety, SystemClock())
    assert not run.run(watch.confirm())
    assert not watch.may_run().allowed
    safety.kill(actor="sre", reason="drill", scope="all")
    assert "drill" in watch.may_run().reason
    with pytest.raises(Unavailable):
        run.run(safety.revive(actor="sre", reason="cannot"))


def test_confirmation_ages_out_after_two_seconds(plane: Plane) -> None:
    class Later(SystemClock):
        offset_s = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.offset_s

    clock = Later()
    watch = SafetyWatch(plane.safety, clock)
    assert plane.runner.run(watch.confirm())
    assert watch.may_run().allowed
    clock.offset_s = 2.5
    assert not watch.may_run().allowed


def test_a_kill_of_another_scope_never_frees_what_is_stopped(plane: Plane) -> None:
    plane.safety.kill(actor="sre", reason="drill", scope="experiments")
    plane.safety.kill(actor="sre", reason="drill", scope="payments")
    state = plane.runner.run(plane.safety.reconcile())
    assert state.stops("experiments")
    assert state.stops("payments")


def test_one_kill_is_one_entry_however_many_processes_see_the_file(
    plane: Plane, fresh_database_url: str
) -> None:
    async def all_at_once() -> None:
        databases = [Database(fresh_database_url) for _ in range(4)]
        watchers = [SafetyService(d, SystemClock(), plane.data_dir) for d in databases]
        for database, watcher in zip(databases, watchers, strict=True):
            await database.open()
            await watcher.reconcile()
        for _ in range(5):
            plane.safety.kill(actor="sre", reason="drill", scope="all")
            await asyncio.gather(*(watcher.reconcile() for watcher in watchers))
            await plane.safety.revive(actor="sre", reason="drill over")
        for database in databases:
            await database.close()

    plane.runner.run(all_at_once())
    actions = [entry["action"] for entry in plane.entries()]
    assert actions == ["safety.kill", "safety.revive"] * 5


def test_processes_that_write_the_first_file_at_once_agree_on_one_key(data_dir: Path) -> None:
    safety = SafetyService(Database("postgres://nobody@127.0.0.1:1/none"), SystemClock(), data_dir)
    safety.kill(actor="sre", reason="drill", scope="all")
    first = (data_dir / file.KEY).read_bytes()
    file._create_key(data_dir / file.KEY)  # what the slower of two does
    assert (data_dir / file.KEY).read_bytes() == first
    assert len(first) == 32
    assert not list(data_dir.glob("*.new"))


def test_a_kill_on_a_machine_that_is_behind_is_told_and_not_written_away(plane: Plane) -> None:
    for _ in range(3):  # the row's epoch runs ahead of the file of a machine that was cut off
        plane.kill()
        plane.runner.run(plane.safety.revive(actor="sre", reason="fixed"))
    (plane.data_dir / file.FILE).unlink()
    plane.safety.kill(actor="sre", reason="cut off", scope="all")
    assert plane.runner.run(plane.safety.state()).killed
    assert plane.runner.run(plane.safety.reconcile()).reason == "cut off"
    assert plane.entries()[-1]["reason"] == "cut off"


def test_a_kill_that_comes_during_a_revive_holds(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.kill()
    put = store.put

    async def killed_meanwhile(tx: Transaction, state: KillState) -> bool:
        won = await put(tx, state)
        (plane.data_dir / file.FILE).unlink()  # as if an older file were there
        plane.safety.kill(actor="sre", reason="again", scope="all")
        return won

    monkeypatch.setattr(store, "put", killed_meanwhile)
    with pytest.raises(Overtaken):
        plane.runner.run(plane.safety.revive(actor="sre", reason="fixed"))
    monkeypatch.undo()
    assert plane.runner.run(plane.safety.reconcile()).reason == "again"
    watch = SafetyWatch(plane.safety, SystemClock())
    plane.runner.run(watch.confirm())
    assert not watch.may_run().allowed
