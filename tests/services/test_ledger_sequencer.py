"""From the outbox to a published checkpoint: nothing lost, nothing twice, whatever happens when."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import UUID

import pytest

from phoenix.base.errors import PhoenixError
from phoenix.ledger import (
    checkpoint,
    facts,
    nodes,
    note,
    readback,
    sequencer,
    service,
    signing,
    store,
)
from phoenix.ledger.errors import (
    ForkRefused,
    LedgerBehind,
    LogDamaged,
    LogRolledBack,
    SequencerOvertaken,
    SignerForeign,
)
from phoenix.ledger.fsck import Report, fsck
from phoenix.ledger.sequencer import Sequencer
from phoenix.ledger.tree import verify_consistency, verify_inclusion
from phoenix.storage.database import Database
from phoenix.testing.ledger import run_sql
from phoenix.testing.log import LocalSigner, an_entry, record


class World:
    """One database, one signer's folder, and a journal of what was acknowledged."""

    def __init__(self, url: str, folder: Path, loop: asyncio.Runner) -> None:
        self.url, self.folder, self.loop = url, folder, loop
        self.database = Database(url)
        self.loop.run(self.database.open())
        self.signer = LocalSigner(folder)
        self.journal: dict[UUID, bytes] = {}

    def do(self, story: Any) -> Any:
        return self.loop.run(story)

    def record(self, count: int) -> None:
        targets = [str(len(self.journal) + i) for i in range(count)]
        self.journal |= self.do(record(self.database, *targets))

    def restarted(self) -> Sequencer:
        """What comes after a crash: another process with the same database and folder."""
        self.signer.close()
        self.signer = LocalSigner(self.folder)
        self.sql("UPDATE leases SET expires_at = now() - interval '1 second'")
        return Sequencer(self.database, self.signer)

    def settle(self, by: Sequencer | None = None) -> Sequencer:
        """Cycles until nothing waits."""
        by = by or self.restarted()
        while self.do(by.run_cycle()):
            continue
        return by

    def check(self) -> Report:
        return self.do(fsck(self.database, [self.signer.signer.last.key]))

    def assert_whole(self) -> None:
        """L1, L2, L5, L10: every acknowledged entry once, in a log that is what was signed."""
        report = self.check()
        assert report.findings == []
        assert report.waiting == 0
        kept = self.do(self.entries())
        assert {each.id: each.entry for each in kept} == self.journal
        assert [each.seq for each in kept] == list(range(len(self.journal)))
        last = self.do(self.last())
        assert (last.size if last else 0) == len(self.journal)
        assert self.signer.signer.last.checkpoint.size == len(self.journal)

    async def entries(self) -> list[store.Logged]:
        async with self.database.transaction() as tx:
            return await store.entries(tx, 0, 1 << 40)

    async def last(self) -> store.Published | None:
        async with self.database.transaction() as tx:
            return await store.last_checkpoint(tx)

    def sql(self, text: str) -> str:
        return run_sql(self.url, text)

    def as_superuser(self, text: str) -> None:
        """What somebody does who owns the server: triggers do not hold him."""
        self.sql(f"SET session_replication_role = replica; {text}")

    def close(self) -> None:
        self.signer.close()
        self.do(self.database.close())


@pytest.fixture
def world(fresh_database_url: str, tmp_path: Path, run: asyncio.Runner) -> Iterator[World]:
    made = World(fresh_database_url, tmp_path / "ledger", run)
    yield made
    made.close()


def test_entries_get_places_a_checkpoint_and_leave_the_outbox(world: World) -> None:
    world.record(3)
    world.settle()
    world.assert_whole()
    world.record(700)
    world.settle()
    world.assert_whole()
    last = world.do(world.last())
    signed = note.parse(last.note)
    signed.verified_by([world.signer.signer.last.key])
    assert checkpoint.parse(signed.text).size == 703


