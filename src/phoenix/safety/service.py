"""Kill, revive, and what is in force: in the database, in the local file, and in the ledger."""

from __future__ import annotations

from pathlib import Path

from phoenix.base.clock import Clock
from phoenix.ledger import service as ledger
from phoenix.ledger.model import Actor, entry
from phoenix.safety import file, store
from phoenix.safety.errors import Killed, KillFileTampered, NotKilled, Overtaken, UnknownScope
from phoenix.safety.model import KillState, Scope
from phoenix.safety.rules import newest
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
        """What is in force: the later of the database's word and the local file's.

        Raises:
            Unavailable: the database cannot be reached.
        """
        async with self._database.transaction() as tx:
            stored = await store.get(tx)
        return newest(stored, self.local()) or stored

    async def refuse_when_killed(self, tx: Transaction, scope: str) -> None:
        """Let nothing of `scope` begin while a kill is in force.

        Raises:
            Killed: with who stopped it and why.
        """
        state = newest(await store.get(tx), self.local())
        if state is not None and state.stops(scope):
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
        known = self.local()
        if known is None or not known.stops(chosen.value):
            epoch = (known.epoch if known else 0) + 1
            if known is not None and known.killed:
                chosen = Scope.ALL
            known = self._state(epoch, True, chosen, reason, actor)
            file.write(self._data_dir, known)
        return known

    async def revive(self, *, actor: str, reason: str) -> KillState:
        """End a kill. Needs the database: a process cut off stays stopped.

        Raises:
            NotKilled: nothing is stopped.
            Overtaken: another kill or revive came first.
            Unavailable: the database cannot be reached.
        """
        async with self._database.transaction() as tx:
            stored = await store.get(tx)
            state = newest(stored, self.local()) or stored
            if not state.killed:
                raise NotKilled(remedy="Nothing to do.")
            known = stored.epoch if state.epoch == TAMPERED_EPOCH else state.epoch
            revived = self._state(known + 1, False, state.scope, reason, actor)
            if not await store.put(tx, revived):
                raise Overtaken(remedy="See what is in force, then try again.")
            await self._record(tx, "safety.revive", revived, before="killed")
        file.write(self._data_dir, revived)
        return revived

    async def reconcile(self) -> KillState:
        """Bring the row up to the file, or the file up to the row: the later epoch wins.

        Raises:
            Unavailable: the database cannot be reached.
        """
        local = self.local()
        async with self._database.transaction() as tx:
            stored = await store.get(tx)
            if local is not None and local.epoch == TAMPERED_EPOCH:
                return local
            if local is not None and local.epoch > stored.epoch:
                # Every process of this machine sees the same file; only the first one tells.
                if await store.put(tx, local):
                    action = "safety.kill" if local.killed else "safety.revive"
                    await self._record(tx, action, local, before="unknown")
                stored = await store.get(tx)
        if local != stored:
            file.write(self._data_dir, stored)
        return stored

    def local(self) -> KillState | None:
        """What the file of this machine says; one that does not verify says killed."""
        try:
            return file.read(self._data_dir)
        except KillFileTampered as error:
            return self._state(TAMPERED_EPOCH, True, Scope.ALL, error.message, "the kill file")

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
                actor=Actor(type="key", id=state.actor),
                action=action,
                target="kill",
                outcome="done",
                scope=state.scope.value,
                reason=state.reason,
                prev_state=before,
                new_state="killed" if state.killed else "running",
            ),
        )


def _scope(text: str) -> Scope:
    try:
        return Scope(text)
    except ValueError as error:
        raise UnknownScope(
            f"There is no scope '{text}'.", remedy="Use all, experiments, payments or gate."
        ) from error
