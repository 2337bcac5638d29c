"""A meter for one experiment without a database: short runs, looked at and forgotten."""

from __future__ import annotations

from phoenix.base.clock import Clock
from phoenix.measurement.experiment import ExperimentMeter
from phoenix.measurement.meter import Meter
from phoenix.measurement.model import Subscription, Tick
from phoenix.storage.database import Database


class LocalMeter(Meter):
    """Counts what one subscription allows, in memory."""

    def __init__(self, subscription: Subscription, clock: Clock) -> None:
        # Never opened: whatever would ask it is not called here.
        super().__init__(Database("postgres:///none"), clock)
        self._experiments[subscription.experiment_id] = ExperimentMeter(
            subscription, now_ns=self._now_ns()
        )
        self._knows = True

    def closed(self) -> list[Tick]:
        """The ticks that have closed since the last call, in order."""
        self.close_due()
        ticks = list(self._unwritten)
        self._unwritten.clear()
        return ticks
