"""What the ticks of an experiment add up to: a fold, one tick or one batch of samples at a time.

Evidence holds sufficient statistics only: counts, sums, and the pairs of series counts that the
long run cuts into batches. It has a plain form that is exact (`to_dict`, floats as their shortest
text), so a verdict can be computed again from a stored look, offline.

A tick enters by rules fixed before its value is known, in this order:

1. A member paused or reloading at that moment: excluded ("paused", "reloading").
2. The meter marked the tick (late, stale, a gap of its own ...): excluded, with the meter's reason.
3. Before the first tick with both arms: excluded ("before both arms reported").
4. Neither arm sent anything, and the scraper was down: excluded ("no scrape"). There was nothing to
   send; this is how the end of an agent looks, which takes all its collectors with it.
5. The candidate sent nothing although its collector was alive: a *silent* tick. It is paired, with
   zero output, and every critical process of the baseline is missing.
6. An arm is missing otherwise: excluded ("unpaired"), and counted in a row.
7. Both arms present: the first `warmup_ticks` are warm-up, what follows is evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal

from phoenix.experiments.errors import EvidenceTampered
from phoenix.experiments.model import Spec
from phoenix.experiments.statistics import presence
from phoenix.experiments.use import Sampled, Use, queued, used
from phoenix.measurement.model import ArmTick, Tick

#: Totals that a candidate must conserve: resident bytes as levels, the others as increases.
CONSERVED_LEVELS = ("process.memory.usage",)
CONSERVED_INCREASES = ("process.cpu.time", "process.disk.io")
#: Pairs of series counts kept; beyond it, neighbours are added up and the resolution halves.
BLOCKS_MAX = 1024
#: Consecutive evidence ticks whose ratio candidate/baseline is compared with the cap.
RATIO_TICKS = 10
#: A miss within this many ticks of the last one belongs to the same episode of harm.
QUIET_TICKS = 10
#: Names of lost processes kept with their counts.
LOST_NAMES_MAX = 500
SILENT = "everything"
#: Requests waiting in the baseline's queue while the meter takes them; more say that it is away.
QUEUE_MAX = 2

MemberState = Literal["alive", "down", "paused", "reloading"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """How a member of the shadow was from `start` until `end` (None: until now)."""

    member: str
    state: MemberState
    start: datetime
    end: datetime | None = None

    def covers(self, at: datetime) -> bool:
        return self.start <= at and (self.end is None or at < self.end)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One quantity of both arms, summed."""

    baseline: float = 0
    candidate: float = 0

    def plus(self, baseline: float, candidate: float) -> Pair:
        return Pair(baseline=self.baseline + baseline, candidate=self.candidate + candidate)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean:
    """Running mean with extremes; nothing is known while `count` is 0."""

    count: int = 0
    total: float = 0.0
    lowest: float | None = None
    highest: float | None = None

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None

    def plus(self, value: float | None) -> Mean:
        if value is None:
            return self
        return Mean(
            count=self.count + 1,
            total=self.total + value,
            lowest=value if self.lowest is None else min(self.lowest, value),
            highest=value if self.highest is None else max(self.highest, value),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Everything a verdict rests on. `ticks` are paired evidence ticks, silent ones included."""

    last_tick: int | None = None
    started_at: str | None = None  # of the first evidence tick
    warmup_ticks: int = 0
    ticks: int = 0
    silent_ticks: int = 0
    excluded: Mapping[str, int] = field(default_factory=dict)
    unpaired_in_a_row: int = 0
    unpaired_longest: int = 0
    unpaired_arm: str | None = None  # whose absence made the longest gap

    series: Pair = field(default_factory=Pair)
    points: Pair = field(default_factory=Pair)
    raw_bytes: Pair = field(default_factory=Pair)
    wire_bytes: Pair = field(default_factory=Pair)
    block_ticks: int = 1
    blocks: tuple[tuple[int, int], ...] = ()  # series summed over block_ticks: baseline, candidate
    open_block: tuple[int, int, int] = (0, 0, 0)  # ticks, baseline, candidate
    open_ratio: tuple[int, int, int] = (0, 0, 0)
    ratio_highest: float | None = None  # of RATIO_TICKS ticks in a row

    critical_ticks: int = 0  # ticks in which the baseline showed a critical process
    critical_shown: Pair = field(default_factory=Pair)  # process-ticks
    ticks_with_miss: int = 0
    at_risk_ticks: int = 0  # nothing critical was missing in the tick before
    onsets: int = 0  # of those, ticks in which a miss began
    lost_by_candidate_alone: int = 0  # episodes: a miss after ten ticks without one
    lost_by_baseline_alone: int = 0
    candidate_quiet: int = QUIET_TICKS  # ticks since the candidate missed something
    baseline_quiet: int = QUIET_TICKS
    missing_now: tuple[str, ...] = ()
    missing_run: int = 0  # ticks in a row with a miss, of whichever process
    missing_longest: int = 0
    missing_longest_names: tuple[str, ...] = ()
    lost: Mapping[str, int] = field(default_factory=dict)  # process: ticks missing

    totals: Mapping[str, Pair] = field(default_factory=dict)
    recall_cpu: Mean = field(default_factory=Mean)
    recall_memory: Mean = field(default_factory=Mean)
    extra_delay_ms: Mean = field(default_factory=Mean)
    use: Mapping[str, Use] = field(default_factory=dict)
    #: Highest log e-value so far against "the candidate is no worse": late data cannot undo it.
    harm_log_e: float = 0.0

    @property
    def seen(self) -> int:
        """Ticks folded in, whatever became of them."""
        return self.warmup_ticks + self.ticks + sum(self.excluded.values())

    def crashes(self, member: str) -> int:
        """How often a member of the shadow ended by itself."""
        return self.use[member].crashes if member in self.use else 0

    def warmup_done(self, spec: Spec) -> bool:
        return self.warmup_ticks >= spec.warmup_ticks

    def updated(self, tick: Tick, spec: Spec, intervals: Sequence[Interval] = ()) -> Evidence:
        """The evidence with one more tick.

        A tick that is not newer than the last is ignored, and so is every tick after the last that
        the specification allows: evidence folded again from stored ticks is the same evidence.

        Args:
            tick: a closed tick; ticks come in ascending order.
            spec: the frozen question (its warm-up).
            intervals: how the members of the shadow were, at least around this tick. Without any,
                a missing arm is taken for dead.
        """
        if self.last_tick is not None and tick.tick <= self.last_tick:
            return self
        if self.ticks >= spec.evidence_ticks_max:
            return self
        known = replace(self, last_tick=tick.tick)
        reason = _reason_to_exclude(known, tick, intervals)
        if reason is not None:
            return known._without(reason)
        candidate = tick.candidate
        if tick.baseline is None or (candidate is None and not _alive(tick, intervals)):
            return known._unpaired(tick)
        paired = replace(known, unpaired_in_a_row=0)
        if not paired.warmup_done(spec):
            return replace(paired, warmup_ticks=paired.warmup_ticks + 1)
        return paired._with_pair(tick, tick.baseline, candidate)

    def with_samples(self, samples: Iterable[Sampled]) -> Evidence:
        """The evidence with what the members used. Samples from before the evidence only set the
        counters' starting points; a counter that falls has restarted at zero.

        Points that an arm lost while the baseline's queue was backed up are not counted: the meter
        was away, and an arm that sends more requests a scrape merely fills its queue sooner.
        """
        use = dict(self.use)
        for sample in sorted(samples, key=lambda sample: sample.at):
            one = queued(use.get(sample.member, Use()), sample)
            baseline = one if sample.member == "baseline" else use.get("baseline", Use())
            away = max(baseline.queues) > QUEUE_MAX
            use[sample.member] = used(one, sample, self.started_at, meter_away=away)
        return _with_harm(replace(self, use=use))

    def _without(self, reason: str) -> Evidence:
        return replace(self, excluded={**self.excluded, reason: self.excluded.get(reason, 0) + 1})

    def _unpaired(self, tick: Tick) -> Evidence:
        arms = [name for name in ("baseline", "candidate") if getattr(tick, name) is None]
        arm = " and ".join(arms)
        in_a_row = self.unpaired_in_a_row + 1
        longest = in_a_row > self.unpaired_longest
        return replace(
            self._without(f"unpaired: no {arm}"),
            unpaired_in_a_row=in_a_row,
            unpaired_longest=in_a_row if longest else self.unpaired_longest,
            unpaired_arm=arm if longest else self.unpaired_arm,
        )

    def _with_pair(self, tick: Tick, baseline: ArmTick, candidate: ArmTick | None) -> Evidence:
        silent = candidate is None or candidate.points == 0
        counted = replace(
            self,
            ticks=self.ticks + 1,
            silent_ticks=self.silent_ticks + silent,
            started_at=self.started_at or tick.at.isoformat(),
        )
        counted = _with_output(counted, baseline, candidate)
        counted = _with_harm(_with_coverage(counted, tick, silent=silent))
        counted = _with_totals(counted, baseline, candidate)
        delay = None
        if candidate is not None and not silent:
            delay = candidate.delay_p95_ms - baseline.delay_p95_ms
        return replace(
            counted,
            recall_cpu=self.recall_cpu.plus(0.0 if silent else tick.recall_cpu),
            recall_memory=self.recall_memory.plus(0.0 if silent else tick.recall_memory),
            extra_delay_ms=self.extra_delay_ms.plus(delay),
        )

    def to_dict(self) -> dict[str, Any]:
        """A plain form with a canonical JSON; floats are their shortest exact text."""
        plain = _plain(self)
        assert isinstance(plain, dict)
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evidence:
        """The exact inverse of `to_dict`.

        Raises:
            EvidenceTampered: a field is unknown or is no number.
        """
        try:
            values = {name: _restored(name, value) for name, value in data.items()}
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise EvidenceTampered(
                f"The stored evidence cannot be read: {error}.",
                remedy="Take the look from the ledger; this copy was changed.",
            ) from error


def _state(tick: Tick, intervals: Sequence[Interval], member: str) -> MemberState | None:
    """The last word about a member at the time of the tick."""
    states = [i.state for i in intervals if i.member == member and i.covers(tick.at)]
    return states[-1] if states else None


def _alive(tick: Tick, intervals: Sequence[Interval]) -> bool:
    return _state(tick, intervals, "candidate") == "alive"


def _reason_to_exclude(evidence: Evidence, tick: Tick, intervals: Sequence[Interval]) -> str | None:
    states = [_state(tick, intervals, member) for member in ("scraper", "baseline", "candidate")]
    for state in ("paused", "reloading"):
        if state in states:
            return state
    if tick.excluded is not None and not tick.excluded.startswith("unpaired"):
        return tick.excluded
    both = tick.baseline is not None and tick.candidate is not None
    live = evidence.warmup_ticks > 0 or evidence.ticks > 0
    if not both and not live:
        return "before both arms reported"
    if tick.baseline is None and tick.candidate is None and states[0] == "down":
        return "no scrape"
    return None


def _with_output(evidence: Evidence, baseline: ArmTick, candidate: ArmTick | None) -> Evidence:
    def added(pair: Pair, name: str) -> Pair:
        return pair.plus(getattr(baseline, name), getattr(candidate, name) if candidate else 0)

    series = (baseline.series, candidate.series if candidate else 0)
    ratio, highest = _ratio(evidence, series)
    return replace(
        _with_block(evidence, series),
        series=added(evidence.series, "series"),
        points=added(evidence.points, "points"),
        raw_bytes=added(evidence.raw_bytes, "raw_bytes"),
        wire_bytes=added(evidence.wire_bytes, "wire_bytes"),
        open_ratio=ratio,
        ratio_highest=highest,
    )


def _with_block(evidence: Evidence, series: tuple[int, int]) -> Evidence:
    ticks, baseline, candidate = _grown(evidence.open_block, series)
    if ticks < evidence.block_ticks:
        return replace(evidence, open_block=(ticks, baseline, candidate))
    blocks = (*evidence.blocks, (baseline, candidate))
    length = evidence.block_ticks
    if len(blocks) == BLOCKS_MAX:
        evens, odds = blocks[0::2], blocks[1::2]
        blocks = tuple((a[0] + b[0], a[1] + b[1]) for a, b in zip(evens, odds, strict=True))
        length *= 2
    return replace(evidence, open_block=(0, 0, 0), blocks=blocks, block_ticks=length)


def _ratio(
    evidence: Evidence, series: tuple[int, int]
) -> tuple[tuple[int, int, int], float | None]:
    ticks, baseline, candidate = _grown(evidence.open_ratio, series)
    if ticks < RATIO_TICKS or baseline == 0:
        return (ticks, baseline, candidate), evidence.ratio_highest
    return (0, 0, 0), max(candidate / baseline, evidence.ratio_highest or 0.0)


def _grown(run: tuple[int, int, int], series: tuple[int, int]) -> tuple[int, int, int]:
    return run[0] + 1, run[1] + series[0], run[2] + series[1]


def _with_coverage(evidence: Evidence, tick: Tick, *, silent: bool) -> Evidence:
    shown = tick.critical_baseline
    missing = sorted(set(tick.missing))
    if silent and shown and not missing:
        missing = [SILENT]
    lost = shown if silent else min(len(missing), shown)
    surplus = not silent and tick.critical_candidate > shown - lost
    at_risk = shown > 0 and evidence.missing_run == 0
    ours = bool(missing) and evidence.candidate_quiet >= QUIET_TICKS
    theirs = surplus and evidence.baseline_quiet >= QUIET_TICKS
    run = evidence.missing_run + 1 if missing else 0
    longest = run > evidence.missing_longest
    return replace(
        evidence,
        critical_ticks=evidence.critical_ticks + (shown > 0),
        critical_shown=evidence.critical_shown.plus(shown, shown - lost),
        ticks_with_miss=evidence.ticks_with_miss + bool(missing),
        at_risk_ticks=evidence.at_risk_ticks + at_risk,
        onsets=evidence.onsets + (at_risk and bool(missing)),
        lost_by_candidate_alone=evidence.lost_by_candidate_alone + (ours and not theirs),
        lost_by_baseline_alone=evidence.lost_by_baseline_alone + (theirs and not ours),
        candidate_quiet=0 if missing else evidence.candidate_quiet + 1,
        baseline_quiet=0 if surplus else evidence.baseline_quiet + 1,
        missing_now=tuple(missing[:LOST_NAMES_MAX]),
        missing_run=run,
        missing_longest=run if longest else evidence.missing_longest,
        missing_longest_names=(
            tuple(missing[:LOST_NAMES_MAX]) if longest else evidence.missing_longest_names
        ),
        lost=_with_lost(evidence.lost, missing),
    )


def _with_harm(evidence: Evidence) -> Evidence:
    """The average of two tests: episodes of missing processes, intervals with failed exports."""
    ours, theirs = (
        evidence.use[arm].failed_intervals if arm in evidence.use else 0
        for arm in ("candidate", "baseline")
    )
    now = presence.log_mean(
        presence.discordant(evidence.lost_by_candidate_alone, evidence.lost_by_baseline_alone),
        presence.more_often(theirs, ours),
    )
    return evidence if now <= evidence.harm_log_e else replace(evidence, harm_log_e=now)


def _with_lost(lost: Mapping[str, int], missing: Sequence[str]) -> dict[str, int]:
    grown = dict(lost)
    for name in missing:
        if name in grown or len(grown) < LOST_NAMES_MAX:
            grown[name] = grown.get(name, 0) + 1
    return grown


def _with_totals(evidence: Evidence, baseline: ArmTick, candidate: ArmTick | None) -> Evidence:
    """Both arms' totals of what must be conserved; what the baseline does not show is left out."""
    totals = dict(evidence.totals)
    for name in CONSERVED_LEVELS:
        if name in baseline.levels:
            theirs = candidate.levels.get(name, 0.0) if candidate else 0.0
            totals[name] = totals.get(name, Pair()).plus(baseline.levels[name], theirs)
    increases = None if candidate is None else candidate.increments
    if baseline.increments is not None and (candidate is None or increases is not None):
        for name in CONSERVED_INCREASES:
            if name in baseline.increments:
                theirs = (increases or {}).get(name, 0.0)
                totals[name] = totals.get(name, Pair()).plus(baseline.increments[name], theirs)
    return replace(evidence, totals=totals)


def _plain(value: object) -> object:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Evidence | Pair | Mean | Use):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    return value


