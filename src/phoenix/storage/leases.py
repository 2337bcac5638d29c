"""Who runs a loop: a row with an expiry and an epoch.

Whoever holds the row acts; the epoch grows at every change of holder, so that what an old holder
still has in flight can be told apart and refused. Time is the database's own, since two machines
may disagree about it.
"""

from __future__ import annotations

from dataclasses import dataclass

from phoenix.storage.database import Database
from phoenix.storage.queries import queries

_Q = queries("phoenix.storage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to act, until it is not renewed."""

    name: str
    holder: str
    epoch: int


class Leases:
    """Named leases in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(self, name: str, holder: str, ttl_s: float) -> Lease | None:
        """Take or renew the lease for `ttl_s` seconds; None while somebody else holds it."""
        async with self._database.transaction() as tx:
            row = await tx.fetch_one(
                _Q["acquire_lease"], {"name": name, "holder": holder, "ttl_s": ttl_s}
            )
        return Lease(name=name, holder=holder, epoch=row["epoch"]) if row else None

    async def release(self, name: str, holder: str) -> None:
        """Give the lease back, if it is ours."""
        async with self._database.transaction() as tx:
            await tx.execute(_Q["release_lease"], {"name": name, "holder": holder})
