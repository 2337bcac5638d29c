"""How much do ticks repeat each other? The size of a batch follows from the answer.

The *autocorrelation time* is the number of ticks that carry as much information as one independent
tick: `1 + 2 (rho_1 + rho_2 + ...)`, which is `(1 + phi)/(1 - phi)` for an AR(1) process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: A batch covers this many autocorrelation times.
TIMES_PER_BATCH = 10
#: Fewer values than this say nothing about their own correlation.
VALUES_MIN = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Autocorrelation:
    """An estimate with its uncertainty, in units of one value. `error` is one standard error."""

    time: float
    error: float

    @property
    def upper(self) -> float:
        """One-sided 95 % limit."""
        return self.time + 1.645 * self.error


def autocorrelation(values: Sequence[float]) -> Autocorrelation | None:
    """Estimate the integrated autocorrelation time of equally spaced values.

    Sums the correlations up to the first window that is at least five times as long as the
    estimate so far (Sokal), with the standard error of Madras and Sokal:
    `time * sqrt(2 (2 window + 1)/n)`. None for fewer than 20 values, or for values that do not
    vary at all: copies of one number say nothing about how fast they forget.

    Source: Madras and Sokal 1988, J. Stat. Phys. 50, appendix C; Sokal 1997, "Monte Carlo methods
    in statistical mechanics".
    """
    data = np.asarray(values, dtype=float)
    count = len(data)
    if count < VALUES_MIN:
        return None
    centred = data - data.mean()
    variance = float(centred @ centred) / count
    if variance <= (1e-9 * abs(float(data.mean()))) ** 2:
        return None
    time, window = 1.0, 0
    for lag in range(1, count // 2):
        time += 2 * float(centred[lag:] @ centred[:-lag]) / count / variance
        window = lag
        if lag >= 5 * max(time, 1.0):
            break
    time = max(time + (2 * window + 1) / count, 1.0)  # the mean was estimated, too
    return Autocorrelation(time=time, error=time * math.sqrt(2 * (2 * window + 1) / count))


def lag_one(values: Sequence[float]) -> float | None:
    """Sample correlation of neighbours; None for fewer than three values or constant ones."""
    data = np.asarray(values, dtype=float)
    if len(data) < 3:
        return None
    centred = data - data.mean()
    square = float(centred @ centred)
    if square <= 0.0:
        return None
    return float(centred[1:] @ centred[:-1]) / square
