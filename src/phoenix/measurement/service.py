"""What others may ask of the measurement: begin and end counting, read what was counted."""

from __future__ import annotations

import hashlib

from phoenix.base.clock import Clock
from phoenix.base.errors import Invalid
from phoenix.measurement import store
from phoenix.measurement.emitted import Catalogue
from phoenix.measurement.errors import AlreadySubscribed
from phoenix.measurement.model import Arm, ArmState, NameSeen, Subscription, Tick
from phoenix.storage.database import Database, Transaction

_PAGE_MAX = 10_000


def token_sha256(token: str) -> str:
    """The form in which a token is kept: its SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


class MeasurementService:
    """Subscriptions and ticks. Methods that take `tx` join the caller's transaction."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def subscribe(self, tx: Transaction, subscription: Subscription) -> None:
        """Have the meter count an experiment; it begins within a second.

        Subscribing again to the same is allowed and changes nothing.

        Raises:
            AlreadySubscribed: it is counted with other terms.
            Invalid: an interval or K that cannot be.
        """
        if not 0.1 <= subscription.interval_s <= 3600 or not 1 <= subscription.top_k <= 100:
            raise Invalid(
                f"An interval of {subscription.interval_s} s or the {subscription.top_k} largest "
                "processes cannot be measured.",
                remedy="Use an interval of 0.1 s to an hour and 1 to 100 largest processes.",
            )
        if await store.insert_subscription(tx, subscription):
            return
        present = await store.subscription(tx, subscription.experiment_id)
        if present is None or _terms(present) != _terms(subscription):
            raise AlreadySubscribed(
                f"{subscription.experiment_id} is measured already, with other terms.",
                remedy="A new experiment needs a new identifier.",
            )

    async def unsubscribe(self, tx: Transaction, experiment_id: str) -> None:
        """Stop counting; what was counted stays. Nothing happens if it is not counted."""
        await store.deactivate(tx, experiment_id)

    async def set_arm_state(
        self, tx: Transaction, experiment_id: str, arm: Arm, state: ArmState
    ) -> None:
        """Tell the meter whether an arm is alive: a live arm's silence is output of zero."""
        await store.set_arm_state(tx, experiment_id, arm, state)

    async def ticks(
        self, experiment_id: str, after: int = -1, limit: int = _PAGE_MAX
    ) -> list[Tick]:
        """Closed ticks with numbers greater than `after`, in order."""
        async with self._database.transaction() as tx:
            return await self.ticks_in(tx, experiment_id, after=after, limit=limit)

    async def ticks_in(
        self, tx: Transaction, experiment_id: str, after: int = -1, limit: int = _PAGE_MAX
    ) -> list[Tick]:
        """As `ticks`, in the caller's transaction."""
        return await store.ticks_after(tx, experiment_id, after, min(limit, _PAGE_MAX))

    async def latest(self, experiment_id: str, limit: int = 1) -> list[Tick]:
        """The last closed ticks, in order."""
        async with self._database.transaction() as tx:
            return await store.latest_ticks(tx, experiment_id, min(limit, _PAGE_MAX))

    async def names(self, experiment_id: str) -> list[NameSeen]:
        """Every executable name seen, in order of name; up to five seconds old."""
        async with self._database.transaction() as tx:
            return await store.names(tx, experiment_id)

    async def emitted(self, experiment_id: str) -> dict[Arm, Catalogue]:
        """What each arm emitted, up to ten seconds old; an arm that is not there has not."""
        async with self._database.transaction() as tx:
            return await store.emitted(tx, experiment_id)


def _terms(subscription: Subscription) -> tuple[object, ...]:
    return (
        float(subscription.interval_s),
        subscription.critical,
        dict(subscription.token_sha256),
        subscription.top_k,
        subscription.shared_scrape,
    )
