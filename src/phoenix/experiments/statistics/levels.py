"""Error budgets, and the classical test of two simple hypotheses. Needs no library.

An e-process that starts at 1 reaches 1/alpha with probability at most alpha, whenever one looks
(Ville 1939). What differs between claims is how much alpha there is to spend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


def attempt_level(budget: float, attempt: int) -> float:
    """Level of the n-th attempt (from 1) on one change: the budget halved n times.

    `budget/2 + budget/4 + ...` never exceeds the budget, however often a change is tried again.
    """
    return math.ldexp(budget, -attempt)


def shared_level(alpha: float, tests: int) -> float:
    """Level of each of several tests of which one rejection is enough (Bonferroni)."""
    return alpha / tests


@dataclass(frozen=True, kw_only=True, slots=True)
class Sprt:
    """Wald's sequential test of a tolerable rate `good` against a broken one `bad`.

    Only the upper line matters for an abort; it needs no `beta` as an e-process.

    Source: Wald 1947, "Sequential Analysis".
    """

    good: float
    bad: float
    alpha: float
    beta: float

    @property
    def _k(self) -> float:
        return math.log(self.bad * (1 - self.good) / (self.good * (1 - self.bad)))

    @property
    def accept(self) -> float:
        """h0: accept `good` when the events are at most `slope * n - h0`."""
        return math.log((1 - self.alpha) / self.beta) / self._k

    @property
    def reject(self) -> float:
        """h1: reject `good` when the events are at least `slope * n + h1`."""
        return math.log((1 - self.beta) / self.alpha) / self._k

    @property
    def slope(self) -> float:
        return math.log((1 - self.good) / (1 - self.bad)) / self._k

    def log_e(self, events: int, trials: int) -> float:
        """Log likelihood ratio: an e-process against every rate of at most `good`."""
        quiet = (trials - events) * math.log((1 - self.bad) / (1 - self.good))
        return events * math.log(self.bad / self.good) + quiet

    def mean_trials(self) -> tuple[float, float]:
        """Wald's approximation of the expected trials: when broken, when healthy."""
        up = math.log((1 - self.beta) / self.alpha)
        down = math.log(self.beta / (1 - self.alpha))
        hit = math.log(self.bad / self.good)
        quiet = math.log((1 - self.bad) / (1 - self.good))
        broken = ((1 - self.beta) * up + self.beta * down) / (
            self.bad * hit + (1 - self.bad) * quiet
        )
        healthy = (self.alpha * up + (1 - self.alpha) * down) / (
            self.good * hit + (1 - self.good) * quiet
        )
        return broken, healthy
