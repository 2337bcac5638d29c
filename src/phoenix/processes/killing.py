"""Kill and revive from the command line, without a server in between.

The local file is written first: whatever runs on this machine stops within 5 s even when nothing
else answers. Then the database is told, if it can be reached.
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path

from phoenix.base.clock import SystemClock
from phoenix.base.errors import Invalid, Unavailable
from phoenix.processes import reaching
from phoenix.safety.service import SafetyService


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was done."""

    killed: bool
    epoch: int
    database_told: bool
    sentence: str


async def kill(data_dir: Path, *, reason: str, scope: str) -> Said:
    """Stop everything of `scope` on this machine, and everywhere the database is read.

    Raises:
        Invalid: no reason, or an unknown scope.
    """
    _needs(reason)
    database = reaching.database(data_dir)
    safety = SafetyService(database, SystemClock(), data_dir)
    written = safety.kill(actor=getpass.getuser(), reason=reason, scope=scope)
    try:
        await database.open()
        written = await safety.reconcile()
        told = True
    except Unavailable:
        told = False
    finally:
        await database.close()
    where = "everywhere" if told else "here; the database did not answer and follows when it does"
    return Said(
        killed=True,
        epoch=written.epoch,
        database_told=told,
        sentence=f"killed (scope {written.scope}, epoch {written.epoch}) {where}",
    )


async def revive(data_dir: Path, *, reason: str) -> Said:
    """End a kill.

    Raises:
        NotKilled: nothing is stopped.
        Unavailable: the database cannot be reached.
    """
    _needs(reason)
    database = reaching.database(data_dir)
    safety = SafetyService(database, SystemClock(), data_dir)
    try:
        await database.open()
        revived = await safety.revive(actor=getpass.getuser(), reason=reason)
    finally:
        await database.close()
    return Said(
        killed=False,
        epoch=revived.epoch,
        database_told=True,
        sentence=f"revived (epoch {revived.epoch}); what was stopped starts again by itself",
    )


def _needs(reason: str) -> None:
    if not reason.strip():
        raise Invalid("A reason is needed; it is written down.", remedy="Give --reason …")