_FLOATS = {
    Pair: ("baseline", "candidate"),
    Mean: ("total", "lowest", "highest"),
    Use: ("last_cpu_s", "cpu_s", "seconds"),
}


def _noun(kind: type[Any], data: Mapping[str, Any]) -> Any:
    """A nested noun; a text in a field of numbers is a float."""
    return kind(**{name: _field(kind, name, value) for name, value in data.items()})


def _field(kind: type[Any], name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return float(value) if isinstance(value, str) and name in _FLOATS[kind] else value


def _restored(name: str, value: Any) -> Any:
    match name:
        case "series" | "points" | "raw_bytes" | "wire_bytes" | "critical_shown":
            return _noun(Pair, value)
        case "recall_cpu" | "recall_memory" | "extra_delay_ms":
            return _noun(Mean, value)
        case "totals":
            return {key: _noun(Pair, item) for key, item in value.items()}
        case "use":
            return {key: _noun(Use, item) for key, item in value.items()}
        case "blocks":
            return tuple((int(a), int(b)) for a, b in value)
        case "open_block" | "open_ratio":
            return tuple(int(item) for item in value)
        case "missing_now" | "missing_longest_names":
            return tuple(value)
        case "harm_log_e":
            return float(value)
        case "ratio_highest":
            return None if value is None else float(value)
        case _:
            return value
