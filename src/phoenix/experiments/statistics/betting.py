"""The gate of the long-run claim: bet against "the candidate saves less than required".

Each batch gives a ratio candidate/baseline, between 0 and a cap. A gambler who is right that the
mean ratio lies under the bound gets rich whatever the shape of the distribution: no normal
approximation, no burn-in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NODES = 128


def log_wealth(ratios: Sequence[float], bound: float, cap: float) -> float:
    """Log e-value against "the mean ratio, given the past, is at least `bound`".

    `E = integral over u in [0, 1] of product(1 + u (bound - x)/(cap - bound))`: a uniform mixture
    over all bets that cannot lose more than there is. Ratios above the cap count as the cap: the
    caller must abort by a hard rule when there are any, since capping them favours the candidate.

    Source: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by
    betting", JRSS-B 86(1); the integral is Gauss-Legendre, exact for up to 255 batches.
    """
    nodes, weights = _quadrature()
    gain = (bound - np.minimum(np.asarray(ratios, dtype=float), cap)) / (cap - bound)
    with np.errstate(divide="ignore"):
        logs = np.log1p(np.outer(gain, nodes)).sum(axis=0)
    highest = float(logs.max())
    return highest + math.log(float((weights * np.exp(logs - highest)).sum()))


def batches_needed(ratio: float, bound: float, cap: float, level: float) -> int | None:
    """Batches after which a constant `ratio` is believed; None when it is not under the bound.

    In closed form: with `g = (bound - ratio)/(cap - bound)`, the wealth after n batches is
    `((1 + g)^(n + 1) - 1)/((n + 1) g)`.
    """
    gain = (bound - ratio) / (cap - bound)
    if gain <= 1e-4:
        return None
    batches = 1
    while _log_constant(gain, batches) < -math.log(level):
        batches += 1
    return batches


def _log_constant(gain: float, batches: int) -> float:
    power = (batches + 1) * math.log1p(gain)
    return power + math.log(-math.expm1(-power)) - math.log((batches + 1) * gain)


@lru_cache(maxsize=1)
def _quadrature() -> tuple[NDArray[Any], NDArray[Any]]:
    """Nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2
