"""The kill row and back."""

from __future__ import annotations

from phoenix.safety.model import KillState, Scope
from phoenix.storage.database import Transaction
from phoenix.storage.queries import queries

_Q = queries("phoenix.safety")


async def get(tx: Transaction) -> KillState:
    """What is in force."""
    row = await tx.fetch_one(_Q["get_kill"])
    assert row is not None, "the migration made the row"
    return KillState(**{**row, "scope": Scope(row["scope"])})


async def put(tx: Transaction, state: KillState) -> bool:
    """Write a later epoch; False when the row is as late or later."""
    return bool(
        await tx.execute(
            _Q["set_kill"],
            {
                "epoch": state.epoch,
                "killed": state.killed,
                "scope": state.scope.value,
                "reason": state.reason,
                "actor": state.actor,
                "at": state.at,
            },
        )
    )
