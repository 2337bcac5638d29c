"""Rows to shadows and samples, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from phoenix.base.clock import rfc3339
from phoenix.collectors.model import MemberStatus, Sample, ShadowSpec, ShadowStatus
from phoenix.storage.database import Transaction, jsonb
from phoenix.storage.queries import queries

_Q = queries("phoenix.collectors")


async def want(tx: Transaction, spec: ShadowSpec, now: datetime) -> None:
    """Ask for a shadow; asking twice is asking once."""
    await tx.execute(
        _Q["want_shadow"],
        {"experiment_id": spec.experiment_id, "spec": jsonb(asdict(spec)), "now": now},
    )


async def stop(tx: Transaction, experiment_id: str, now: datetime) -> None:
    """Ask for its end, and forget its tokens."""
    arguments = {"experiment_id": experiment_id, "now": now}
    await tx.execute(_Q["stop_shadow"], arguments)
    await tx.execute(_Q["forget_tokens"], arguments)


async def wanted(tx: Transaction) -> list[ShadowSpec]:
    """Every shadow that should run."""
    return [ShadowSpec(**row["spec"]) for row in await tx.fetch_all(_Q["wanted_shadows"])]


async def unsettled(tx: Transaction) -> list[str]:
    """Every shadow that should have ended and of which nobody said that it did."""
    return [row["experiment_id"] for row in await tx.fetch_all(_Q["unsettled_shadows"])]


async def set_status(
    tx: Transaction, experiment_id: str, status: ShadowStatus, now: datetime
) -> None:
    """What the agent says."""
    members = {name: _member_row(member) for name, member in status.members.items()}
    row = {
        "phase": status.phase,
        "members": members,
        "load": status.load,
        "last_error": status.last_error,
    }
    await tx.execute(
        _Q["set_status"], {"experiment_id": experiment_id, "status": jsonb(row), "now": now}
    )


async def get_status(tx: Transaction, experiment_id: str) -> ShadowStatus | None:
    """What the agent said last; None before the shadow was asked for or looked at."""
    row = await tx.fetch_one(_Q["get_status"], {"experiment_id": experiment_id})
    if row is None:
        return None
    if row["status"] is None:
        return ShadowStatus(phase="starting", members={})
    said: dict[str, Any] = row["status"]
    return ShadowStatus(
        phase=said["phase"],
        members={name: _member(member) for name, member in said["members"].items()},
        load=said["load"],
        last_error=said.get("last_error"),
    )


async def insert_samples(tx: Transaction, samples: Sequence[Sample]) -> None:
    """Keep samples; those that are there already are left alone."""
    await tx.execute_many(_Q["insert_sample"], [asdict(sample) for sample in samples])


async def samples_after(
    tx: Transaction, experiment_id: str, after: int, limit: int
) -> list[Sample]:
    """Samples in order of arrival."""
    rows = await tx.fetch_all(
        _Q["samples_after"], {"experiment_id": experiment_id, "after": after, "limit": limit}
    )
    return [Sample(**row) for row in rows]


def _member_row(member: MemberStatus) -> dict[str, Any]:
    started = rfc3339(member.started_at) if member.started_at else None
    return {**asdict(member), "started_at": started}


def _member(row: dict[str, Any]) -> MemberStatus:
    started = datetime.fromisoformat(row["started_at"]) if row["started_at"] else None
    return MemberStatus(**{**row, "started_at": started})
