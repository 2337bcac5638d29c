"""From what a person asked to a frozen specification: defaults of the profile, pipelines looked up,
parameters checked, configurations of one's own imported and linted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from phoenix.base.errors import Invalid
from phoenix.experiments import guarding
from phoenix.experiments import sentences as say
from phoenix.experiments.guarding import Asked
from phoenix.experiments.model import PROFILES, Arm, Criteria, Profile, Spec
from phoenix.experiments.request import ArmRequest, ExperimentRequest
from phoenix.guard import critical as named
from phoenix.pipelines import catalog, critical, render
from phoenix.pipelines.importer import import_config
from phoenix.pipelines.lint import Finding, lint
from phoenix.pipelines.model import CriticalRule, Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A specification and what its author should know about it."""

    experiment_id: str
    spec: Spec
    notes: tuple[str, ...]
    asked: Asked | None = None


class LintFailed(Invalid):
    """The configuration would do the wrong thing silently."""


def draft(request: ExperimentRequest, experiment_id: str) -> Draft:
    """Return the specification that the request means.

    Raises:
        Invalid: an unknown profile, pipeline or parameter, or contradictory criteria.
    """
    profile = _profile(request.profile)
    baseline, notes_b = _arm(request.baseline, "baseline")
    candidate, notes_c = _arm(request.candidate, "candidate")
    asked = None if request.guard is None else guarding.asked(request.guard)
    rules, notes_r = _with_named(_rules(request.critical), asked)
    criteria = _criteria(profile.criteria, request)
    chosen: dict[str, Any] = {
        "interval_s": request.interval_s,
        "warmup_ticks": request.warmup_ticks,
        "evidence_ticks_max": request.evidence_ticks_max,
    }
    spec = profile.applied_to(
        name=request.name or f"{candidate.pipeline} {experiment_id}"[-100:],
        description=request.description,
        baseline=baseline,
        candidate=candidate,
        critical=rules,
        criteria=criteria,
        load=_load(request),
        redact=request.redact,
        guard=None if asked is None else asked.frozen(),
        seed=request.load.seed if request.load else 0,
        **{key: value for key, value in chosen.items() if value is not None},
    )
    for arm in (baseline, candidate):
        # Renders once, so that a parameter out of range is refused here and not half-way.
        render.production(pipeline_of(arm), dict(arm.parameters), rules, spec.interval_s)
    notes = notes_b + notes_c + _totals(candidate, request) + notes_r + _missed(candidate, rules)
    return Draft(experiment_id=experiment_id, spec=spec, notes=notes, asked=asked)


def _with_named(
    rules: tuple[CriticalRule, ...], asked: Asked | None
) -> tuple[tuple[CriticalRule, ...], tuple[str, ...]]:
    """The critical list with the processes that rules and dashboards ask for by name."""
    if asked is None:
        return rules, ()
    longer = named.added_to(rules, named.named_by(asked.queries, asked.backend))
    added = [str(rule) for rule in longer[len(rules) :]]
    if not added:
        return rules, ()
    return longer, (f"critical because rules or dashboards name them: {say.listed(added, 8)}",)


def _missed(candidate: Arm, rules: tuple[CriticalRule, ...]) -> tuple[str, ...]:
    """Critical processes that a budget in the candidate's own configuration does not put first."""
    if candidate.imported is None:
        return ()
    found = lint(candidate.imported, file=candidate.pipeline, critical=rules)
    return tuple(_note(finding) for finding in found if finding.rule == "budget-misses-critical")


def _note(finding: Finding) -> str:
    where = f"{finding.file}:{finding.line}: {finding.message} ({finding.rule})"
    return f"{where} {finding.remedy}"


def _totals(candidate: Arm, request: ExperimentRequest) -> tuple[str, ...]:
    pipeline = pipeline_of(candidate)
    if pipeline.conserves_totals or request.allow_lost_totals or candidate.imported is not None:
        return ()
    return (
        f"{pipeline.name} does not keep the host's totals, and they are required: expect "
        "keep_baseline. To have the loss reported only: --allow-lost-totals",
    )


def pipeline_of(arm: Arm) -> Pipeline:
    """The recipe that an arm names or carries."""
    if arm.imported is not None:
        return import_config(arm.imported, arm.pipeline).pipeline
    return catalog.load(arm.pipeline)


def _profile(name: str) -> Profile:
    if name not in PROFILES:
        raise Invalid(
            f"There is no profile '{name}'.", remedy=f"Use one of: {', '.join(PROFILES)}."
        )
    return PROFILES[name]


def _arm(request: ArmRequest, role: str) -> tuple[Arm, tuple[str, ...]]:
    if (request.pipeline is None) == (request.config is None):
        raise Invalid(
            f"The {role} needs a catalog pipeline or a configuration, and not both.",
            remedy="See: phoenix pipeline list",
        )
    if request.config is None:
        assert request.pipeline is not None
        catalog.load(request.pipeline)
        return Arm(pipeline=request.pipeline, parameters=dict(request.parameters)), ()
    name = request.file or f"{role}.yaml"
    imported = import_config(request.config, name)
    notes = [f"{name}: not imported: {what}" for what in imported.left_out]
    for finding in lint(request.config, file=name):
        if finding.severity == "error":
            said = f"{finding.file}:{finding.line}: {finding.message} ({finding.rule})"
            raise LintFailed(said, remedy=finding.remedy)
        notes.append(_note(finding))
    return Arm(pipeline=name, imported=request.config), tuple(notes)


def _rules(given: list[str] | None) -> tuple[CriticalRule, ...]:
    if given is None:
        return critical.DEFAULT_CRITICAL
    return tuple(critical.parse(text) for text in given)


def _criteria(criteria: Criteria, request: ExperimentRequest) -> Criteria:
    asked: dict[str, Any] = {
        "required_reduction": request.required_reduction,
        "coverage_margin": request.coverage_margin,
        "min_recall_top_k": request.min_recall_top_k,
    }
    chosen = {key: value for key, value in asked.items() if value is not None}
    if request.allow_lost_totals:
        chosen["conservation_tolerance"] = None
    return replace(criteria, **chosen)


def _load(request: ExperimentRequest) -> dict[str, object] | None:
    if request.load is None:
        return None
    load: dict[str, object] = {"profile": request.load.profile, "seed": request.load.seed}
    if request.load.count is not None:
        load["count"] = request.load.count
    return load