def test_a_large_log_fills_tiles_of_two_levels(world: World) -> None:
    world.record(3)
    world.settle()
    world.sql(
        "INSERT INTO ledger_outbox (id, entry)"
        " SELECT gen_random_uuid(), convert_to(i::text, 'UTF8')"
        " FROM generate_series(1, 66000) AS i"
    )
    world.settle()
    report = world.check()
    assert report.findings == []
    assert (report.entries, report.tiles) == (66_003, 257 + 1)


def test_every_entry_is_proved_in_every_later_checkpoint(world: World) -> None:
    """L6 and L7, over all pairs."""
    made = world.restarted()
    for count in (1, 2, 5, 40, 210, 300, 3):
        world.record(count)
        world.settle(made)

    async def prove() -> int:
        checked = 0
        async with world.database.transaction() as tx:
            marks = await store.checkpoints(tx, 0, 100)
            kept = await store.entries(tx, 0, 1000)
            for later in marks:
                for earlier in (each for each in marks if each.size <= later.size):
                    proof = await nodes.consistency(tx, earlier.size, later.size)
                    verify_consistency(earlier.size, later.size, proof, earlier.root, later.root)
                for each in kept[: later.size : 7]:
                    proof = await nodes.inclusion(tx, each.seq, later.size)
                    verify_inclusion(each.leaf, each.seq, later.size, proof, later.root)
                    checked += 1
        return checked

    assert world.do(prove()) > 100


def test_an_empty_log_signs_nothing_and_the_same_size_is_not_signed_twice(world: World) -> None:
    made = world.restarted()
    world.settle(made)
    assert world.do(world.last()) is None
    world.record(1)
    world.settle(made)
    world.settle(made)
    assert world.sql("SELECT count(*) FROM ledger_checkpoints").strip() == "1"


# A crash at any line.


class Crash(BaseException):
    """The process is gone: nothing of ours may catch it."""


WATCHED = {each.__file__ for each in (sequencer, readback, signing, store, nodes, facts)}


def crash_at(line: int) -> tuple[Callable[..., Any], list[int]]:
    """A trace function that ends everything at the n-th line that runs in the ledger."""
    counted = [0]

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in WATCHED:
            return None
        if event == "line":
            counted[0] += 1
            if counted[0] == line:
                raise Crash
        return trace

    return trace, counted


async def traced(trace: Any, by: Sequencer) -> None:
    sys.settrace(trace)
    try:
        await by.run_cycle()
    finally:
        sys.settrace(None)


def test_a_crash_at_any_line_loses_nothing_and_repeats_nothing(world: World) -> None:
    line, crashes = 0, 0
    while True:
        line += 1 + line // 40  # every line of the start, then samples of what repeats
        world.record(1 + line % 3)
        if line % 5 == 0:
            world.record(260)  # a tile becomes full
        by = world.restarted()
        trace, counted = crash_at(line)
        try:
            world.do(traced(trace, by))
        except Crash:
            crashes += 1
        if line % 4 == 0 or counted[0] < line:
            world.settle()
            world.assert_whole()
        if counted[0] < line:
            break
    assert crashes > 60


def test_a_note_that_was_signed_and_not_published_is_published_by_the_next(world: World) -> None:
    """L8: the signer remembers; the database did not hear of it."""
    world.record(2)
    made = world.restarted()
    lead = world.do(made.take_over(1))
    world.do(made.sequence(1))

    async def sign_only() -> None:
        async with world.database.transaction() as tx:
            grown, proof = await readback.read_back(tx, lead.signed, await store.state(tx))
        await world.signer.sign(grown.size, grown.root(), proof)

    world.do(sign_only())
    assert world.do(world.last()) is None
    world.settle()
    world.assert_whole()


# Two sequencers by mistake: three guards, each alone.


def without_lock(world: World) -> None:
    """The advisory lock says yes to everybody."""
    world.sql(
        "CREATE SCHEMA broken;"
        "CREATE FUNCTION broken.pg_try_advisory_xact_lock(bigint) RETURNS boolean"
        " LANGUAGE sql AS 'SELECT true';"
        f"ALTER DATABASE {world.sql('SELECT current_database()').strip()}"
        " SET search_path = broken, pg_catalog, public"
    )


