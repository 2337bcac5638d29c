"""The meter's heart: who may send, what is counted, and three loops that keep it true.

- *refresh*, every second: the subscriptions in the database are those in memory;
- *close*, every quarter of the shortest interval: ticks that are due become rows to write;
- *write*: rows go to the database, and wait in bounded memory while it is away. A full buffer makes
  the meter answer 429, so that the senders' queues hold what it cannot.

A meter that never reached its database does not know which experiments exist, and says so (503);
once it has, it goes on with what it knew.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from phoenix.base.clock import Clock
from phoenix.base.errors import PhoenixError
from phoenix.measurement import store
from phoenix.measurement.compression import unpack
from phoenix.measurement.errors import (
    MeterBlind,
    MeterBusy,
    MissingToken,
    UnknownExperiment,
    WrongToken,
)
from phoenix.measurement.experiment import ExperimentMeter
from phoenix.measurement.model import ARMS, Arm, NameSeen, Subscription, Tick
from phoenix.measurement.service import token_sha256
from phoenix.measurement.telemetry import MeterMetrics
from phoenix.storage.database import Database

EXPERIMENTS_MAX: Final = 50
"""Experiments counted at once; the oldest subscriptions win."""
UNWRITTEN_TICKS_MAX: Final = 2_000
"""Closed ticks held while the database is away: 33 minutes of one experiment at one a second."""
_REFRESH_S = 1.0
_NAMES_EVERY_S = 5.0
_EMITTED_EVERY_S = 10.0
_LONGEST_PAUSE_S = 1.0
_RETRY_S = 1.0
_LOOK_AGAIN_S = 0.2
_Act = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a request came to."""

    points: int
    dropped: int


