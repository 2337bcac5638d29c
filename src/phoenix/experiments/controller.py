"""The reconcile loop over experiments: observe, decide, act, one sentence.

Exactly one controller acts at a time: it holds a lease row, and every write is a compare-and-set on
the version it decided on. Evidence is folded again from the stored ticks after a restart, so a
killed controller loses nothing: ticks and samples arrive whether it looks or not.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from phoenix.base.clock import Clock
from phoenix.base.errors import Conflict, PhoenixError, Unavailable
from phoenix.collectors.service import CollectorsService
from phoenix.experiments import deployment, guarding, lifecycle, preflight, rules, store
from phoenix.experiments.checking import QueryChecks
from phoenix.experiments.evidence import Evidence
from phoenix.experiments.lifecycle import Checked, Conclude, Deploy, Fail, Move, World
from phoenix.experiments.model import RULES_VERSION, Experiment, Guardrail, Phase, State, Verdict
from phoenix.experiments.service import CONTROLLER, ExperimentsService
from phoenix.experiments.timeline import intervals
from phoenix.guard.outcome import Outcome
from phoenix.measurement.model import Tick
from phoenix.measurement.service import MeasurementService
from phoenix.safety.service import SafetyService
from phoenix.storage.database import Database
from phoenix.storage.leases import Lease, Leases

LOOP_S = 0.5
LEASE = "experiment-controller"
LEASE_S = 5.0
TICKS_PER_READ = 1000
# A look is kept at least this often; the sufficient statistics of each are in its row.
LOOK_EVERY_TICKS = 10
# A tick waits this long for the runtime's word about its moment.
SILENCE_S = 5.0
# One without any data waits for a new agent to tell that the old one was gone: its supervisor may
# let it wait for half a minute before it starts it again.
NOBODY_S = 60.0

log = structlog.get_logger()


@dataclass(slots=True)
class _Watched:
    """What the loop remembers of one experiment; everything can be read again."""

    evidence: Evidence = field(default_factory=Evidence)
    samples_after: int = 0
    samples: list[Any] = field(default_factory=list)
    check: asyncio.Task[preflight.Report] | None = None
    queries: asyncio.Task[Outcome] | None = None
    looked_after: int = -1
    last: Tick | None = None


class Controller:
    """Moves every experiment on, one step a cycle."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        safety: SafetyService,
        measurement: MeasurementService,
        collectors: CollectorsService,
        experiments: ExperimentsService,
        checks: QueryChecks,
        data_dir: Path,
        meter_url: str,
    ) -> None:
        self._database = database
        self._clock = clock
        self._safety = safety
        self._measurement = measurement
        self._collectors = collectors
        self._experiments = experiments
        self._checks = checks
        self._data_dir = data_dir
        self._meter_url = meter_url
        self._leases = Leases(database)
        self._holder = f"controller-{secrets.token_hex(4)}"
        self._lease: Lease | None = None
        self._watched: dict[str, _Watched] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Cycle until `stop` is set; trouble costs a cycle and is told once a change."""
        said = ""
        while not stop.is_set():
            try:
                sentence = await self.run_cycle()
            except PhoenixError as error:
                sentence = f"nothing done: {error.message}"
            except Exception:  # the loop outlives every mistake, and tells it
                log.exception("cycle failed")
                sentence = "nothing done: a mistake of ours; the log tells more"
            if sentence != said:
                log.info(sentence)
                said = sentence
            try:
                await asyncio.wait_for(stop.wait(), LOOP_S)
            except TimeoutError:
                continue
        await self._release()

    async def run_cycle(self) -> str:
        """One look at everything; the sentence says what was done."""
        if not await self._lead():
            return "another controller leads"
        async with self._database.transaction() as tx:
            active = await store.active(tx)
        killed = (await self._safety.state()).stops("experiments")
        for gone in set(self._watched) - {e.id for e in active}:
            self._forget(gone)
        sentences = [await self._step(experiment, killed) for experiment in active]
        return "; ".join(sentences) or "no experiment to move"

    async def _lead(self) -> bool:
        self._lease = await self._leases.acquire(LEASE, self._holder, LEASE_S)
        return self._lease is not None

    async def _release(self) -> None:
        for experiment_id in list(self._watched):
            self._forget(experiment_id)
        try:
            await self._leases.release(LEASE, self._holder)
        except PhoenixError:
            log.info("the lease could not be given back; it ends by itself")

    def _forget(self, experiment_id: str) -> None:
        watched = self._watched.pop(experiment_id)
        for task in (watched.check, watched.queries):
            if task is not None:
                task.cancel()

    async def _step(self, experiment: Experiment, killed: bool) -> str:
        watched = self._watched.setdefault(experiment.id, _Watched())
        world = await self._observe(experiment, watched, killed)
        plan = lifecycle.decide(world)
        try:
            await self._act(experiment, watched, plan.action)
            await self._show(experiment, watched, plan.sentence)
        except Conflict:
            return f"{experiment.id}: moved by somebody else, looking again"
        return f"{experiment.id}: {plan.sentence}"

    async def _observe(self, experiment: Experiment, watched: _Watched, killed: bool) -> World:
        spec = experiment.spec
        shadow = await self._collectors.status(experiment.id)
        await self._fold(experiment, watched)
        now = self._clock.now()
        verdict: Verdict | None = None
        checking = False
        if experiment.state in (State.RUNNING, State.ANALYZING):
            finished = _is_over(experiment, now)
            verdict = rules.judge(spec, watched.evidence, finished=finished)
            if experiment.state is State.ANALYZING and _has_to_be_checked(experiment, verdict):
                queries = self._about_queries(experiment, watched)
                checking = queries is None
                verdict = rules.judge(spec, watched.evidence, finished=finished, queries=queries)
        return World(
            experiment=experiment,
            now=now,
            killed=killed,
            checked=_checked(watched.check),
            shadow=shadow,
            ticks_seen=watched.evidence.seen,
            warmup_done=watched.evidence.warmup_done(spec),
            verdict=verdict,
            waiting=rules.waiting(spec, watched.evidence),
            checking=checking,
        )

    def _about_queries(self, experiment: Experiment, watched: _Watched) -> Guardrail | None:
        """The guardrail of alerts and dashboards; None while they are being checked."""
        if watched.queries is None:
            watched.queries = asyncio.create_task(self._checks.frozen(experiment, watched.evidence))
        if not watched.queries.done():
            return None
        error = watched.queries.exception()
        if error is None:
            return guarding.guardrail(watched.queries.result())
        if isinstance(error, Unavailable):
            watched.queries = None  # the next cycle tries again
            return None
        if not isinstance(error, PhoenixError):
            log.error("alerts and dashboards were not checked", error=repr(error))
        why = error.message if isinstance(error, PhoenixError) else "a mistake of ours, see the log"
        return guarding.guardrail(None, why.rstrip("."))

    async def _fold(self, experiment: Experiment, watched: _Watched) -> None:
        if experiment.state is State.PENDING or experiment.phase is Phase.VALIDATED:
            return
        fresh = await self._collectors.samples(experiment.id, watched.samples_after)
        if fresh:
            watched.samples_after = fresh[-1].id
            watched.samples = (watched.samples + fresh)[-5000:]
            watched.evidence = watched.evidence.with_samples(fresh)
        last = watched.evidence.last_tick
        ticks = await self._measurement.ticks(
            experiment.id, after=-1 if last is None else last, limit=TICKS_PER_READ
        )
        told = intervals(watched.samples)
        for tick in ticks:
            if not self._is_told(tick, watched, experiment.spec.interval_s):
                break
            watched.evidence = watched.evidence.updated(tick, experiment.spec, told)
            watched.last = tick

    def _is_told(self, tick: Tick, watched: _Watched, interval_s: float) -> bool:
        """Whether the runtime has said how its members were at that moment, or will not any more.

        A tick that came before a pause was known must not count against the paused arm.
        """
        if watched.samples and watched.samples[-1].at >= tick.at:
            return True
        empty = tick.baseline is None and tick.candidate is None
        patience_s = (NOBODY_S if empty else SILENCE_S) + 3 * interval_s
        return self._clock.now() - tick.at > timedelta(seconds=patience_s)

    async def _act(
        self, experiment: Experiment, watched: _Watched, action: lifecycle.Action | None
    ) -> None:
        now = self._clock.now()
        match action:
            case None:
                return
            case lifecycle.Check():
                if watched.check is None:
                    watched.check = asyncio.create_task(
                        preflight.check_arms(experiment.spec, self._data_dir)
                    )
            case Deploy():
                shadow = deployment.shadow(experiment, self._meter_url, self._data_dir)
                await self._experiments.deploy(experiment, shadow)
            case Move(state, phase, reason):
                async with self._database.transaction() as tx:
                    await self._experiments.move(
                        tx, experiment, state, phase, reason=reason, actor=CONTROLLER, now=now
                    )
            case Conclude(verdict):
                async with self._database.transaction() as tx:
                    await self._look(tx, experiment, watched, verdict)
                    if watched.queries is not None and watched.queries.exception() is None:
                        outcome = watched.queries.result().to_dict()
                        await store.save_outcome(tx, experiment.id, outcome)
                    await self._experiments.move(
                        tx, experiment, State.COMPLETED, None,
                        reason=verdict.sentence, actor=CONTROLLER, now=now, verdict=verdict,
                    )  # fmt: skip
                    await self._experiments.withdraw(tx, experiment.id)
            case Fail(message):
                async with self._database.transaction() as tx:
                    await self._experiments.move(
                        tx, experiment, State.FAILED, None,
                        reason=message, actor=CONTROLLER, now=now, error_message=message,
                    )  # fmt: skip
                    await self._experiments.withdraw(tx, experiment.id)

    async def _look(
        self, tx: Any, experiment: Experiment, watched: _Watched, verdict: Verdict | None
    ) -> None:
        number, _ = await store.last_look(tx, experiment.id)
        await store.insert_look(
            tx,
            experiment.id,
            number=number + 1,
            after_tick=watched.evidence.last_tick or 0,
            statistics=watched.evidence.to_dict(),
            finished=_is_over(experiment, self._clock.now()),
            rules_version=RULES_VERSION,
            outcome=verdict.outcome if verdict else None,
            now=self._clock.now(),
        )
        watched.looked_after = watched.evidence.ticks

    async def _show(self, experiment: Experiment, watched: _Watched, sentence: str) -> None:
        live = self._live(experiment, watched, sentence)
        due = watched.evidence.ticks - watched.looked_after >= LOOK_EVERY_TICKS
        if live == experiment.live and not due:
            return
        async with self._database.transaction() as tx:
            await store.set_live(tx, experiment.id, live)
            if due and experiment.state is State.RUNNING and watched.evidence.ticks:
                await self._look(tx, experiment, watched, None)

    def _live(self, experiment: Experiment, watched: _Watched, sentence: str) -> Mapping[str, Any]:
        if experiment.state is not State.RUNNING:
            return {"sentence": sentence}
        return {
            "sentence": sentence,
            **rules.progress(experiment.spec, watched.evidence),
            "last": watched.last.to_dict() if watched.last else None,
            "use": {
                member: {"cores": use.cores, "rss_max_bytes": use.rss_max_bytes}
                for member, use in watched.evidence.use.items()
            },
        }


def _has_to_be_checked(experiment: Experiment, verdict: Verdict | None) -> bool:
    """Whether alerts and dashboards may still decide; an abort needs no further reason."""
    return experiment.spec.guard is not None and verdict is not None and not verdict.aborted


def _is_over(experiment: Experiment, now: datetime) -> bool:
    """Whether no more evidence is to come."""
    return experiment.state is State.ANALYZING or now > lifecycle.run_deadline(experiment)


def _checked(task: asyncio.Task[preflight.Report] | None) -> Checked | None:
    if task is None or not task.done():
        return None
    error = task.exception()
    if error is not None:
        if not isinstance(error, PhoenixError):
            log.error("check failed", error=repr(error))
        return Checked(passed=False, sentence=f"the check could not be done: {error}")
    report = task.result()
    return Checked(passed=report.passed, sentence=report.sentence)