def without_state(world: World, patch: pytest.MonkeyPatch) -> None:
    """The state row takes what anybody says, also that the log has become smaller."""
    world.sql("DROP TRIGGER ledger_state_grows ON ledger_state")
    text = store._Q["advance"].partition("WHERE")[0]
    # The arguments have to be used, else the driver complains.
    text += "WHERE %(epoch)s >= 0 AND %(old)s >= 0"
    patch.setitem(store._Q._statements, "advance", text)  # type: ignore[attr-defined]


def without_keys(world: World) -> None:
    """The log takes two entries for one place, and one entry twice."""
    world.sql(
        "ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_pkey;"
        "ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_id_key"
    )


async def both(world: World, epochs: tuple[int, int]) -> list[object]:
    first, second = (Sequencer(world.database, world.signer) for _ in range(2))
    return await asyncio.gather(
        first.sequence(epochs[0], 5), second.sequence(epochs[1], 5), return_exceptions=True
    )


def race(world: World) -> bool:
    """Two sequence at once, again and again; whether the log stayed whole."""
    world.settle()
    world.do(world.database.close())
    world.database = Database(world.url)  # connections that see the changed database
    world.do(world.database.open())
    epoch = int(world.sql("SELECT epoch FROM ledger_state"))
    for _ in range(12):
        world.record(8)
        for outcome in world.do(both(world, (epoch, epoch))):
            assert isinstance(outcome, int | PhoenixError), outcome
        places = [each.seq for each in world.do(world.entries())]
        size = int(world.sql("SELECT size FROM ledger_state"))
        if places != list(range(size)):
            return False
    return True


