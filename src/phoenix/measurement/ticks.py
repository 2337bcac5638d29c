"""Which tick a request belongs to, and what an arm has sent in a tick that is still open.

Ticks are numbered by counting intervals since 1970 from a phase, the first scrape's time modulo the
interval. The points of a scrape lie after its begin, by up to most of an interval on a busy host,
so a time belongs to the tick that began at most three quarters of an interval before it, or begins
at most a quarter after it. (Rounding to the nearest tick was tried first: a scrape of 1,200
processes on two busy cores lasted 0.6 s of a tick of 1 s, and its parts fell into two.)

Arms that share a scrape share its phase, which the baseline's earliest points set: an arm that
leaves out the first processes of a scrape would shift it. When the scraper restarts the phase
moves: two scrapes in a row more than a quarter of an interval off set a new one, and never take a
number that is used. A candidate that scrapes by itself has a phase of its own, numbered so that its
tick lies in the same interval as the baseline's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from phoenix.measurement.model import ARMS, Arm
from phoenix.measurement.otlp import Block

POINTS_MAX = 300_000
"""Points of one arm held for one open tick; what is beyond is counted and dropped."""
_OFF_PLACE = 0.25  # of an interval
_USABLE_NS = 3600 * 1_000_000_000  # an hour either way of the meter's clock


class TickClock:
    """Numbers ticks of one experiment."""

    def __init__(self, interval_s: float, *, shared: bool = True) -> None:
        """`shared`: both arms carry the same scrape."""
        self.interval_ns = round(interval_s * 1e9)
        self._shared = shared
        self._phase_ns: dict[Arm, int] = {}
        self._provisional = False  # the phase was set by an arm that may have left out a begin
        self._newest: dict[Arm, int] = {}
        self._off: dict[Arm, bool] = {}
        self.phase_changes = 0

    def number(self, arm: Arm, at_ns: int) -> int:
        """The tick of a scrape of `arm` whose earliest point is at `at_ns`."""
        if arm not in self._phase_ns:
            self._phase_ns[arm] = self._first_phase(arm, at_ns)
        if self._shared and arm == "candidate":
            return self._floor(at_ns, self._phase_ns[arm])[0]
        return self._own_number(arm, at_ns)

    def scrape_ns(self, tick: int) -> int:
        """When the scrape of a tick is due, the later of the two where each arm has its own."""
        return max(self._phase_ns.values(), default=0) + tick * self.interval_ns

    def _own_number(self, arm: Arm, at_ns: int) -> int:
        """The number of a scrape by whoever makes it; follows it when its phase has moved."""
        if self._provisional and arm == "baseline":
            self._correct(at_ns)
        tick, off = self._nearest(at_ns, self._phase_ns[arm])
        newest = self._newest.get(arm)
        is_off = abs(off) > _OFF_PLACE
        if is_off and newest is not None and tick >= newest:
            tick = max(tick, newest + 1)
            if self._off.get(arm):
                self._move(arm, at_ns - tick * self.interval_ns)
        self._off[arm] = is_off
        self._newest[arm] = tick if newest is None else max(newest, tick)
        return tick

    def _move(self, arm: Arm, phase_ns: int) -> None:
        for one in ARMS if self._shared else (arm,):
            if one in self._phase_ns:
                self._phase_ns[one] = phase_ns
        self._off[arm] = False
        self.phase_changes += 1

    def _correct(self, at_ns: int) -> None:
        """The baseline's begin of the scrape that the candidate set the phase by."""
        tick, _ = self._floor(at_ns + self.interval_ns // 2, self._phase_ns["baseline"])
        begin = at_ns - tick * self.interval_ns
        if begin < self._phase_ns["baseline"]:
            for one in self._phase_ns:
                self._phase_ns[one] = begin
        self._provisional = False

    def _first_phase(self, arm: Arm, at_ns: int) -> int:
        for other in ARMS:
            if other != arm and other in self._phase_ns:
                phase_ns = self._phase_ns[other]
                if self._shared:
                    return phase_ns
                _, off = self._nearest(at_ns, phase_ns)
                if abs(off) <= _OFF_PLACE:
                    return phase_ns
                return at_ns - (at_ns - phase_ns) // self.interval_ns * self.interval_ns
        self._provisional = self._shared and arm == "candidate"
        return at_ns % self.interval_ns

    def _floor(self, at_ns: int, phase_ns: int) -> tuple[int, int]:
        """The tick that a time within a scrape belongs to, and how long after its begin it is."""
        since = at_ns - phase_ns + round(_OFF_PLACE * self.interval_ns)
        tick = since // self.interval_ns
        return tick, at_ns - phase_ns - tick * self.interval_ns

    def _nearest(self, at_ns: int, phase_ns: int) -> tuple[int, float]:
        """The nearest tick to a scrape's begin, and how far off it is in intervals."""
        since = at_ns - phase_ns
        tick = (2 * since + self.interval_ns) // (2 * self.interval_ns)
        return tick, (since - tick * self.interval_ns) / self.interval_ns


@dataclass(slots=True)
class OpenArm:
    """What one arm has sent in one open tick."""

    blocks: list[Block] = field(default_factory=list)
    seen: dict[int, int] = field(default_factory=dict)  # series -> time of its last point
    repeated: bool = False  # a series came twice, with two times
    points: int = 0
    raw_bytes: int = 0
    wire_bytes: int = 0
    requests: int = 0
    duplicates: int = 0
    dropped: int = 0
    untimed: int = 0
    earliest_ns: int | None = None
    delays: list[tuple[float, int]] = field(default_factory=list)  # (milliseconds, points)

    def add(self, blocks: Iterable[Block], arrived_ns: int) -> int:
        """Count blocks; returns how many points were dropped because of the bound."""
        dropped = 0
        for block in blocks:
            n = len(block.times)
            self.points += n
            if len(self.seen) + n > POINTS_MAX:
                self.dropped += n
                dropped += n
                continue
            self._delay(block, arrived_ns)
            ids = block.layout.ids
            if block.layout.distinct and self.seen.keys().isdisjoint(ids):
                self.blocks.append(block)
            else:
                self._repeated_block(block)
            self.seen.update(zip(ids, block.times, strict=True))
            earliest = min(block.times, default=None)
            if earliest and (self.earliest_ns is None or earliest < self.earliest_ns):
                self.earliest_ns = earliest
        return dropped

    def _delay(self, block: Block, arrived_ns: int) -> None:
        times = block.times
        if times and times.count(times[0]) == len(times):
            self.delays.append(((arrived_ns - times[0]) / 1e6, len(times)))
        else:
            self.delays.extend(((arrived_ns - at) / 1e6, 1) for at in times)

    def _repeated_block(self, block: Block) -> None:
        """Leave out points that came before; note series that came twice."""
        kept = []
        within: dict[int, int] = {}
        for index, (one, at) in enumerate(zip(block.layout.ids, block.times, strict=True)):
            before = within.get(one, self.seen.get(one))
            if before == at:
                self.duplicates += 1
                continue
            self.repeated = self.repeated or before is not None
            within[one] = at
            kept.append(index)
        if kept:
            self.blocks.append(block.only(kept, distinct=True))


def by_scrape(
    blocks: list[Block], interval_ns: int, now_ns: int
) -> Iterator[tuple[int | None, list[Block]]]:
    """A request's blocks by scrape, each with its earliest time.

    A request is one scrape, unless its exporter merged several: it is cut where the times of blocks
    in order leave a quarter of an interval empty, which no scrape does inside. None stands for
    points without a usable time: zero, or more than an hour from the meter's clock.
    """
    timed: list[tuple[int, Block]] = []
    untimed: list[Block] = []
    for block in blocks:
        at = min(block.times, default=0)
        if abs(at - now_ns) > _USABLE_NS or max(block.times, default=0) - now_ns > _USABLE_NS:
            untimed.append(block)
        else:
            timed.append((at, block))
    if untimed:
        yield None, untimed
    timed.sort(key=lambda pair: pair[0])
    begin = 0
    for index in range(1, len(timed) + 1):
        if index == len(timed) or timed[index][0] - timed[index - 1][0] > interval_ns // 4:
            yield timed[begin][0], [block for _, block in timed[begin:index]]
            begin = index
