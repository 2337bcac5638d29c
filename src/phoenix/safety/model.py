"""The kill: one row and one file that say whether anything may proceed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a kill stops."""

    ALL = "all"
    EXPERIMENTS = "experiments"
    PAYMENTS = "payments"
    GATE = "gate"


@dataclass(frozen=True, slots=True, kw_only=True)
class KillState:
    """What is in force. The epoch grows with every kill and every revive, never otherwise."""

    epoch: int
    killed: bool
    scope: Scope
    reason: str
    actor: str
    at: datetime

    def stops(self, scope: str) -> bool:
        """Whether work of that scope must not proceed."""
        return self.killed and self.scope in (Scope.ALL, Scope(scope))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The last moment at which the kill epoch was confirmed, on a clock that never goes back."""

    confirmed_at: float | None
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """May it run, and why not."""

    allowed: bool
    reason: str
