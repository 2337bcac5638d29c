"""How often the long-run verdict is wrong, and how often it decides: seeded simulation.

    python bench/long_run.py            # full size, under three minutes on one core
    python bench/long_run.py --quick    # a tenth of it
    python bench/long_run.py --write    # also puts the tables into docs/explanation/statistics.md

Each run has 720 ticks and is looked at every ten ticks by the product's rule: batches of ten
measured autocorrelation times, bets and the asymptotic e-value averaged, nothing concluded while
batches are correlated, aborted when ten ticks exceed the cap. The rule is written again here for
many runs at once; `tests/core/experiments/test_simulation.py` holds it against the product.

Beside it, on single ticks: *peeking*, a z-test repeated at every look, and the *textbook*
asymptotic confidence sequence that takes ticks for independent, both from tick 30.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import log_ndtr
from scipy.stats import norm

from phoenix.experiments.evidence import QUIET_TICKS, RATIO_TICKS
from phoenix.experiments.model import RATIO_CAP
from phoenix.experiments.statistics import asymptotic, longrun, presence
from phoenix.experiments.statistics.autocorrelation import TIMES_PER_BATCH
from phoenix.experiments.statistics.levels import attempt_level

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

TICKS = 720
LOOK_EVERY = 10
FIRST_LOOK = 30
REQUIRED = 0.30
LEVEL = attempt_level(0.01, 1)
ALPHA_ABORT = 0.05
PHIS = (0.0, 0.3, 0.5, 0.8)
MARGIN = 0.05
SPELL_MAX = 3
DOC = Path(__file__).parents[1] / "docs" / "explanation" / "statistics.md"
BEGIN, END = "<!-- simulation: begin -->", "<!-- simulation: end -->"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Shares of the runs, and the median tick of the promotions."""

    promoted: float
    aborted: float
    peeking: float
    textbook: float
    median_tick: float | None


def ar1(generator: np.random.Generator, runs: int, phi: float, ticks: int = TICKS) -> Array:
    """Standard normal values with lag-1 correlation `phi`, one run a row."""
    noise = generator.standard_normal((runs, ticks))
    noise[:, 0] /= math.sqrt(1 - phi**2)
    return np.asarray(lfilter([math.sqrt(1 - phi**2)], [1, -phi], noise, axis=1), dtype=float)


def arms(
    generator: np.random.Generator, runs: int, phi: float, reduction: float, tail: float | None
) -> tuple[Array, Array]:
    """Series of both arms: a common load (10 %), and noise of the ratio with mean 1.

    `tail` is the sigma of lognormal noise; None is normal noise of 10 %.
    """
    baseline = np.rint(1000 * np.exp(0.1 * ar1(generator, runs, phi)))
    z = ar1(generator, runs, phi)
    noise = 1 + 0.1 * z if tail is None else np.exp(tail * z - tail**2 / 2)
    return baseline, np.rint(baseline * (1 - reduction) * noise)


