"""The nouns of an experiment: what is asked, where it is in its life, what was answered.

A `Spec` is frozen before the first tick and known by the SHA-256 of its canonical form: margins,
levels and horizons cannot follow the data. An experiment is in one of seven `State`s; `Phase` says
more finely what it is busy with. Every evaluation of the evidence is a `Look`; the look that ends
the experiment carries a `Verdict` with one `Guardrail` per requirement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal

from phoenix.base.canonical import canonical_bytes, sha256_hex
from phoenix.experiments.errors import SpecInvalid
from phoenix.experiments.statistics.levels import attempt_level
from phoenix.pipelines.model import CriticalRule

Claim = Literal["window", "long_run"]
Outcome = Literal["adopt_candidate", "keep_baseline", "needs_tuning", "inconclusive"]

#: Changes whenever a rule, formula or margin of the verdict changes; stored with every look.
RULES_VERSION = "2026-11-2"

#: A candidate that emits more than this share of the baseline in a batch is aborted; the betting
#: e-process is bounded by the same number.
RATIO_CAP = 1.25


class State(StrEnum):
    """Where an experiment is in its life, as the API and the database spell it."""

    PENDING = "pending"  # accepted, nothing started
    INITIALIZING = "initializing"  # checks, rendering, start of the shadow
    RUNNING = "running"  # ticks are measured
    ANALYZING = "analyzing"  # the last look; the shadow is being stopped
    COMPLETED = "completed"  # a verdict was reached, also an honest negative; final
    FAILED = "failed"  # a technical error; final
    CANCELLED = "cancelled"  # stopped by a person; final

    @property
    def is_final(self) -> bool:
        """Nothing follows."""
        return not FOLLOWS[self]


FOLLOWS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.PENDING: frozenset({State.INITIALIZING, State.CANCELLED}),
        State.INITIALIZING: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
        State.RUNNING: frozenset({State.ANALYZING, State.FAILED, State.CANCELLED}),
        State.ANALYZING: frozenset({State.COMPLETED, State.FAILED}),
        State.COMPLETED: frozenset(),
        State.FAILED: frozenset(),
        State.CANCELLED: frozenset(),
    }
)


class Phase(StrEnum):
    """What an experiment is busy with, finer than its state."""

    VALIDATED = "validated"
    DEPLOYING = "deploying"
    WARMUP = "warmup"
    OBSERVING = "observing"
    PAUSED = "paused"
    DECIDING = "deciding"
    ABORTING = "aborting"
    PROMOTING = "promoting"
    BAKING = "baking"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """What one arm runs: a pipeline of the catalog, or an imported collector configuration."""

    pipeline: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    imported: str | None = None  # YAML text of the user's own configuration

    def to_dict(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "parameters": dict(self.parameters),
            "imported": self.imported,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Criteria:
    """What the candidate must keep to. Shares are 0 to 1; None means "reported, not required".

    `coverage_margin` bounds the chance, per tick in which nothing was missing before, that the
    candidate begins to miss a critical process which the baseline shows (see `Spec.onset_margin`);
    and also the share of the evidence ticks in which anything critical was missing.
    """

    required_reduction: float = 0.30
    coverage_margin: float = 0.05
    critical_missing_ticks_max: int = 5  # misses in this many ticks in a row abort
    conservation_tolerance: float | None = 0.01
    min_recall_top_k: float | None = None
    freshness_max_extra_s: float | None = 2.0  # candidate's p95 delay beyond the baseline's
    collector_cpu_max_cores: float | None = 0.5  # share of one core, mean over the evidence
    collector_memory_max_mib: float | None = 256.0  # highest resident set seen
    export_failures_max: int | None = 0  # points the candidate could not send or queue

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """One frozen question. `Spec(...)` refuses contradictory criteria with `SpecInvalid`."""

    name: str
    description: str = ""
    hypothesis: str | None = None
    baseline: Arm
    candidate: Arm
    critical: tuple[CriticalRule, ...] = ()
    interval_s: float = 10.0
    warmup_ticks: int = 30
    evidence_ticks_max: int = 8640
    claim: Claim = "long_run"
    criteria: Criteria = field(default_factory=Criteria)
    alpha_abort: float = 0.05
    alpha_promote: float = 0.01
    attempt: int = 1  # 1 for the first experiment on this change, 2 for its first retry ...
    load: Mapping[str, object] | None = None
    redact: bool = True
    seed: int = 0
    #: What is asked of both arms before a promotion: the backend, the number of queries and their
    #: SHA-256 (the queries are rows of their own); None when alerts and dashboards are not checked.
    guard: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        _check_texts(self)
        _check_times(self)
        _check_levels(self)
        _check_criteria(self)

    @property
    def promote_level(self) -> float:
        """Level of the tests that stand before `adopt_candidate`.

        A window speaks of itself and replaces nothing, so it spends no budget.
        """
        return self.alpha_promote if self.claim == "window" else self.long_run_level

    @property
    def long_run_level(self) -> float:
        """Level of a long-run claim, which may replace a pipeline.

        The budget belongs to the change and is halved at every attempt: alpha/2 + alpha/4 + ... <
        alpha, so however often one change is tried again, the chance that any of its trials
        promotes it wrongly stays under `alpha_promote`.
        """
        return attempt_level(self.alpha_promote, self.attempt)

    @property
    def clean_ticks_min(self) -> int:
        """Ticks without a single miss that are enough for the coverage test to pass.

        Half of the stake bets that no miss ever happens and grows by 1/(1 - margin) a tick.
        """
        return math.ceil(math.log(2 / self.promote_level) / -math.log1p(-self.onset_margin))

    @property
    def onset_margin(self) -> float:
        """The chance per tick that a miss begins which the coverage test has to exclude.

        In a window it is the coverage margin itself. In the long run misses come in episodes, so
        a share of ticks with a miss equal to the margin may begin much more rarely: the margin is
        divided by the ticks that a miss may last.
        """
        margin = self.criteria.coverage_margin
        if self.claim == "window":
            return margin
        return margin / (self.criteria.critical_missing_ticks_max + 1)

    def to_dict(self) -> dict[str, Any]:
        """The specification as plain values, numbers as numbers (for the API and for people)."""
        return {
            "name": self.name,
            "description": self.description,
            "hypothesis": self.hypothesis,
            "baseline": self.baseline.to_dict(),
            "candidate": self.candidate.to_dict(),
            "critical": [
                {"kind": rule.kind, "value": rule.value, "source": rule.source}
                for rule in self.critical
            ],
            "interval_s": self.interval_s,
            "warmup_ticks": self.warmup_ticks,
            "evidence_ticks_max": self.evidence_ticks_max,
            "claim": self.claim,
            "criteria": self.criteria.to_dict(),
            "alpha_abort": self.alpha_abort,
            "alpha_promote": self.alpha_promote,
            "attempt": self.attempt,
            "load": None if self.load is None else dict(self.load),
            "redact": self.redact,
            "seed": self.seed,
            # Left out where there is none, so that older specifications keep their hash.
            **({} if self.guard is None else {"guard": dict(self.guard)}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Spec:
        """The inverse of `to_dict`.

        Raises:
            SpecInvalid: an unknown field, or values that contradict each other.
        """
        values = dict(data)
        try:
            for arm in ("baseline", "candidate"):
                values[arm] = Arm(**values[arm])
            values["critical"] = tuple(CriticalRule(**rule) for rule in values.get("critical", ()))
            if "criteria" in values:
                values["criteria"] = Criteria(**values["criteria"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise SpecInvalid(
                f"The specification cannot be read: {error}.",
                remedy="Compare it with `phoenix experiment show -o json` of an experiment.",
            ) from error

    def canonical(self) -> bytes:
        """Canonical JSON of the specification; numbers with a fraction are text."""
        return canonical_bytes(_without_floats(self.to_dict()))

    @property
    def sha256(self) -> str:
        """Identity of the specification."""
        return sha256_hex(self.canonical())

    @property
    def change_sha256(self) -> str:
        """Identity of the change under trial (both arms), by which retries are counted."""
        arms = {"baseline": self.baseline.to_dict(), "candidate": self.candidate.to_dict()}
        return sha256_hex(canonical_bytes(_without_floats(arms)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """Named sizes of an experiment, to start from."""

    name: str
    interval_s: float
    warmup_ticks: int
    evidence_ticks_max: int
    claim: Claim
    criteria: Criteria

    def applied_to(self, name: str, *, baseline: Arm, candidate: Arm, **other: Any) -> Spec:
        """A specification of this size; `other` are fields of `Spec` and win over the profile.

        Raises:
            SpecInvalid: the result contradicts itself.
        """
        values: dict[str, Any] = {
            "interval_s": self.interval_s,
            "warmup_ticks": self.warmup_ticks,
            "evidence_ticks_max": self.evidence_ticks_max,
            "claim": self.claim,
            "criteria": self.criteria,
        }
        return Spec(name=name, baseline=baseline, candidate=candidate, **{**values, **other})


#: Three minutes on one host: settles the window, says what the long run would still need.
DEMO = Profile(
    name="demo",
    interval_s=1.0,
    warmup_ticks=20,
    evidence_ticks_max=150,
    claim="window",
    criteria=Criteria(),
)
#: A day at the usual scrape interval: may settle the long run.
STANDARD = Profile(
    name="standard",
    interval_s=10.0,
    warmup_ticks=30,
    evidence_ticks_max=8640,
    claim="long_run",
    criteria=Criteria(critical_missing_ticks_max=3),
)
PROFILES: Mapping[str, Profile] = MappingProxyType({p.name: p for p in (DEMO, STANDARD)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Guardrail:
    """One requirement: `passed` is None when there is not enough data to say.

    `required` and `measured` are texts for people; `value` is the measured number (unit in the
    name of the guardrail's documentation), None without a measurement.
    """

    name: str
    required: str
    measured: str
    passed: bool | None
    sentence: str
    value: float | None = None
    enforced: bool = True  # False: reported only, never decides
    tunable: bool = False  # a failure may be cured by other parameters or limits

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer, with the sentence and the numbers that led to it."""

    outcome: Outcome
    scope: Claim
    sentence: str
    reasons: tuple[str, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    aborted: bool = False
    long_run: str | None = None  # what the long-run claim would still need

    def to_dict(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "scope": self.scope,
            "sentence": self.sentence,
            "reasons": list(self.reasons),
            "guardrails": [guardrail.to_dict() for guardrail in self.guardrails],
            "aborted": self.aborted,
            "long_run": self.long_run,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """The inverse of `to_dict`."""
        guardrails = tuple(Guardrail(**guardrail) for guardrail in data["guardrails"])
        return cls(**{**data, "reasons": tuple(data["reasons"]), "guardrails": guardrails})


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One evaluation of the evidence, with all that is needed to repeat it offline."""

    experiment_id: str
    number: int  # 1, 2, 3 ...
    tick: int  # last tick that the evidence knows
    at: datetime
    spec_sha256: str
    rules_version: str = RULES_VERSION
    evidence: Mapping[str, Any]  # Evidence.to_dict()
    finished: bool
    verdict: Verdict | None
    waiting: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """An experiment as it stands. `version` grows by one at every change."""

    id: str
    spec: Spec
    state: State
    phase: Phase | None  # None when there is nothing left to do
    hosts: tuple[str, ...] = ()
    version: int = 1
    live: Mapping[str, Any] = field(default_factory=dict)  # what a watcher sees; derived
    verdict: Verdict | None = None
    error_message: str | None = None
    created_by: str
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    def moved_to(self, state: State, phase: Phase | None = None) -> Experiment:
        """The experiment in its next state. An impossible move is our own mistake."""
        assert state in FOLLOWS[self.state], f"{self.state} cannot become {state}"
        return replace(self, state=state, phase=phase, version=self.version + 1)


def _check_texts(spec: Spec) -> None:
    if not 3 <= len(spec.name) <= 100:
        raise SpecInvalid(
            f"The name has {len(spec.name)} characters.", remedy="Use 3 to 100 characters."
        )
    if len(spec.description) > 500:
        raise SpecInvalid(
            f"The description has {len(spec.description)} characters.", remedy="Use at most 500."
        )
    if spec.claim not in ("window", "long_run"):
        raise SpecInvalid(
            f"There is no claim {spec.claim!r}.", remedy="Use `window` or `long_run`."
        )


def _check_times(spec: Spec) -> None:
    if not 0.5 <= spec.interval_s <= 3600:
        raise SpecInvalid(
            f"An interval of {spec.interval_s:g} s cannot be measured.",
            remedy="Use 0.5 s to 3600 s.",
        )
    if not 0 <= spec.warmup_ticks <= spec.evidence_ticks_max:
        raise SpecInvalid(
            f"A warm-up of {spec.warmup_ticks} ticks does not fit"
            f" {spec.evidence_ticks_max} ticks of evidence.",
            remedy="Make the warm-up at least 0 and at most as long as the evidence.",
        )


def _check_levels(spec: Spec) -> None:
    for name in ("alpha_abort", "alpha_promote"):
        level = getattr(spec, name)
        if not 0 < level <= 0.2:
            raise SpecInvalid(
                f"{name} = {level:g} is no error rate.", remedy="Use more than 0 and at most 0.2."
            )
    if not 1 <= spec.attempt <= 20:
        raise SpecInvalid(
            f"Attempt {spec.attempt} has no error budget left.",
            remedy="Change the candidate; one change can be tried 20 times.",
        )


def _check_criteria(spec: Spec) -> None:
    criteria = spec.criteria
    if not 0 < criteria.required_reduction < 1:
        raise SpecInvalid(
            f"A required reduction of {criteria.required_reduction:g} cannot be met or missed.",
            remedy="Use a share between 0 and 1, for example 0.3 for 30 %.",
        )
    if not 0 < criteria.coverage_margin < 0.5:
        raise SpecInvalid(
            f"A coverage margin of {criteria.coverage_margin:g} cannot be tested.",
            remedy="Use more than 0 and less than 0.5; a margin of 0 needs endless evidence.",
        )
    if criteria.critical_missing_ticks_max < 1:
        raise SpecInvalid(
            "A critical process cannot be missing for less than one tick.",
            remedy="Set critical_missing_ticks_max to at least 1.",
        )
    _check_limits(criteria)
    if spec.evidence_ticks_max < spec.clean_ticks_min:
        raise SpecInvalid(
            f"{spec.evidence_ticks_max} ticks of evidence cannot settle a coverage margin of"
            f" {100 * criteria.coverage_margin:g} % at level {spec.promote_level:g}.",
            remedy=f"Allow at least {spec.clean_ticks_min} ticks, or a wider margin.",
        )


def _check_limits(criteria: Criteria) -> None:
    shares = ("conservation_tolerance", "min_recall_top_k")
    amounts = (
        "freshness_max_extra_s",
        "collector_cpu_max_cores",
        "collector_memory_max_mib",
        "export_failures_max",
    )
    for name in shares + amounts:
        value = getattr(criteria, name)
        highest = 1.0 if name in shares else math.inf
        if value is not None and not 0 <= value <= highest:
            raise SpecInvalid(
                f"{name} = {value:g} is out of bounds.",
                remedy=f"Use 0 to {highest:g}, or leave it out to have it reported only.",
            )


def _without_floats(value: object) -> object:
    """Floats as their shortest exact text, so that the canonical form may hold them."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return {str(key): _without_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_floats(item) for item in value]
    return value
