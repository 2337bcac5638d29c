"""Rows of the meter: subscriptions, closed ticks, names. Takes a transaction, never commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from phoenix.measurement.emitted import Catalogue
from phoenix.measurement.experiment import Resume
from phoenix.measurement.model import ARMS, Arm, ArmState, NameSeen, Subscription, Tick
from phoenix.pipelines.model import CriticalRule
from phoenix.storage.database import Transaction, jsonb
from phoenix.storage.queries import queries

_Q = queries("phoenix.measurement")


async def insert_subscription(tx: Transaction, subscription: Subscription) -> bool:
    """Add a subscription; False when the experiment has one."""
    return bool(
        await tx.execute(
            _Q["insert_subscription"],
            {
                "experiment_id": subscription.experiment_id,
                "interval_s": subscription.interval_s,
                "critical": jsonb([asdict(rule) for rule in subscription.critical]),
                "token_baseline": subscription.token_sha256["baseline"],
                "token_candidate": subscription.token_sha256["candidate"],
                "top_k": subscription.top_k,
                "shared_scrape": subscription.shared_scrape,
                "arm_states": dict(subscription.states),
                "created_at": subscription.created_at,
            },
        )
    )


async def deactivate(tx: Transaction, experiment_id: str) -> None:
    """End a subscription; its rows stay."""
    await tx.execute(_Q["deactivate_subscription"], {"experiment_id": experiment_id})


async def set_arm_state(tx: Transaction, experiment_id: str, arm: Arm, state: ArmState) -> None:
    """Say whether an arm is able to send."""
    await tx.execute(
        _Q["set_arm_state"], {"experiment_id": experiment_id, "arm": arm, "state": state}
    )


async def active_subscriptions(tx: Transaction) -> list[Subscription]:
    """What is to be counted now."""
    return [_subscription(row) for row in await tx.fetch_all(_Q["active_subscriptions"])]


async def subscription(tx: Transaction, experiment_id: str) -> Subscription | None:
    """One subscription, ended ones included."""
    row = await tx.fetch_one(_Q["subscription"], {"experiment_id": experiment_id})
    return _subscription(row) if row else None


async def resume(tx: Transaction, experiment_id: str) -> Resume | None:
    """What another meter has counted of this experiment before, or None."""
    row = await tx.fetch_one(_Q["resume"], {"experiment_id": experiment_id})
    if row is None or row["last_tick"] is None:
        return None
    sketches: dict[Arm, bytes] = {
        arm: bytes(row[f"run_{arm}"]) for arm in ARMS if row[f"run_{arm}"] is not None
    }
    return Resume(
        last_tick=row["last_tick"],
        sketches=sketches,
        names=tuple(await names(tx, experiment_id)),
        emitted=await emitted(tx, experiment_id),
    )


async def insert_ticks(tx: Transaction, ticks: Iterable[Tick]) -> None:
    """Add closed ticks; one that is there already stays as it is."""
    await tx.execute_many(
        _Q["insert_tick"],
        [
            {
                "experiment_id": tick.experiment_id,
                "tick": tick.tick,
                "at": tick.at,
                "summary": jsonb(tick.to_dict()),
                "excluded": tick.excluded,
            }
            for tick in ticks
        ],
    )


async def ticks_after(tx: Transaction, experiment_id: str, after: int, limit: int) -> list[Tick]:
    """At most `limit` ticks with greater numbers, in order."""
    rows = await tx.fetch_all(
        _Q["ticks_after"], {"experiment_id": experiment_id, "after": after, "limit": limit}
    )
    return [Tick.from_dict(row["summary"]) for row in rows]


async def latest_ticks(tx: Transaction, experiment_id: str, limit: int) -> list[Tick]:
    """The last `limit` ticks, in order."""
    rows = await tx.fetch_all(_Q["latest_ticks"], {"experiment_id": experiment_id, "limit": limit})
    return [Tick.from_dict(row["summary"]) for row in reversed(rows)]


async def save_names(tx: Transaction, experiment_id: str, seen: Iterable[NameSeen]) -> None:
    """Write the present counts of names."""
    await tx.execute_many(
        _Q["upsert_name"], [{"experiment_id": experiment_id, **asdict(name)} for name in seen]
    )


async def save_sketches(tx: Transaction, experiment_id: str, sketches: dict[Arm, bytes]) -> None:
    """Write the sketches of the run."""
    await tx.execute(
        _Q["save_sketches"],
        {"experiment_id": experiment_id, **{f"run_{arm}": sketches[arm] for arm in ARMS}},
    )


async def save_emitted(tx: Transaction, experiment_id: str, packed: Mapping[Arm, bytes]) -> None:
    """Write what the arms have emitted so far."""
    await tx.execute_many(
        _Q["save_emitted"],
        [
            {"experiment_id": experiment_id, "arm": arm, "body": body}
            for arm, body in packed.items()
        ],
    )


async def emitted(tx: Transaction, experiment_id: str) -> dict[Arm, Catalogue]:
    """What the arms have emitted; nothing before the meter has written it once."""
    rows = await tx.fetch_all(_Q["emitted"], {"experiment_id": experiment_id})
    return {row["arm"]: Catalogue.unpacked(bytes(row["body"])) for row in rows}


async def names(tx: Transaction, experiment_id: str) -> list[NameSeen]:
    """Every executable name seen, in order of name."""
    rows = await tx.fetch_all(_Q["names"], {"experiment_id": experiment_id})
    return [NameSeen(**row) for row in rows]


def _subscription(row: dict[str, Any]) -> Subscription:
    return Subscription(
        experiment_id=row["experiment_id"],
        interval_s=row["interval_s"],
        critical=tuple(CriticalRule(**rule) for rule in row["critical"]),
        token_sha256={"baseline": row["token_baseline"], "candidate": row["token_candidate"]},
        top_k=row["top_k"],
        shared_scrape=row["shared_scrape"],
        states=row["arm_states"],
        created_at=row["created_at"],
    )
