"""Ask for shadows, and read how they are."""

from __future__ import annotations

from phoenix.base.clock import Clock
from phoenix.collectors import store
from phoenix.collectors.model import Sample, ShadowSpec, ShadowStatus
from phoenix.storage.database import Database, Transaction

SAMPLES_PER_READ = 5000


class CollectorsService:
    """The runtime's tables over one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def want(self, tx: Transaction, spec: ShadowSpec) -> None:
        """Ask the host's agent to run a shadow, in the caller's transaction."""
        await store.want(tx, spec, self._clock.now())

    async def stop(self, tx: Transaction, experiment_id: str) -> None:
        """Ask the host's agent to end a shadow, in the caller's transaction."""
        await store.stop(tx, experiment_id, self._clock.now())

    async def status(self, experiment_id: str) -> ShadowStatus | None:
        """How the shadow is; None when none was asked for."""
        async with self._database.transaction() as tx:
            return await store.get_status(tx, experiment_id)

    async def samples(
        self, experiment_id: str, after: int = 0, limit: int = SAMPLES_PER_READ
    ) -> list[Sample]:
        """Samples that arrived after the one of that id."""
        async with self._database.transaction() as tx:
            return await store.samples_after(tx, experiment_id, after, limit)
