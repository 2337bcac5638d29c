"""Kill, revive, and what is in force: in the database, in the local file, and in the ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from phoenix.base.clock import Clock
from phoenix.ledger import service as ledger
from phoenix.ledger.model import Actor, entry
from phoenix.safety import file, store
from phoenix.safety.errors import Killed, KillFileTampered, NotKilled, Overtaken, UnknownScope
from phoenix.safety.model import KillState, Scope
from phoenix.safety.rules import in_force
from phoenix.storage.database import Database, Transaction

# A file that does not verify outranks everything until a person revives.
TAMPERED_EPOCH = 2**62


class SafetyService:
    """The kill plane over one database and one folder."""

    def __init__(self, database: Database, clock: Clock, data_dir: Path) -> None:
        self._database = database
        self._clock = clock
        self._data_dir = data_dir

    async def state(self) -> KillState:
        """What is in force on this machine.

        Raises:
            Unavailable: the database cannot be reached.
        """
        async with self._database.transaction() as tx:
            return self._in_force(await store.get(tx))

    async def refuse_when_killed(self, tx: Transaction, scope: str) -> None:
        """Let nothing of `scope` begin while a kill is in force.

        Raises:
            Killed: with who stopped it and why.
        """
        state = self._in_force(await store.get(tx))
        if state.stops(scope):
            raise Killed(
                f"Everything of scope '{state.scope}' is stopped by {state.actor}: {state.reason}",
                remedy="Remove the reason, then: phoenix revive --reason …",
            )

    def kill(self, *, actor: str, reason: str, scope: str) -> KillState:
        """Stop. The local file is written first, so that a dead database cannot delay it.

        Doing it twice changes nothing. A kill of another scope while one is in force widens it to
        all: the one row must never let go of what it already stops. The caller brings the row up
        with `reconcile`; when the database is away the file holds, and the row follows when it is
        back.

        Raises:
            UnknownScope: scope is not one of the four.
        """
        chosen = _scope(scope)
        with file.locked(self._data_dir):
            kept = self._kept()
            # A file that does not verify is replaced: now a person says what holds.
            known = kept.state if kept and kept.state.epoch != TAMPERED_EPOCH else None
            if known is not None and known.stops(chosen.value):
                return known
            if known is not None and known.killed:
                chosen = Scope.ALL
            killed = self._state(known.epoch + 1 if known else 1, True, chosen, reason, actor)
            file.replace(self._data_dir, killed, told=False)
        return killed

    async def revive(self, *, actor: str, reason: str) -> KillState:
        """End a kill. Needs the database: a process cut off stays stopped.

        Raises:
            NotKilled: nothing is stopped.
            Overtaken: another kill or revive came first.
            Unavailable: the database cannot be reached.
        """
        kept = self._kept()
        async with self._database.transaction() as tx:
            stored = await store.get(tx)
            state = self._in_force(stored)
            if not state.killed:
                raise NotKilled(remedy="Nothing to do.")
            known = [s.epoch for s in (stored, state) if s.epoch != TAMPERED_EPOCH]
            revived = self._state(max(known) + 1, False, state.scope, reason, actor)
            if not await store.put(tx, revived):
                raise Overtaken(remedy="See what is in force, then try again.")
            await self._record(tx, "safety.revive", revived, before="killed")
        if not file.write(self._data_dir, revived, told=True, over=kept):
            raise Overtaken(remedy="A kill came meanwhile and holds. See what is in force.")
        return revived

    async def reconcile(self) -> KillState:
        """Tell the database of a kill it was not told of; else bring the file up to the row.

        Raises:
            Unavailable: the database cannot be reached.
        """
        kept = self._kept()
        if kept is not None and kept.state.epoch == TAMPERED_EPOCH:
            return kept.state
        async with self._database.transaction() as tx:
            stored = await store.get(tx)
            if kept is not None and self._must_be_told(stored, kept):
                # Every process of this machine sees the same file; only the first one tells.
                if await store.put(tx, _after(stored, kept.state)):
                    await self._record(tx, "safety.kill", kept.state, before="running")
                stored = await store.get(tx)
        if kept is None or kept.state != stored or not kept.told:
            file.write(self._data_dir, stored, told=True, over=kept)
        return stored

    def local(self) -> KillState | None:
        """What the file of this machine says; one that does not verify says killed."""
        kept = self._kept()
        return kept.state if kept else None

    def untold(self) -> KillState | None:
        """A kill on this machine that the database does not know of yet."""
        kept = self._kept()
        return kept.state if kept and kept.state.killed and not kept.told else None

    def _kept(self) -> file.Kept | None:
        try:
            return file.read(self._data_dir)
        except KillFileTampered as error:
            stopped = self._state(TAMPERED_EPOCH, True, Scope.ALL, error.message, "the kill file")
            path = self._data_dir / file.FILE
            raw = path.read_bytes() if path.exists() else b""
            return file.Kept(state=stopped, told=True, raw=raw)

    def _in_force(self, stored: KillState) -> KillState:
        kept = self._kept()
        return in_force(stored, kept.state if kept else None, told=kept is None or kept.told)

    @staticmethod
    def _must_be_told(stored: KillState, kept: file.Kept) -> bool:
        if not kept.state.killed or stored.stops(kept.state.scope.value):
            return False
        # A told kill of a later epoch: the database was set back, from a backup perhaps.
        return not kept.told or kept.state.epoch > stored.epoch

    def _state(self, epoch: int, killed: bool, scope: Scope, reason: str, actor: str) -> KillState:
        return KillState(
            epoch=epoch, killed=killed, scope=scope, reason=reason, actor=actor,
            at=self._clock.now(),
        )  # fmt: skip

    async def _record(self, tx: Transaction, action: str, state: KillState, *, before: str) -> None:
        await ledger.record(
            tx,
            entry(
                kind="safety",
                at=state.at,
                actor=Actor(type="person", id=state.actor),
                action=action,
                target="kill",
                outcome="done",
                scope=state.scope.value,
                reason=state.reason,
                prev_state=before,
                new_state="killed" if state.killed else "running",
            ),
        )


def _after(stored: KillState, local: KillState) -> KillState:
    """The local kill as the row's next epoch; it never lets go of what the row already stops."""
    scope = Scope.ALL if stored.killed and stored.scope is not local.scope else local.scope
    return replace(local, epoch=max(local.epoch, stored.epoch + 1), scope=scope)


def _scope(text: str) -> Scope:
    try:
        return Scope(text)
    except ValueError as error:
        raise UnknownScope(
            f"There is no scope '{text}'.", remedy="Use all, experiments, payments or gate."
        ) from error
