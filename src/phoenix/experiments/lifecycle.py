"""What the controller does next for one experiment: a world in, a plan and its sentence out.

The loop is level-triggered: it compares what is with what should be, so a crash between two steps
costs one interval and nothing else. Every action is small, idempotent, and guarded by the version
of the row it was decided on.

    pending ──▶ initializing ──▶ running ──▶ analyzing ──▶ completed
                check, deploy    evidence    verdict
    each of them ──▶ failed (a technical error, told) or cancelled (by a person)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from phoenix.collectors.model import ShadowStatus
from phoenix.experiments.model import Experiment, Phase, State, Verdict

READY_DEADLINE = timedelta(minutes=5)
CHECK_DEADLINE = timedelta(minutes=10)
# A run that lost ticks to gaps may take this much longer than its ticks before it is judged as is.
RUN_SLACK = 1.5
RUN_GRACE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the check before the start said: None while it runs."""

    passed: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything one decision rests on."""

    experiment: Experiment
    now: datetime
    killed: bool
    checked: Checked | None
    shadow: ShadowStatus | None
    ticks_seen: int
    warmup_done: bool
    verdict: Verdict | None
    waiting: str
    checking: bool = False  # alerts and dashboards, before the verdict


@dataclass(frozen=True, slots=True)
class Check:
    """Validate and try both configurations before anything is deployed."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """Ask the meter to listen and the host to run the shadow."""


@dataclass(frozen=True, slots=True)
class Move:
    """Write the next state and phase."""

    state: State
    phase: Phase
    reason: str


@dataclass(frozen=True, slots=True)
class Conclude:
    """Keep the verdict and stop the shadow."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Fail:
    """End with a technical error, and stop the shadow."""

    message: str


Action = Check | Deploy | Move | Conclude | Fail


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, and the sentence that explains it."""

    action: Action | None
    sentence: str


def decide(world: World) -> Plan:
    """Return the next step of one experiment."""
    match world.experiment.state:
        case State.PENDING:
            return _pending(world)
        case State.INITIALIZING:
            return _initializing(world)
        case State.RUNNING:
            return _running(world)
        case State.ANALYZING:
            return _analyzing(world)
        case _:
            return Plan(None, f"{world.experiment.state} is final")


def run_deadline(experiment: Experiment) -> datetime:
    """When the evidence is judged as it is, however many ticks were lost."""
    spec = experiment.spec
    ticks = spec.warmup_ticks + spec.evidence_ticks_max
    begun = experiment.started_at or _since(experiment)
    return begun + timedelta(seconds=ticks * spec.interval_s * RUN_SLACK) + RUN_GRACE


def _pending(world: World) -> Plan:
    if world.killed:
        return Plan(None, "waiting: a kill is in force; nothing starts until it is revived")
    return Plan(
        Move(State.INITIALIZING, Phase.VALIDATED, "the controller took it up"),
        "checking both configurations on the real collector before anything starts",
    )


def _initializing(world: World) -> Plan:
    if world.killed:
        return Plan(None, "waiting: a kill is in force; nothing starts until it is revived")
    if world.experiment.phase is Phase.VALIDATED:
        return _checking(world)
    if world.shadow is None:
        return Plan(Deploy(), "deploying the shadow: one scraper, one collector for each arm")
    if world.shadow.phase == "failed":
        return Plan(Fail(_shadow_error(world.shadow)), "the shadow could not be started")
    if world.ticks_seen > 0:
        return Plan(
            Move(State.RUNNING, Phase.WARMUP, "both arms report"), "both arms report; warming up"
        )
    if world.now - _since(world.experiment) > READY_DEADLINE:
        waited = int(READY_DEADLINE.total_seconds() // 60)
        return Plan(
            Fail(f"no tick from the shadow within {waited} minutes; see the collectors' logs"),
            "the shadow never reported",
        )
    return Plan(None, "waiting for the first scrape to arrive through both arms")


def _checking(world: World) -> Plan:
    if world.checked is None:
        if world.now - _since(world.experiment) > CHECK_DEADLINE:
            return Plan(Fail("the check did not end within 10 minutes"), "the check hangs")
        return Plan(Check(), "trying both configurations on the real collector")
    if not world.checked.passed:
        return Plan(Fail(world.checked.sentence), "the check refused a configuration")
    return Plan(
        Move(State.INITIALIZING, Phase.DEPLOYING, world.checked.sentence),
        "both configurations passed the check",
    )


def _running(world: World) -> Plan:
    if world.shadow is not None and world.shadow.phase == "failed":
        return Plan(Fail(_shadow_error(world.shadow)), "the shadow failed")
    if world.verdict is not None:
        return Plan(
            Move(State.ANALYZING, Phase.DECIDING, world.verdict.sentence),
            "the evidence is complete",
        )
    if world.experiment.phase is Phase.WARMUP and world.warmup_done:
        return Plan(Move(State.RUNNING, Phase.OBSERVING, "warm-up is over"), "collecting evidence")
    return Plan(None, world.waiting)


def _analyzing(world: World) -> Plan:
    if world.verdict is None:
        return Plan(Fail("the evidence is gone: no verdict can be computed"), "nothing to judge")
    if world.checking:
        return Plan(None, "checking alerts and dashboards against what both arms emitted")
    return Plan(Conclude(world.verdict), world.verdict.sentence)


def _since(experiment: Experiment) -> datetime:
    return experiment.updated_at or experiment.created_at


def _ending(verdict: Verdict) -> Phase:
    return Phase.ABORTING if verdict.aborted else Phase.DECIDING


def _shadow_error(shadow: ShadowStatus) -> str:
    errors = [shadow.last_error] if shadow.last_error else []
    errors += [f"{name}: {m.last_error}" for name, m in shadow.members.items() if m.last_error]
    return "the shadow failed: " + ("; ".join(errors) or "no reason given")
