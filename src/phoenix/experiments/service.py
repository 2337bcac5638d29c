"""What a person or the controller can do with an experiment: one transaction a method, and each
change with its ledger entry in it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from phoenix.base.canonical import canonical_bytes, sha256_hex
from phoenix.base.clock import Clock, rfc3339
from phoenix.base.errors import Conflict, Invalid
from phoenix.base.ids import new_experiment_id
from phoenix.collectors.service import CollectorsService
from phoenix.experiments import drafting, reporting, store
from phoenix.experiments.errors import ExperimentNotFound, TransitionRefused
from phoenix.experiments.model import FOLLOWS, Experiment, Phase, State, Verdict
from phoenix.experiments.request import ExperimentRequest
from phoenix.ledger import service as ledger
from phoenix.ledger.model import Actor, entry
from phoenix.measurement.service import MeasurementService
from phoenix.safety.service import SafetyService
from phoenix.storage.database import Database, Transaction

CONTROLLER = "controller"


class HostBusy(Conflict):
    """The host already takes part in an experiment."""


class NameTaken(Conflict):
    """An experiment of that name exists."""


class KeyReused(Invalid):
    """That Idempotency-Key was used with another request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A new experiment, what its author should know, and whether the key had made it before."""

    experiment: Experiment
    notes: tuple[str, ...]
    replayed: bool = False


class ExperimentsService:
    """Experiments over one database."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        safety: SafetyService,
        measurement: MeasurementService,
        collectors: CollectorsService,
        data_dir: Path,
    ) -> None:
        self._database = database
        self._clock = clock
        self._safety = safety
        self._measurement = measurement
        self._collectors = collectors
        self._data_dir = data_dir

    async def create(
        self, request: ExperimentRequest, actor: str, key: str | None = None
    ) -> Created:
        """Freeze a specification and put it in line.

        Raises:
            Invalid: the request contradicts itself, or a pipeline or parameter is unknown.
            HostBusy, NameTaken: something stands in its way.
            Killed: a kill is in force.
        """
        now = self._clock.now()
        experiment_id = new_experiment_id()
        draft = drafting.draft(request, experiment_id)
        host = platform.node()
        experiment = Experiment(
            id=experiment_id,
            spec=draft.spec,
            state=State.PENDING,
            phase=Phase.VALIDATED,
            created_at=now,
            hosts=(host,),
            created_by=actor,
            updated_at=now,
        )
        async with self._database.transaction() as tx:
            if key is not None:
                before = await store.claim_key(
                    tx, actor, key, _request_hash(request), experiment_id, now
                )
                if before is not None:
                    return await self._replayed(tx, before, request)
            await self._safety.refuse_when_killed(tx, "experiments")
            holder = await store.active_on_host(tx, host)
            if holder is not None:
                raise HostBusy(
                    f"{host} already takes part in {holder}.",
                    remedy=f"Wait for it, or stop it: phoenix experiment stop {holder}",
                )
            if not await store.insert(tx, experiment):
                raise NameTaken(
                    f"There is already an experiment named '{draft.spec.name}'.",
                    remedy="Choose another --name, or none.",
                )
            await store.insert_transition(
                tx, experiment_id, None, State.PENDING, Phase.VALIDATED,
                reason="created", actor=actor, now=now,
            )  # fmt: skip
            await self._record(
                tx, experiment_id, "experiment.create", actor, now,
                new_state=State.PENDING.value, request_hash=draft.spec.sha256,
            )  # fmt: skip
        return Created(experiment=experiment, notes=draft.notes)

    async def _replayed(
        self, tx: Transaction, before: tuple[str, str], request: ExperimentRequest
    ) -> Created:
        request_hash, experiment_id = before
        if request_hash != _request_hash(request):
            raise KeyReused(remedy="Use a new key for a new request.")
        experiment = await self._get(tx, experiment_id)
        return Created(experiment=experiment, notes=(), replayed=True)

    async def cancel(self, experiment_id: str, actor: str, reason: str) -> None:
        """Stop what runs; production was never touched.

        Raises:
            TransitionRefused: it is final already.
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            experiment = await self._get(tx, experiment_id)
            if State.CANCELLED not in FOLLOWS[experiment.state]:
                raise TransitionRefused(
                    f"{experiment_id} is {experiment.state}; it cannot be cancelled any more."
                )
            await self.move(
                tx, experiment, State.CANCELLED, None, reason=reason, actor=actor, now=now
            )
            await self._withdraw(tx, experiment_id)

    async def move(
        self,
        tx: Transaction,
        experiment: Experiment,
        state: State,
        phase: Phase | None,
        *,
        reason: str,
        actor: str,
        now: datetime,
        verdict: Verdict | None = None,
        error_message: str | None = None,
    ) -> None:
        """One transition with its ledger entry.

        Raises:
            TransitionRefused: somebody moved it in the meantime.
        """
        won = await store.move(
            tx, experiment, state=state, phase=phase, reason=reason, actor=actor, now=now,
            verdict=verdict, error_message=error_message,
        )  # fmt: skip
        if not won:
            raise TransitionRefused(f"{experiment.id} was moved by somebody else; look again.")
        await self._record(
            tx, experiment.id, f"experiment.{state.value}", actor, now,
            prev_state=experiment.state.value, new_state=state.value, reason=reason,
            outcome=verdict.outcome if verdict else "done",
        )  # fmt: skip

    async def withdraw(self, tx: Transaction, experiment_id: str) -> None:
        """Ask the host to stop the shadow and the meter to stop listening."""
        await self._withdraw(tx, experiment_id)

    async def get(self, experiment_id: str) -> Experiment:
        """One experiment.

        Raises:
            ExperimentNotFound: there is none of that id.
        """
        async with self._database.transaction() as tx:
            return await self._get(tx, experiment_id)

    async def page(self, state: str | None, limit: int, offset: int) -> dict[str, Any]:
        """A page of summaries, newest first."""
        async with self._database.transaction() as tx:
            found, total = await store.page(tx, state, limit, offset)
        return {"items": [reporting.summary(e) for e in found], "total": total}

    async def described(self, experiment_id: str) -> dict[str, Any]:
        """One experiment with its steps, as plain values."""
        async with self._database.transaction() as tx:
            experiment = await self._get(tx, experiment_id)
            steps = await store.transitions(tx, experiment_id)
        return {
            **reporting.summary(experiment),
            "spec": experiment.spec.to_dict(),
            "live": dict(experiment.live),
            "transitions": [{**step, "at": rfc3339(step["at"])} for step in steps],
        }

    async def metrics(self, experiment_id: str, after: int, limit: int) -> dict[str, Any]:
        """The closed ticks after `after`."""
        await self.get(experiment_id)
        ticks = await self._measurement.ticks(experiment_id, after=after, limit=limit)
        return {"experiment_id": experiment_id, "ticks": [tick.to_dict() for tick in ticks]}

    async def report(self, experiment_id: str) -> dict[str, Any]:
        """The report document of a completed experiment.

        Raises:
            Conflict: it has no verdict.
        """
        async with self._database.transaction() as tx:
            experiment = await self._get(tx, experiment_id)
            revisions = await store.revisions(tx, experiment_id)
            _, judged = await store.last_look(tx, experiment_id)
        if experiment.verdict is None:
            raise Conflict(
                f"{experiment_id} is {experiment.state}; only a completed one has a report.",
                remedy=f"See: phoenix experiment show {experiment_id}",
            )
        return await reporting.document(
            experiment, revisions, judged, self._measurement, self._collectors, self._data_dir
        )

    async def _get(self, tx: Transaction, experiment_id: str) -> Experiment:
        experiment = await store.get(tx, experiment_id)
        if experiment is None:
            raise ExperimentNotFound(
                f"There is no experiment '{experiment_id}'.",
                remedy="See: phoenix experiment list",
            )
        return experiment

    async def _withdraw(self, tx: Transaction, experiment_id: str) -> None:
        await self._collectors.stop(tx, experiment_id)
        await self._measurement.unsubscribe(tx, experiment_id)

    async def _record(
        self, tx: Transaction, experiment_id: str, action: str, actor: str, now: datetime,
        **more: str | None,
    ) -> None:  # fmt: skip
        known: Mapping[str, Any] = {k: v for k, v in more.items() if v is not None}
        await ledger.record(
            tx,
            entry(
                kind="experiment",
                at=now,
                actor=Actor(type="system" if actor == CONTROLLER else "key", id=actor),
                action=action,
                target=experiment_id,
                **{"outcome": "done", **known},
            ),
        )


def _request_hash(request: ExperimentRequest) -> str:
    from dataclasses import asdict  # noqa: PLC0415

    return sha256_hex(canonical_bytes(_texts(asdict(request))))


def _texts(value: Any) -> Any:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return {str(k): _texts(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(v) for v in value]
    return value
