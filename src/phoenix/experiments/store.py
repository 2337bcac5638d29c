"""Rows to experiments and back: one function for each query; the service owns the transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from phoenix.experiments.model import Experiment, Phase, Spec, State, Verdict
from phoenix.storage.database import Transaction, jsonb
from phoenix.storage.queries import queries

_Q = queries("phoenix.experiments")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRevision:
    """A configuration an experiment ran, or would deploy."""

    role: str
    pipeline: str
    config: str
    sha256: str


async def insert(tx: Transaction, experiment: Experiment) -> bool:
    """Add a pending experiment; False when its name is taken."""
    spec = experiment.spec
    return bool(
        await tx.execute(
            _Q["insert_experiment"],
            {
                "id": experiment.id,
                "name": spec.name,
                "description": spec.description,
                "baseline_pipeline": spec.baseline.pipeline,
                "candidate_pipeline": spec.candidate.pipeline,
                "target_nodes": jsonb(list(experiment.hosts)),
                "config": jsonb(spec.to_dict()),
                "spec_sha256": spec.sha256,
                "change_sha256": spec.change_sha256,
                "created_by": experiment.created_by,
                "now": experiment.created_at,
            },
        )
    )


async def get(tx: Transaction, experiment_id: str) -> Experiment | None:
    """One experiment, or None."""
    row = await tx.fetch_one(_Q["get_experiment"], {"id": experiment_id})
    return _experiment(row) if row else None


async def page(
    tx: Transaction, state: str | None, limit: int, offset: int
) -> tuple[list[Experiment], int]:
    """A page of experiments, newest first, and how many there are."""
    rows = await tx.fetch_all(
        _Q["list_experiments"], {"state": state, "limit": limit, "offset": offset}
    )
    counted = await tx.fetch_one(_Q["count_experiments"], {"state": state})
    assert counted is not None
    return [_experiment(row) for row in rows], counted["n"]


async def active(tx: Transaction) -> list[Experiment]:
    """Everything that is not final, oldest first."""
    return [_experiment(row) for row in await tx.fetch_all(_Q["active_experiments"])]


async def active_on_host(tx: Transaction, host: str) -> str | None:
    """The id of the experiment that holds the host; serialises creations for it."""
    await tx.execute(_Q["lock_host"], {"host": host})
    row = await tx.fetch_one(_Q["active_on_host"], {"host": host})
    return row["id"] if row else None


async def move(
    tx: Transaction,
    experiment: Experiment,
    *,
    state: State,
    phase: Phase | None,
    reason: str,
    actor: str,
    now: datetime,
    verdict: Verdict | None = None,
    error_message: str | None = None,
) -> bool:
    """Compare-and-set the state and write the transition; False when somebody else moved it."""
    won = await tx.execute(
        _Q["move_experiment"],
        {
            "id": experiment.id,
            "from_state": experiment.state.value,
            "version": experiment.version,
            "to_state": state.value,
            "phase": phase.value if phase else None,
            "error_message": error_message,
            "verdict": jsonb(verdict.to_dict()) if verdict else None,
            "started_at": now if state is State.RUNNING else None,
            "completed_at": now if state.is_final else None,
            "now": now,
        },
    )
    if not won:
        return False
    await insert_transition(
        tx, experiment.id, experiment.state, state, phase, reason=reason, actor=actor, now=now
    )
    return True


async def insert_transition(
    tx: Transaction,
    experiment_id: str,
    from_state: State | None,
    to_state: State,
    phase: Phase | None,
    *,
    reason: str,
    actor: str,
    now: datetime,
) -> None:
    """Add one step of the history."""
    await tx.execute(
        _Q["insert_transition"],
        {
            "id": experiment_id,
            "from_state": from_state.value if from_state else None,
            "to_state": to_state.value,
            "phase": phase.value if phase else None,
            "reason": reason,
            "actor": actor,
            "now": now,
        },
    )


async def transitions(tx: Transaction, experiment_id: str) -> list[dict[str, Any]]:
    """The history, oldest first."""
    return await tx.fetch_all(_Q["transitions"], {"id": experiment_id})


async def set_live(tx: Transaction, experiment_id: str, live: Mapping[str, Any]) -> None:
    """Replace what a watcher sees; no transition, no ledger entry: it is derived."""
    await tx.execute(_Q["set_live"], {"id": experiment_id, "live": jsonb(dict(live))})


async def insert_look(
    tx: Transaction,
    experiment_id: str,
    *,
    number: int,
    after_tick: int,
    statistics: Mapping[str, Any],
    finished: bool,
    rules_version: str,
    outcome: str | None,
    now: datetime,
) -> bool:
    """Keep one evaluation; False when it was kept before."""
    return bool(
        await tx.execute(
            _Q["insert_look"],
            {
                "id": experiment_id,
                "number": number,
                "now": now,
                "after_tick": after_tick,
                "statistics": jsonb(dict(statistics)),
                "finished": finished,
                "rules_version": rules_version,
                "outcome": outcome,
            },
        )
    )


async def last_look(tx: Transaction, experiment_id: str) -> tuple[int, int]:
    """`(number, after_tick)` of the last look; `(0, -1)` before the first."""
    row = await tx.fetch_one(_Q["last_look"], {"id": experiment_id})
    return (row["number"], row["after_tick"]) if row else (0, -1)


async def insert_revision(tx: Transaction, experiment_id: str, revision: StoredRevision) -> None:
    """Keep a configuration once."""
    await tx.execute(
        _Q["insert_revision"],
        {
            "id": experiment_id,
            "role": revision.role,
            "pipeline": revision.pipeline,
            "config": revision.config,
            "sha256": revision.sha256,
        },
    )


async def revisions(tx: Transaction, experiment_id: str) -> dict[str, StoredRevision]:
    """The configurations by role."""
    rows = await tx.fetch_all(_Q["revisions"], {"id": experiment_id})
    return {row["role"]: StoredRevision(**row) for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What an idempotency key was used for before, and what was answered."""

    request_hash: str
    answer: dict[str, Any]


