"""One experiment in the meter's memory: requests in, closed ticks out, in order.

A tick closes one interval after its scrape, or one interval after its first data came if that was
queued somewhere; ticks close in order, and what comes for a closed one is late. An arm that is
alive and sent nothing is a tick with zero output; it is *unpaired* only if it was not alive.

After a start or a refusal of this meter, data waits in the arms' queues, and each arm comes back
when its own back-off ends. Until both have caught up, a tick without one of them stays open, for a
minute at most; what is missing in the end is excluded as such and held against nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from phoenix.measurement.distinct import Distinct
from phoenix.measurement.emitted import Catalogue
from phoenix.measurement.folding import ArmFolder, ArmSeen, Critical, compare
from phoenix.measurement.model import (
    ARMS,
    METER_RESTARTED,
    Arm,
    ArmState,
    NameSeen,
    Subscription,
    Tick,
    catching_up,
    gap_before,
    unpaired,
)
from phoenix.measurement.otlp import Block, Decoder
from phoenix.measurement.ticks import OpenArm, TickClock, by_scrape

OPEN_TICKS_MAX = 120
"""Ticks held open at once; when more are due the oldest closes early."""
NAMES_MAX = 20_000
"""Executable names remembered for one experiment; later ones are not listed, and are counted."""
_CATCH_UP_S = 60.0  # the collector's longest back-off is 30 s, drawn out by half


@dataclass(slots=True)
class _OpenTick:
    first_ns: int  # when its first data came
    arms: dict[Arm, OpenArm] = field(default_factory=dict)


@dataclass(slots=True)
class _Name:
    baseline_ticks: int = 0
    candidate_ticks: int = 0
    cpu_s: float = 0.0
    memory_bytes: float = 0.0
    critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """What a meter finds of an experiment that another meter has counted before it."""

    last_tick: int
    sketches: Mapping[Arm, bytes]
    names: tuple[NameSeen, ...]
    emitted: Mapping[Arm, Catalogue] = field(default_factory=dict)


class ExperimentMeter:
    """Counts one experiment. All times are given: nanoseconds since 1970."""

    def __init__(
        self, subscription: Subscription, *, now_ns: int, resume: Resume | None = None
    ) -> None:
        self.subscription = subscription
        self.decoders: dict[Arm, Decoder] = {arm: Decoder() for arm in ARMS}
        self.states: Mapping[Arm, ArmState] = subscription.states
        self._clock = TickClock(subscription.interval_s, shared=subscription.shared_scrape)
        sketches = resume.sketches if resume else {}
        self._folders: dict[Arm, ArmFolder] = {
            arm: ArmFolder(
                subscription.interval_s,
                Distinct.resumed(subscription.interval_s, sketches[arm])
                if arm in sketches
                else None,
            )
            for arm in ARMS
        }
        known = resume.emitted if resume else {}
        self.emitted: dict[Arm, Catalogue] = {arm: known.get(arm, Catalogue()) for arm in ARMS}
        self._is_critical = Critical(subscription.critical)
        self._open: dict[int, _OpenTick] = {}
        self._closed_to: int | None = resume.last_tick if resume else None
        self._restarted = resume is not None
        self._first_tick_done = False
        self._late: dict[Arm, int] = dict.fromkeys(ARMS, 0)
        self._waiting: dict[Arm, int] = {}  # arm -> until when it may take to catch up
        self._caught_up: dict[Arm, int] = {}  # arm -> until when its silence meant nothing
        self._with_pids = True
        self._gap: set[Arm] = set()  # arms that missed the tick before
        self._names: dict[str, _Name] = {}
        self._changed_names: set[str] = set()
        self.unlisted_names = 0
        if resume is not None:
            self.refused(now_ns)
            self._names = {seen.name: _known_name(seen) for seen in resume.names}

    @property
    def interval_ns(self) -> int:
        """The interval in nanoseconds."""
        return self._clock.interval_ns

    def refused(self, now_ns: int) -> None:
        """Data was refused, so what is missing now may be waiting in a queue."""
        for arm in ARMS:
            self._waiting[arm] = now_ns + int(_CATCH_UP_S * 1e9)

    def accept(
        self, arm: Arm, blocks: list[Block], *, raw_bytes: int, wire_bytes: int, arrived_ns: int
    ) -> int:
        """Count a request; returns how many of its points were dropped for lack of room."""
        dropped = 0
        counted = False
        untimed: list[Block] = []
        for at_ns, scrape in by_scrape(blocks, self.interval_ns, arrived_ns):
            if at_ns is None:
                untimed = scrape
                continue
            tick = self._clock.number(arm, at_ns)
            if arm in self._waiting and arrived_ns - at_ns < 2 * self.interval_ns:
                del self._waiting[arm]
                self._caught_up[arm] = at_ns
            if self._closed_to is not None and tick <= self._closed_to:
                self._late[arm] += sum(len(block.times) for block in scrape)
                continue
            open_arm = self._arm_of(tick, arm, arrived_ns)
            dropped += open_arm.add(scrape, arrived_ns)
            if not counted:  # the bytes go to the request's earliest scrape
                counted = True
                open_arm.requests += 1
                open_arm.raw_bytes += raw_bytes
                open_arm.wire_bytes += wire_bytes
                open_arm.untimed += sum(len(block.times) for block in untimed)
        return dropped

    def close_due(self, now_ns: int) -> list[Tick]:
        """Close what is due, in order; a gap becomes ticks without data."""
        self._give_up_waiting(now_ns)
        closed: list[Tick] = []
        while self._open:
            first = min(self._open)
            if not self._is_due(first, now_ns) and len(self._open) <= OPEN_TICKS_MAX:
                break
            if self._closed_to is not None and self._first_tick_done:
                gap_from = max(self._closed_to + 1, first - OPEN_TICKS_MAX)
                closed.extend(self._close(tick) for tick in range(gap_from, first))
            closed.append(self._close(first))
        return closed

    def close_all(self) -> list[Tick]:
        """Close every open tick now, because the experiment is over."""
        return [self._close(tick) for tick in sorted(self._open)]

    def changed_names(self) -> list[NameSeen]:
        """The names whose counts changed since the last call, in order of name."""
        changed = sorted(self._changed_names)
        self._changed_names.clear()
        return [
            NameSeen(
                name=name,
                baseline_ticks=self._names[name].baseline_ticks,
                candidate_ticks=self._names[name].candidate_ticks,
                cpu_s=self._names[name].cpu_s,
                memory_bytes=self._names[name].memory_bytes,
                critical=self._names[name].critical,
            )
            for name in changed
        ]

    def names_not_written(self, names: Iterable[NameSeen]) -> None:
        """Tell these names again next time."""
        self._changed_names.update(seen.name for seen in names)

    def sketches(self) -> dict[Arm, bytes]:
        """The run's distinct series of each arm, for the meter after this one."""
        return {arm: folder.distinct.saved() for arm, folder in self._folders.items()}

    def packed_emitted(self) -> dict[Arm, bytes]:
        """What each arm has emitted so far, for the database."""
        return {arm: self.emitted[arm].packed() for arm in ARMS}

    def _is_due(self, tick: int, now_ns: int) -> bool:
        open_tick = self._open[tick]
        if any(arm in self._waiting and arm not in open_tick.arms for arm in ARMS):
            return False
        due_ns = max(self._clock.scrape_ns(tick), open_tick.first_ns)
        return now_ns >= due_ns + self.interval_ns

    def _give_up_waiting(self, now_ns: int) -> None:
        for arm, until_ns in list(self._waiting.items()):
            if now_ns >= until_ns:
                del self._waiting[arm]
                self._caught_up[arm] = until_ns

    def _may_wait(self, arm: Arm, tick: int) -> bool:
        return arm in self._waiting or self._clock.scrape_ns(tick) < self._caught_up.get(arm, 0)

    def _arm_of(self, tick: int, arm: Arm, arrived_ns: int) -> OpenArm:
        open_tick = self._open.get(tick)
        if open_tick is None:
            open_tick = self._open[tick] = _OpenTick(first_ns=arrived_ns)
        return open_tick.arms.setdefault(arm, OpenArm())

    def _close(self, tick: int) -> Tick:
        open_tick = self._open.pop(tick, None)
        arms = open_tick.arms if open_tick else {}
        excluded = self._excluded(tick, arms)
        seen = {arm: self._fold(tick, arm, arms, excluded) for arm in ARMS}
        candidate = seen["candidate"]
        if candidate is not None and candidate.processes:
            self._with_pids = any(key.pid is not None for key in candidate.processes)
        self._gap = {arm for arm in ARMS if seen[arm] is None}
        self._closed_to = tick
        self._first_tick_done = True
        at_ns = min(
            (arm.earliest_ns for arm in arms.values() if arm.earliest_ns is not None),
            default=self._clock.scrape_ns(tick),
        )
        if seen["baseline"] is not None and candidate is not None:
            self._remember_names(seen["baseline"], candidate)
            for arm in ARMS:
                sent = arms.get(arm, OpenArm()).blocks
                self.emitted[arm].saw(tick, (block.layout.described for block in sent))
        return compare(
            experiment_id=self.subscription.experiment_id,
            tick=tick,
            at_ns=at_ns,
            baseline=seen["baseline"],
            candidate=candidate,
            with_pids=self._with_pids,
            excluded=excluded,
            is_critical=self._is_critical,
            top_k=self.subscription.top_k,
        )

    def _excluded(self, tick: int, arms: Mapping[Arm, OpenArm]) -> str | None:
        for arm in ARMS:
            if arm not in arms and self._may_wait(arm, tick):
                return catching_up(arm)
        if "baseline" not in arms:
            return unpaired("baseline")
        if "candidate" not in arms and self.states.get("candidate", "alive") != "alive":
            return unpaired("candidate")
        if self._restarted and not self._first_tick_done:
            return METER_RESTARTED
        if len(self._gap) == 1:
            return gap_before(next(iter(self._gap)))
        return None

    def _fold(
        self, tick: int, arm: Arm, arms: Mapping[Arm, OpenArm], excluded: str | None
    ) -> ArmSeen | None:
        """The arm's part; an arm that sent nothing though it lives has zero output."""
        unknown = excluded in (unpaired(arm), catching_up(arm)) or "baseline" not in arms
        if arm not in arms and unknown:
            return None
        late, self._late[arm] = self._late[arm], 0
        return self._folders[arm].fold(
            tick, arms.get(arm, OpenArm()), late=late, lone=len(arms) == 1
        )

    def _remember_names(self, baseline: ArmSeen, candidate: ArmSeen) -> None:
        memory: dict[str, float] = {}
        for key, process in baseline.processes.items():
            name = self._name(key.name)
            if name is None:
                continue
            name.cpu_s += process.cpu_s
            name.critical = name.critical or self._is_critical(
                key.name, process.path, process.owner
            )
            memory[key.name] = memory.get(key.name, 0.0) + process.memory_bytes
        for text, total in memory.items():
            name = self._names[text]
            name.baseline_ticks += 1
            name.memory_bytes = max(name.memory_bytes, total)
        for text in {key.name for key in candidate.processes}:
            name = self._name(text)
            if name is not None:
                name.candidate_ticks += 1

    def _name(self, text: str) -> _Name | None:
        name = self._names.get(text)
        if name is None:
            if len(self._names) >= NAMES_MAX:
                self.unlisted_names += 1
                return None
            name = self._names[text] = _Name()
        self._changed_names.add(text)
        return name


def _known_name(seen: NameSeen) -> _Name:
    return _Name(
        baseline_ticks=seen.baseline_ticks,
        candidate_ticks=seen.candidate_ticks,
        cpu_s=seen.cpu_s,
        memory_bytes=seen.memory_bytes,
        critical=seen.critical,
    )