def times(values: Array) -> tuple[Array, Array]:
    """Autocorrelation time and its standard error for each row, as `autocorrelation` finds them."""
    count = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    size = 1 << (2 * count - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, size, axis=1)) ** 2
    lags = np.fft.irfft(spectrum, size, axis=1)[:, : count // 2]
    growing = 1 + 2 * np.cumsum(lags[:, 1:] / lags[:, :1], axis=1)
    wide = np.arange(1, count // 2) >= 5 * np.maximum(growing, 1.0)
    last = np.where(wide.any(axis=1), wide.argmax(axis=1), growing.shape[1] - 1)
    window = last + 1
    found = growing[np.arange(len(values)), last] + (2 * window + 1) / count
    found = np.maximum(found, 1.0)
    return found, found * np.sqrt(2 * (2 * window + 1) / count)


def gate(baseline: Array, candidate: Array, level: float) -> tuple[Array, Flags]:
    """Log e-value of each row over all its ticks, and whether anything may be concluded."""
    bound, count = 1 - REQUIRED, baseline.shape[1]
    by_ratio = times(candidate / baseline)
    by_contrast = times(candidate - bound * baseline)
    longer = by_contrast[0] > by_ratio[0]
    memory = np.where(longer, by_contrast[0], by_ratio[0])
    error = np.where(longer, by_contrast[1], by_ratio[1])
    lengths = np.ceil(TIMES_PER_BATCH * memory).astype(int)
    edges = np.arange(count // TIMES_PER_BATCH + 1) * lengths[:, None]
    full = edges[:, 1:] <= count
    a, b = (_batches(arm, edges, full, lengths) for arm in (baseline, candidate))
    batches = full.sum(axis=1)
    ratio = np.where(full, b / np.where(full, a, 1), 0)
    log_e = _log_average(a, b, ratio, full, batches, level)
    allowed = (
        (error <= longrun.TIME_ERROR_MAX * memory)
        & (batches >= longrun.BATCHES_MIN)
        & (_lag_one(ratio, full, batches) <= longrun.LAG_ONE_MAX)
    )
    return log_e, allowed


def _batches(arm: Array, edges: NDArray[np.int_], full: Flags, lengths: NDArray[np.int_]) -> Array:
    sums = np.concatenate([np.zeros((len(arm), 1)), np.cumsum(arm, axis=1)], axis=1)
    at = np.take_along_axis(sums, np.minimum(edges, arm.shape[1]), axis=1)
    return np.where(full, np.diff(at, axis=1) / lengths[:, None], 0)


def _lag_one(ratio: Array, full: Flags, batches: NDArray[np.int_]) -> Array:
    count = np.maximum(batches, 1)
    centred = np.where(full, ratio - (ratio.sum(axis=1) / count)[:, None], 0)
    square = (centred**2).sum(axis=1)
    neighbours = (centred[:, 1:] * centred[:, :-1]).sum(axis=1)
    return np.where(square > 0, neighbours / np.where(square > 0, square, 1), np.inf)


def _log_average(
    a: Array, b: Array, ratio: Array, full: Flags, batches: NDArray[np.int_], level: float
) -> Array:
    bound = 1 - REQUIRED
    nodes, weights = np.polynomial.legendre.leggauss(ratio.shape[1] // 2 + 2)
    gain = np.where(full, (bound - np.minimum(ratio, RATIO_CAP)) / (RATIO_CAP - bound), 0)
    wealth = np.zeros(len(a))
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        wealth += weight * np.prod(1 + node * gain, axis=1)
    bets = math.log(longrun.BETTING_SHARE) + np.log(wealth)
    contrast = np.where(full, b - bound * a, 0)
    count = np.maximum(batches, 2)
    mean = contrast.sum(axis=1) / count
    centred = np.where(full, contrast - mean[:, None], 0)
    spread = np.sqrt((centred**2).sum(axis=1) / (count - 1))
    spread = np.where(spread > 0, spread, np.inf)
    skew = np.abs((centred**3).sum(axis=1) / count / spread**3)
    burn_in = np.where(
        skew > asymptotic.SKEWNESS_MAX, asymptotic.BURN_IN_SKEWED, asymptotic.BURN_IN
    )
    r = asymptotic.tuning(asymptotic.BURN_IN, 2 * level)
    x = count * r * r + 1
    total = -contrast.sum(axis=1) / spread
    limit = (r * total) ** 2 / (2 * x) - np.log(x) / 2 + math.log(2)
    limit += log_ndtr(r * total / np.sqrt(x))
    limit = np.where(batches >= burn_in, limit, -np.inf)
    return np.asarray(np.logaddexp(bets, math.log1p(-longrun.BETTING_SHARE) + limit))


def exceeding(baseline: Array, candidate: Array) -> Array:
    """Tick at which each run breaks the cap by ten ticks in a row; infinite if it does not."""
    shape = (len(baseline), -1, RATIO_TICKS)
    ratio = candidate.reshape(shape).sum(axis=2) / baseline.reshape(shape).sum(axis=2)
    broken = ratio > RATIO_CAP
    return np.where(broken.any(axis=1), (broken.argmax(axis=1) + 1) * RATIO_TICKS, np.inf)


def promotions(baseline: Array, candidate: Array, level: float = LEVEL) -> Array:
    """Tick of the promotion of each run by the product's rule; infinite without one."""
    stopped = exceeding(baseline, candidate)
    promoted = np.full(len(baseline), np.inf)
    for tick in range(FIRST_LOOK, baseline.shape[1] + 1, LOOK_EVERY):
        open_ones = np.flatnonzero(np.isinf(promoted) & (stopped > tick))
        if len(open_ones) == 0:
            break
        log_e, allowed = gate(baseline[open_ones, :tick], candidate[open_ones, :tick], level)
        promoted[open_ones[allowed & (log_e >= -math.log(level))]] = tick
    return promoted


def on_ticks(baseline: Array, candidate: Array, level: float) -> tuple[float, float]:
    """Shares promoted by peeking with a z-test, and by the textbook sequence, on single ticks."""
    contrast = (1 - REQUIRED) * baseline - candidate
    looks = np.arange(FIRST_LOOK, contrast.shape[1] + 1, LOOK_EVERY)
    sums, squares = np.cumsum(contrast, axis=1), np.cumsum(contrast**2, axis=1)
    mean = sums[:, looks - 1] / looks
    spread = np.sqrt((squares[:, looks - 1] / looks - mean**2) * looks / (looks - 1))
    r = asymptotic.tuning(longrun.BAND_BATCHES, 2 * level)
    widths = np.array([asymptotic.one_sided_width(int(t), r, level) for t in looks])
    z = float(norm.isf(level))
    peeked = (mean > z * spread / np.sqrt(looks)).any(axis=1)
    textbook = (mean > widths * spread).any(axis=1)
    return float(peeked.mean()), float(textbook.mean())


def reduction_runs(
    seed: int, runs: int, phi: float, reduction: float, tail: float | None
) -> Outcome:
    """One cell of the tables on the reduction."""
    generator = np.random.default_rng(seed)
    baseline, candidate = arms(generator, runs, phi, reduction, tail)
    promoted = promotions(baseline, candidate)
    decided = np.isfinite(promoted)
    peeking, textbook = on_ticks(baseline, candidate, LEVEL)
    return Outcome(
        promoted=float(decided.mean()),
        aborted=float(np.isfinite(exceeding(baseline, candidate)).mean()),
        peeking=peeking,
        textbook=textbook,
        median_tick=float(np.median(promoted[decided])) if decided.any() else None,
    )


def misses(generator: np.random.Generator, runs: int, phi: float, share: float) -> Flags:
    """Ticks with a miss: a latent AR(1) value beyond the quantile that gives `share` of them."""
    return ar1(generator, runs, phi) > norm.isf(share)


def coverage_runs(seed: int, runs: int, phi: float, share: float) -> tuple[float, float]:
    """Shares promoted by the coverage test, and stopped by the duration rule."""
    missed = misses(np.random.default_rng(seed), runs, phi, share)
    before = np.concatenate([np.zeros((runs, 1), dtype=bool), missed[:, :-1]], axis=1)
    at_risk, onset = np.cumsum(~before, axis=1), np.cumsum(~before & missed, axis=1)
    long = missed.copy()
    for back in range(1, SPELL_MAX):
        long[:, back:] &= missed[:, :-back]
        long[:, :back] = False
    stopped = np.where(long.any(axis=1), long.argmax(axis=1), TICKS)
    margin = MARGIN / (SPELL_MAX + 1)
    looks = np.arange(LOOK_EVERY - 1, TICKS, LOOK_EVERY)
    keeps = np.cumsum(missed, axis=1)[:, looks] / (looks + 1) < MARGIN
    log_e = _table(at_risk[:, looks] - onset[:, looks], onset[:, looks], margin)
    promoted = (log_e >= -math.log(LEVEL)) & keeps & (looks < stopped[:, None])
    return float(promoted.any(axis=1).mean()), float((stopped < TICKS).mean())


def _table(clean: NDArray[np.int_], onsets: NDArray[np.int_], margin: float) -> Array:
    """`absence` for many counts, each distinct pair once."""
    pairs, where = np.unique(
        np.stack([clean.ravel(), onsets.ravel()], axis=1), axis=0, return_inverse=True
    )
    values = np.array([presence.absence(int(c), int(o), margin) for c, o in pairs])
    return values[where.ravel()].reshape(clean.shape)


def harm_runs(seed: int, runs: int, phi: float, share: float) -> float:
    """Share aborted by the test of harm when both arms miss alike, and by the cap when alike."""
    generator = np.random.default_rng(seed)
    ours, theirs = (misses(generator, runs, phi, share) for _ in range(2))
    b = np.cumsum(_begun(ours) & ~_begun(theirs), axis=1)
    c = np.cumsum(_begun(theirs) & ~_begun(ours), axis=1)
    pairs, where = np.unique(np.stack([b.ravel(), c.ravel()], axis=1), axis=0, return_inverse=True)
    quiet = presence.more_often(0, 0)
    values = np.array(
        [presence.log_mean(presence.discordant(int(x), int(y)), quiet) for x, y in pairs]
    )
    aborted = (values[where.ravel()].reshape(b.shape) >= -math.log(ALPHA_ABORT)).any(axis=1)
    baseline, candidate = arms(generator, runs, phi, 0.0, None)
    return float((aborted | np.isfinite(exceeding(baseline, candidate))).mean())


def _begun(missed: Flags) -> Flags:
    """Misses after ten ticks without one."""
    begun = missed.copy()
    for back in range(1, QUIET_TICKS + 1):
        begun[:, back:] &= ~missed[:, :-back]
    return begun


def tables(runs: int, seed: int = 20261124) -> str:
    """All tables as Markdown."""
    parts = [
        f"{runs} runs a cell, {TICKS} ticks, a look every {LOOK_EVERY}; level of the first attempt"
        f" {LEVEL:g}; seed {seed}.",
        "**True reduction exactly at the required value: promoted (wrongly).**",
        _reduction_table(seed, runs, REQUIRED, ((None, "normal"), (0.5, "σ 0.5"), (1.0, "σ 1.0"))),
        "**Required value + 10 points: promoted (rightly).**",
        _reduction_table(seed + 1, runs, REQUIRED + 0.1, ((None, "normal"),)),
        "**Coverage exactly at the margin, and no difference in harm.**",
        _coverage_table(seed + 2, runs),
    ]
    return "\n\n".join(parts) + "\n"


def _reduction_table(
    seed: int, runs: int, reduction: float, tails: Iterable[tuple[float | None, str]]
) -> str:
    head = ("noise", "AR(1)", "Phoenix", "median tick", "cap aborts", "peeking", "textbook")
    rows = []
    for tail, name in tails:
        for phi in PHIS:
            seen = reduction_runs(seed, runs, phi, reduction, tail)
            tick = "–" if seen.median_tick is None else f"{seen.median_tick:.0f}"
            shares = (seen.aborted, seen.peeking, seen.textbook)
            rows.append((name, f"{phi:g}", _percent(seen.promoted), tick, *map(_percent, shares)))
    return _markdown(head, rows)


def _coverage_table(seed: int, runs: int) -> str:
    head = ("AR(1)", "at the margin: promoted", "stopped by duration", "no difference: aborted")
    rows = []
    for phi in PHIS:
        promoted, stopped = coverage_runs(seed, runs, phi, MARGIN)
        shares = (promoted, stopped, harm_runs(seed, runs, phi, MARGIN))
        rows.append((f"{phi:g}", *map(_percent, shares)))
    return _markdown(head, rows)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [tuple(head), *(tuple(row) for row in rows)]
    lines.insert(1, tuple("---" for _ in lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOC.name}")
    chosen = parser.parse_args()
    started = time.perf_counter()
    text = tables(300 if chosen.quick else 3000)
    print(text)
    print(f"took {time.perf_counter() - started:.0f} s")
    if chosen.write:
        page = DOC.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        after = rest.split(END)[1]
        DOC.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
