"""What a person or the controller can do with an experiment: one transaction a method, and each
change with its ledger entry in it."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from phoenix.base.canonical import canonical_bytes, sha256_hex
from phoenix.base.clock import Clock, rfc3339
from phoenix.base.errors import Conflict, Invalid, NotFound, PhoenixError, Unavailable
from phoenix.base.ids import new_experiment_id
from phoenix.collectors.service import CollectorsService
from phoenix.experiments import drafting, reporting, store
from phoenix.experiments.deployment import Shadow
from phoenix.experiments.drafting import Draft
from phoenix.experiments.errors import ExperimentNotFound, TransitionRefused
from phoenix.experiments.model import FOLLOWS, Experiment, Phase, State, Verdict
from phoenix.experiments.request import ExperimentRequest
from phoenix.ledger import service as ledger
from phoenix.ledger.model import Actor, entry
from phoenix.measurement.service import MeasurementService
from phoenix.safety.errors import Killed
from phoenix.safety.service import SafetyService
from phoenix.storage.database import Database, Transaction

CONTROLLER = "controller"

log = structlog.get_logger()


class HostBusy(Conflict):
    """The host already takes part in an experiment."""


class NameTaken(Conflict):
    """An experiment of that name exists."""


class KeyReused(Invalid):
    """That Idempotency-Key was used with another request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A new experiment as plain values, with notes for its author, and whether this is the answer
    that the same key was given before."""

    answer: Mapping[str, Any]
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
        """Freeze a specification and put it in line. A refusal is an entry of its own.

        Raises:
            Invalid: the request contradicts itself, or a pipeline or parameter is unknown.
            HostBusy, NameTaken: something stands in its way.
            Killed: a kill is in force.
        """
        try:
            return await self._create(request, actor, key)
        except (NotFound, Invalid, HostBusy, NameTaken, Killed) as refusal:
            await self._refused("experiment.create", "new", actor, refusal, _request_hash(request))
            raise

    async def _create(self, request: ExperimentRequest, actor: str, key: str | None) -> Created:
        now = self._clock.now()
        # Reading a large configuration takes a while, and others want answers meanwhile.
        draft = await asyncio.to_thread(drafting.draft, request, new_experiment_id())
        async with self._database.transaction() as tx:
            if key is not None:
                before = await store.claim_key(tx, actor, key, _request_hash(request), now)
                if before is not None:
                    return _replayed(before, request)
            await self._safety.refuse_when_killed(tx, "experiments")
            await self._refuse_when_busy(tx)
            experiment, notes = await self._counted(tx, draft, actor, now)
            if not await store.insert(tx, experiment):
                raise NameTaken(
                    f"There is already an experiment named '{draft.spec.name}'.",
                    remedy="Choose another --name, or none.",
                )
            if draft.asked is not None:
                await store.insert_asked(tx, experiment.id, draft.asked.to_dict())
            await store.insert_transition(
                tx, experiment.id, None, State.PENDING, Phase.VALIDATED,
                reason="created", actor=actor, now=now,
            )  # fmt: skip
            await self._record(
                tx, experiment.id, "experiment.create", actor, now,
                new_state=State.PENDING.value, request_hash=experiment.spec.sha256,
            )  # fmt: skip
            answer = {**await self._described(tx, experiment.id), "notes": list(notes)}
            if key is not None:
                await store.keep_answer(tx, actor, key, answer)
        return Created(answer=answer)

    async def _refuse_when_busy(self, tx: Transaction) -> None:
        host = platform.node()
        holder = await store.active_on_host(tx, host)
        if holder is not None:
            raise HostBusy(
                f"{host} already takes part in {holder}.",
                remedy=f"Wait for it, or stop it: phoenix experiment stop {holder}",
            )

    async def _counted(
        self, tx: Transaction, draft: Draft, actor: str, now: datetime
    ) -> tuple[Experiment, tuple[str, ...]]:
        """The experiment, knowing how often its change was tried before for the long run."""
        spec, notes = draft.spec, draft.notes
        if spec.claim == "long_run":
            tried = await store.attempts(tx, spec.change_sha256)
            spec = replace(spec, attempt=tried + 1)
            if tried:
                notes += (
                    f"attempt {spec.attempt} for this change: the chance of a wrong promotion is "
                    f"shared by all attempts, and this one may use {spec.promote_level:g} of it",
                )
        experiment = Experiment(
            id=draft.experiment_id,
            spec=spec,
            state=State.PENDING,
            phase=Phase.VALIDATED,
            created_at=now,
            hosts=(platform.node(),),
            created_by=actor,
            updated_at=now,
        )
        return experiment, notes

    async def _refused(
        self, action: str, target: str, actor: str, refusal: PhoenixError, request_hash: str | None
    ) -> None:
        """Record a refusal by its code: its message may quote what was sent."""
        try:
            async with self._database.transaction() as tx:
                await self._record(
                    tx, target, action, actor, self._clock.now(),
                    outcome="refused", reason=refusal.code, request_hash=request_hash,
                )  # fmt: skip
        except Unavailable:
            log.warning("a refusal could not be recorded", action=action, code=refusal.code)

    async def cancel(self, experiment_id: str, actor: str, reason: str) -> None:
        """Stop what runs; production was never touched.

        Raises:
            ExperimentNotFound: there is none of that id.
            TransitionRefused: it is final already.
        """
        try:
            await self._cancel(experiment_id, actor, reason)
        except (ExperimentNotFound, TransitionRefused) as refusal:
            await self._refused("experiment.cancelled", experiment_id, actor, refusal, None)
            raise

    async def _cancel(self, experiment_id: str, actor: str, reason: str) -> None:
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
            await self.withdraw(tx, experiment_id)

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

    async def deploy(self, experiment: Experiment, shadow: Shadow) -> None:
        """Keep what will run, have the meter listen, and ask the host to run the shadow."""
        now = self._clock.now()
        async with self._database.transaction() as tx:
            for revision in shadow.revisions:
                await store.insert_revision(tx, experiment.id, revision)
            await self._measurement.subscribe(tx, shadow.subscription(now))
            await self._collectors.want(tx, shadow.spec)
            await self._record(
                tx, experiment.id, "experiment.deploy", CONTROLLER, now,
                reason=", ".join(f"{r.role} {r.sha256}" for r in shadow.revisions),
            )  # fmt: skip

    async def withdraw(self, tx: Transaction, experiment_id: str) -> None:
        """Ask the host to stop the shadow and the meter to stop listening."""
        await self._collectors.stop(tx, experiment_id)
        await self._measurement.unsubscribe(tx, experiment_id)

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
            return await self._described(tx, experiment_id)

    async def _described(self, tx: Transaction, experiment_id: str) -> dict[str, Any]:
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


def _replayed(before: store.Claimed, request: ExperimentRequest) -> Created:
    if before.request_hash != _request_hash(request):
        raise KeyReused(remedy="Use a new key for a new request.")
    return Created(answer=before.answer, replayed=True)


def _request_hash(request: ExperimentRequest) -> str:
    return sha256_hex(canonical_bytes(_texts(asdict(request))))


def _texts(value: Any) -> Any:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return {str(k): _texts(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(v) for v in value]
    return value