class Meter:
    """Counts all subscribed experiments. One asyncio loop owns it; nothing here is shared."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._experiments: dict[str, ExperimentMeter] = {}
        self._ending: dict[str, ExperimentMeter] = {}
        self._unwritten: deque[Tick] = deque()
        self._knows = False  # it has seen its subscriptions once
        self._sees = False  # it saw them at the last look
        self._refreshed = 0.0
        self._names_written = 0.0
        self._emitted_written = 0.0
        self.metrics = MeterMetrics()

    @property
    def ready(self) -> bool:
        """Whether it knows what to count and has room for it."""
        return self._knows and not self._full

    @property
    def _full(self) -> bool:
        return len(self._unwritten) >= UNWRITTEN_TICKS_MAX

    async def authorize(self, experiment_id: str, arm: str, token: str | None) -> Arm:
        """The arm that `token` may send as.

        Raises:
            MissingToken, WrongToken, UnknownExperiment, MeterBlind: as they say.
        """
        if token is None:
            raise MissingToken(
                "A bearer token is needed.", remedy="Send `Authorization: Bearer TOKEN`."
            )
        experiment = self._experiments.get(experiment_id)
        if experiment is None and self._sees:
            if self._clock.monotonic() - self._refreshed >= _LOOK_AGAIN_S:
                await self._attempt(self.refresh)  # it may be newer than the last look
            experiment = self._experiments.get(experiment_id)
        if experiment is None and not self._sees:
            raise MeterBlind(remedy="The collector sends it again by itself.")
        known = next((one for one in ARMS if one == arm), None)
        if experiment is None or known is None:
            raise UnknownExperiment(
                "The meter counts no such experiment or arm.",
                remedy="See `phoenix experiment list`; the path is /EXPERIMENT/ARM/v1/metrics.",
            )
        expected = experiment.subscription.token_sha256[known]
        if not hmac.compare_digest(token_sha256(token), expected):
            raise WrongToken(
                "The token does not belong to this arm of this experiment.",
                remedy="Each arm has a token of its own, in the environment of its collector.",
            )
        return known

    def receive(
        self, experiment_id: str, arm: Arm, body: bytes, *, encoding: str, json: bool
    ) -> Counted:
        """Count one authorised request, whole or not at all.

        Raises:
            MalformedBody, TooLarge, UnsupportedMedia: the body cannot be read.
            MeterBusy: there is no room.
        """
        experiment = self._experiments[experiment_id]
        arrived_ns = self._now_ns()
        if self._full:
            experiment.refused(arrived_ns)
            raise MeterBusy(remedy="The collector sends it again by itself.")
        with self.metrics.request_seconds.time():
            raw = unpack(body, encoding)
            decoder = experiment.decoders[arm]
            blocks = decoder.json(raw) if json else decoder.protobuf(raw)
            dropped = experiment.accept(
                arm, blocks, raw_bytes=len(raw), wire_bytes=len(body), arrived_ns=arrived_ns
            )
        points = sum(len(block.times) for block in blocks)
        self.metrics.points.labels(arm).inc(points)
        self.metrics.dropped.inc(dropped)
        self.metrics.wire_bytes.inc(len(body))
        self.metrics.raw_bytes.inc(len(raw))
        return Counted(points=points, dropped=dropped)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the loops going until `stop`; then close and write what is there."""
        loops = [
            asyncio.create_task(self._every(stop, _REFRESH_S, self.refresh)),
            asyncio.create_task(self._closing(stop)),
        ]
        await stop.wait()
        await asyncio.gather(*loops)
        while self._unwritten and await self._attempt(self.write):
            pass
        await self._attempt(self._write_emitted)
        await self._attempt(self._write_names)

    async def refresh(self) -> None:
        """Make the experiments in memory those of the database.

        Raises:
            DatabaseUnavailable: nothing changed.
        """
        self._refreshed = self._clock.monotonic()
        try:
            wanted = await self._look()
        except PhoenixError:
            self._sees = False
            raise
        self._knows = self._sees = True
        self._follow(wanted)

    async def _look(self) -> list[Subscription]:
        async with self._database.transaction() as tx:
            wanted = (await store.active_subscriptions(tx))[:EXPERIMENTS_MAX]
            for subscription in wanted:
                if subscription.experiment_id not in self._experiments:
                    resume = await store.resume(tx, subscription.experiment_id)
                    self._experiments[subscription.experiment_id] = ExperimentMeter(
                        subscription, now_ns=self._now_ns(), resume=resume
                    )
        return wanted

    def close_due(self) -> None:
        """Close what is due, in every experiment."""
        now_ns = self._now_ns()
        for experiment in self._experiments.values():
            self._keep(experiment.close_due(now_ns))

    async def write(self) -> None:
        """Write closed ticks, every five seconds names and sketches, and what was emitted every
        ten.

        Raises:
            DatabaseUnavailable: everything waits for the next call.
        """
        batch = list(self._unwritten)[:200]
        if batch:
            async with self._database.transaction() as tx:
                await store.insert_ticks(tx, batch)
            for _ in batch:
                self._unwritten.popleft()
        now = self._clock.monotonic()
        if self._ending or now - self._emitted_written >= _EMITTED_EVERY_S:
            await self._write_emitted()
            self._emitted_written = now
        if self._ending or now - self._names_written >= _NAMES_EVERY_S:
            await self._write_names()
            self._names_written = now
        self.metrics.unwritten.set(len(self._unwritten))

    async def _write_names(self) -> None:
        for experiment_id, experiment in [*self._experiments.items(), *self._ending.items()]:
            changed: Sequence[NameSeen] = experiment.changed_names()
            try:
                async with self._database.transaction() as tx:
                    await store.save_names(tx, experiment_id, changed)
                    await store.save_sketches(tx, experiment_id, experiment.sketches())
            except PhoenixError:
                experiment.names_not_written(changed)
                raise
            self._ending.pop(experiment_id, None)

    async def _write_emitted(self) -> None:
        for experiment_id, experiment in [*self._experiments.items(), *self._ending.items()]:
            # It takes tens of milliseconds where thousands of processes came and went.
            packed = await asyncio.to_thread(experiment.packed_emitted)
            async with self._database.transaction() as tx:
                await store.save_emitted(tx, experiment_id, packed)

    def _follow(self, wanted: Sequence[Subscription]) -> None:
        ids = {subscription.experiment_id for subscription in wanted}
        for gone in [one for one in self._experiments if one not in ids]:
            self._ending[gone] = self._experiments.pop(gone)
            self._keep(self._ending[gone].close_all())
        for subscription in wanted:
            self._experiments[subscription.experiment_id].states = subscription.states
        self.metrics.experiments.set(len(self._experiments))

    def _keep(self, ticks: Sequence[Tick]) -> None:
        self._unwritten.extend(ticks)
        for tick in ticks:
            self.metrics.ticks.labels(tick.excluded or "evidence").inc()

    async def _closing(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self.close_due()
            if not await self._attempt(self.write):
                await _pause(stop, _RETRY_S)
            shortest = min(
                (one.interval_ns / 1e9 for one in self._experiments.values()),
                default=_LONGEST_PAUSE_S,
            )
            await _pause(stop, min(_LONGEST_PAUSE_S, shortest / 4))

    async def _every(self, stop: asyncio.Event, period_s: float, act: _Act) -> None:
        while not stop.is_set():
            await self._attempt(act)
            await _pause(stop, period_s)

    async def _attempt(self, act: _Act) -> bool:
        """Do it, or leave it for the next time when the database is away."""
        try:
            await act()
        except PhoenixError:
            return False
        return True

    def _now_ns(self) -> int:
        return int(self._clock.now().timestamp() * 1e9)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
