"""A process's own eye on the kill plane: confirms the epoch every second, answers at once.

It runs beside the work it guards. When the database is away nothing is confirmed, and `may_run`
turns false by age alone; the local file is read at every question, so that a kill written to it is
seen without the database.
"""

from __future__ import annotations

import asyncio

import structlog

from phoenix.base.clock import Clock
from phoenix.base.errors import PhoenixError
from phoenix.safety.model import Decision, KillState, Lease
from phoenix.safety.rules import RENEW_EVERY_S, may_run
from phoenix.safety.service import SafetyService

log = structlog.get_logger()


class SafetyWatch:
    """Knows whether something may run, and since when nobody could tell."""

    def __init__(self, safety: SafetyService, clock: Clock) -> None:
        self._safety = safety
        self._clock = clock
        self._confirmed_at: float | None = None
        self._stored: KillState | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Confirm every second until `stop` is set."""
        while not stop.is_set():
            await self.confirm()
            try:
                await asyncio.wait_for(stop.wait(), RENEW_EVERY_S)
            except TimeoutError:
                continue

    async def confirm(self) -> bool:
        """Ask the database once; False when it could not be asked."""
        # The moment before the question: the answer is at least as old.
        asked_at = self._clock.monotonic()
        try:
            async with asyncio.timeout(RENEW_EVERY_S):
                self._stored = await self._safety.reconcile()
        except (PhoenixError, TimeoutError, OSError) as error:
            log.debug("kill state not confirmed", error=str(error))
            return False
        self._confirmed_at = asked_at
        return True

    def may_run(self, scope: str = "experiments") -> Decision:
        """Whether work of `scope` may go on now."""
        untold = self._safety.untold()
        if untold is not None and untold.stops(scope):
            return Decision(allowed=False, reason=f"killed by {untold.actor}: {untold.reason}")
        states = [s for s in (self._stored, self._safety.local()) if s is not None]
        # The row is the later word where both know: a revived epoch overrides an older file.
        latest = max((s.epoch for s in states), default=0)
        lease = Lease(confirmed_at=self._confirmed_at, now=self._clock.monotonic())
        return may_run(scope, tuple(s for s in states if s.epoch == latest), lease)