@pytest.mark.parametrize("guard", ["lock", "state", "keys"])
def test_each_guard_alone_keeps_two_sequencers_apart(
    world: World, guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if guard != "lock":
        without_lock(world)
    if guard != "state":
        without_state(world, monkeypatch)
    if guard != "keys":
        without_keys(world)
    assert race(world)
    monkeypatch.undo()
    world.settle()
    world.assert_whole()


def test_without_any_guard_two_sequencers_ruin_the_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test above would show nothing."""
    without_lock(world)
    without_state(world, monkeypatch)
    without_keys(world)
    assert not race(world)


def test_whoever_was_overtaken_changes_nothing_any_more(world: World) -> None:
    world.record(2)
    slow = world.restarted()
    world.do(slow.run_cycle())
    old = slow._lead.epoch  # type: ignore[union-attr]
    world.record(2)
    world.settle()  # another took the lease meanwhile
    world.record(2)
    with pytest.raises(SequencerOvertaken):
        world.do(slow.sequence(old))
    with pytest.raises(SequencerOvertaken):
        world.do(slow.take_over(old))
    world.settle()
    world.assert_whole()


def test_four_sequencers_at_once_make_one_log(world: World) -> None:
    """L12, with leases that end and begin as chance has it."""
    dice = random.Random(7)
    several = [Sequencer(world.database, world.signer) for _ in range(4)]

    async def storm() -> None:
        for _ in range(60):
            world.journal.update(await record(world.database, *"abcd"[: dice.randint(1, 4)]))
            if dice.random() < 0.3:
                async with world.database.transaction() as tx:
                    await tx.execute("UPDATE leases SET expires_at = now() - interval '1 second'")
            done = await asyncio.gather(
                *(each.run_cycle() for each in dice.sample(several, 3)), return_exceptions=True
            )
            for outcome in done:
                assert isinstance(outcome, int | PhoenixError), outcome
                if isinstance(outcome, PhoenixError):
                    assert not isinstance(outcome, LogDamaged), outcome

    world.do(storm())
    world.settle()
    world.assert_whole()


# What is refused before anything is signed.


def test_a_restored_backup_signs_nothing(world: World) -> None:
    """L15: the database is older than what the signer remembers."""
    world.record(5)
    world.settle()
    world.record(5)
    world.settle()
    world.as_superuser(
        "DELETE FROM ledger_checkpoints WHERE size > 5; DELETE FROM ledger_entries WHERE seq >= 5"
    )
    world.as_superuser(
        "UPDATE ledger_state SET size = 5,"
        " root = (SELECT root FROM ledger_checkpoints WHERE size = 5), frontier = ''"
    )
    with pytest.raises(LogRolledBack, match="10 entries was signed; the database has 5") as refused:
        world.settle()
    assert "Restore" in (refused.value.remedy or "")


def test_a_forked_history_of_the_same_length_signs_nothing(world: World) -> None:
    world.record(10)
    world.settle()
    world.as_superuser(
        "UPDATE ledger_entries SET entry = 'other', leaf = sha256('\\x00'::bytea || 'other')"
        " WHERE seq = 9"
    )
    with pytest.raises(LogDamaged, match="another root than the one signed"):
        world.settle()


def test_a_signer_with_an_old_memory_signs_nothing(world: World, tmp_path: Path) -> None:
    world.record(1)
    world.settle()
    old = (world.folder / signing.MEMORY).read_bytes()
    world.record(1)
    world.settle()
    (world.folder / signing.MEMORY).write_bytes(old)
    with pytest.raises(LogRolledBack, match="memory is too old"):
        world.settle()


def test_a_foreign_signer_signs_nothing(world: World, tmp_path: Path) -> None:
    world.record(1)
    world.settle()
    world.folder = tmp_path / "another"
    with pytest.raises(SignerForeign):
        world.settle()


FLIPS = {
    "entry": "UPDATE ledger_entries SET entry = set_bit(entry, 9, 1 - get_bit(entry, 9))"
    " WHERE seq = 300",
    "leaf": "UPDATE ledger_entries SET leaf = set_bit(leaf, 9, 1 - get_bit(leaf, 9))"
    " WHERE seq = 300",
    "tile": "UPDATE ledger_tiles SET data = set_bit(data, 9, 1 - get_bit(data, 9))",
    "tile root": "UPDATE ledger_tiles SET root = set_bit(root, 9, 1 - get_bit(root, 9))",
    "frontier": "UPDATE ledger_state SET frontier = set_bit(frontier, 9, 1 - get_bit(frontier, 9))",
    "root": "UPDATE ledger_state SET root = set_bit(root, 9, 1 - get_bit(root, 9))",
}


@pytest.mark.parametrize("where", FLIPS)
def test_one_flipped_bit_in_what_was_committed_is_seen_before_signing(
    world: World, where: str
) -> None:
    """L16."""
    world.record(3)
    made = world.settle()
    world.record(600)
    epoch = made._lead.epoch  # type: ignore[union-attr]
    world.do(made.sequence(epoch))
    world.sql("ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_check")
    world.as_superuser(FLIPS[where])
    with pytest.raises(LogDamaged):
        world.do(made.sign_and_publish(made._lead))  # type: ignore[arg-type]
    assert world.do(world.last()).size == 3
    assert not world.check().sound


@pytest.mark.parametrize("where", ["frontier", "root"])
def test_one_flipped_bit_in_the_state_is_seen_before_sequencing(world: World, where: str) -> None:
    world.record(3)
    made = world.settle()
    world.record(1)
    world.as_superuser(FLIPS[where])
    with pytest.raises(LogDamaged):
        world.do(made.sequence(made._lead.epoch))  # type: ignore[union-attr]


def test_one_flipped_bit_in_a_published_note_is_seen_by_the_next_start(world: World) -> None:
    world.record(3)
    world.settle()
    world.as_superuser(
        "UPDATE ledger_checkpoints SET note = set_bit(note, 90, 1 - get_bit(note, 90))"
    )
    with pytest.raises(LogDamaged, match="does not verify"):
        world.settle()
    assert [each.check for each in world.check().findings] == ["note"]


def test_postgresql_refuses_a_leaf_that_is_not_its_entrys(world: World) -> None:
    with pytest.raises(AssertionError, match="ledger_entries_check"):
        world.sql(
            "INSERT INTO ledger_entries VALUES (0, gen_random_uuid(), 'a', sha256('b'::bytea))"
        )


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE ledger_entries SET entry = 'x'", "DELETE FROM ledger_entries",
        "TRUNCATE ledger_entries",
        "UPDATE ledger_tiles SET n = 9", "DELETE FROM ledger_tiles", "TRUNCATE ledger_tiles",
        "UPDATE ledger_checkpoints SET note = 'x'", "DELETE FROM ledger_checkpoints",
        "TRUNCATE ledger_checkpoints", "DELETE FROM ledger_state", "TRUNCATE ledger_state",
        "UPDATE ledger_state SET size = size - 1", "UPDATE ledger_state SET epoch = 0",
    ],
)  # fmt: skip
def test_the_log_refuses_everything_but_appending(world: World, text: str) -> None:
    world.record(300)
    world.settle()
    with pytest.raises(AssertionError, match="append-only"):
        world.sql(text)
    world.assert_whole()


def test_what_is_not_in_the_log_byte_for_byte_cannot_leave_the_outbox(world: World) -> None:
    world.record(1)
    with pytest.raises(AssertionError, match="not in the log"):
        world.sql("DELETE FROM ledger_outbox")
    with pytest.raises(AssertionError, match="not in the log"):
        world.sql(
            "INSERT INTO ledger_entries SELECT 0, id, 'x', sha256('\\x00'::bytea || 'x')"
            " FROM ledger_outbox; DELETE FROM ledger_outbox"
        )


# The signer by itself.


def test_the_signer_refuses_a_fork_whoever_asks(world: World) -> None:
    world.record(4)
    world.settle()
    before = (world.folder / signing.MEMORY).read_bytes()
    for size, root, proof in ((4, bytes(32), []), (5, bytes(32), [bytes(32)] * 3)):
        with pytest.raises(ForkRefused):
            world.do(world.signer.sign(size, root, proof))
    with pytest.raises(LogRolledBack):
        world.do(world.signer.sign(3, bytes(32), []))
    assert (world.folder / signing.MEMORY).read_bytes() == before


def test_a_key_without_its_memory_signs_nothing(world: World) -> None:
    world.record(1)
    world.settle()
    (world.folder / signing.MEMORY).unlink()
    with pytest.raises(LogRolledBack, match="does not know"):
        world.settle()


def test_only_the_owner_can_read_the_key(world: World) -> None:
    assert (world.folder / signing.KEY).stat().st_mode & 0o077 == 0
    assert world.folder.stat().st_mode & 0o077 == 0


def test_what_waits_when_the_ledger_ends_is_still_sequenced(world: World) -> None:
    async def live_and_end() -> None:
        stop = asyncio.Event()
        stop.set()
        await Sequencer(world.database, world.signer).run(stop)

    world.record(5)
    world.do(live_and_end())
    world.assert_whole()
    assert world.sql("SELECT count(*) FROM leases WHERE expires_at > now()").strip() == "0"


# When the ledger does not get on.


def test_changes_wait_while_the_ledger_is_behind_and_a_kill_does_not(world: World) -> None:
    old = UUID(int=(1_767_225_600_000 << 80) | (7 << 76) | (2 << 62))  # the first of January 2026
    world.sql(f"INSERT INTO ledger_outbox (id, entry) VALUES ('{old}', 'a')")
    world.journal[old] = b"a"
    world.record(1)  # a log that was never begun cannot be behind
    world.settle()
    world.sql(f"INSERT INTO ledger_outbox (id, entry) VALUES ('{UUID(int=old.int + 1)}', 'b')")
    world.journal[UUID(int=old.int + 1)] = b"b"
    with pytest.raises(LedgerBehind):
        world.record(1)
    stopped = replace(an_entry("everything"), action="safety.kill")

    async def kill() -> None:
        async with world.database.transaction() as tx:
            await service.record(tx, stopped)

    world.do(kill())
    world.journal[stopped.id] = stopped.to_bytes()
    world.settle()
    world.record(1)
    world.settle()
    world.assert_whole()