async def claim_key(
    tx: Transaction, principal: str, key: str, request_hash: str, now: datetime
) -> Claimed | None:
    """Claim an idempotency key; None when it is now ours, else what it was used for.

    Waits for a transaction that has just claimed the same one.
    """
    of_key = {"principal": principal, "key": key}
    claimed = await tx.execute(
        _Q["insert_idempotency_key"], {**of_key, "request_hash": request_hash, "now": now}
    )
    if claimed:
        return None
    row = await tx.fetch_one(_Q["get_idempotency_key"], of_key)
    assert row is not None, "the key was taken a moment ago"
    return Claimed(request_hash=row["request_hash"], answer=row["answer"])


async def keep_answer(tx: Transaction, principal: str, key: str, answer: Mapping[str, Any]) -> None:
    """Keep what was answered, in the transaction that claimed the key."""
    await tx.execute(
        _Q["keep_answer"], {"principal": principal, "key": key, "answer": jsonb(dict(answer))}
    )


async def attempts(tx: Transaction, change_sha256: str) -> int:
    """How many long-run experiments on that change have spent, or may yet spend, its error budget;
    serialises creations for it."""
    await tx.execute(_Q["lock_change"], {"change": change_sha256})
    row = await tx.fetch_one(_Q["count_attempts"], {"change": change_sha256})
    assert row is not None
    return int(row["n"])


async def insert_asked(tx: Transaction, experiment_id: str, asked: Mapping[str, Any]) -> None:
    """Keep the queries that are to be checked."""
    await tx.execute(_Q["insert_asked"], {"id": experiment_id, "asked": jsonb(dict(asked))})


async def asked(
    tx: Transaction, experiment_id: str
) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
    """The queries to be checked and what became of them, or None when none are."""
    row = await tx.fetch_one(_Q["asked"], {"id": experiment_id})
    return (row["asked"], row["outcome"]) if row else None


async def save_outcome(tx: Transaction, experiment_id: str, outcome: Mapping[str, Any]) -> None:
    """Keep what became of the queries, once."""
    await tx.execute(_Q["save_outcome"], {"id": experiment_id, "outcome": jsonb(dict(outcome))})


async def last_statistics(tx: Transaction, experiment_id: str) -> dict[str, Any] | None:
    """The evidence as the last look kept it; None before the first."""
    row = await tx.fetch_one(_Q["last_statistics"], {"id": experiment_id})
    return row["statistics"] if row else None


def _experiment(row: Mapping[str, Any]) -> Experiment:
    return Experiment(
        id=row["id"],
        spec=Spec.from_dict(row["config"]),
        state=State(row["state"]),
        phase=Phase(row["phase"]) if row["phase"] else None,
        version=row["version"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["completed_at"],
        error_message=row["error_message"],
        verdict=Verdict.from_dict(row["verdict"]) if row["verdict"] else None,
        hosts=tuple(row["target_nodes"]),
        created_by=row["created_by"],
        updated_at=row["updated_at"],
        live=row["live"],
    )
