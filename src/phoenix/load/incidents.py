"""What happens on a host while one looks: services restart, shells become programs, some run wild.

A plain load only stands there, or is born and ends. `with_incidents` makes one cycle of ten minutes
of it in which, besides: a part of the services restart (the same name and command line, a new pid),
processes execute another program in their own place (the same pid and start, a new name), a few use
a large part of a core for a while, and one fills memory. Pure: the same plan and seed give the same
incidents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from phoenix.load.dice import Dice
from phoenix.load.model import Birth, Plan, ProcessPlan, Program

CYCLE_S = 600
_SERVICES_RESTARTED = 0.2  # of the long-lived
_RESTARTS = (1, 4)  # of each of them in a cycle
_DOWN_S = (0.5, 3.0)
_EXECS = 60
_EXEC_LIFETIME_S = (15.0, 150.0)
_HOGS = 5
_HOG_LIFETIME_S = (30.0, 120.0)
_HOG_CORES = (0.08, 0.3)
_MEMORY_HOG_LIFETIME_S = 90.0
_MB = 1_000_000

_BEFORE = ("sh", "bash", "python3")
_AFTER = (
    ("java", ("/usr/bin/java", "-jar", "/srv/batch/run-{birth}.jar")),
    ("node", ("node", "/srv/batch/run.js", "--id={birth}")),
    ("python3", ("/usr/bin/python3", "-m", "batch.run", "{birth}")),
    ("rsync", ("rsync", "-a", "/srv/data/{birth}/", "backup:/srv/data/{birth}/")),
    ("sleep", ("sleep", "{birth}")),
)
_WILD = (
    ("ffmpeg", ("ffmpeg", "-i", "/srv/video/{birth}.mov", "/srv/video/{birth}.mp4")),
    ("clamscan", ("clamscan", "--recursive", "/home/{birth}")),
    ("xz", ("xz", "-9", "/var/backups/{birth}.tar")),
    ("convert", ("convert", "/srv/images/{birth}.tiff", "/srv/images/{birth}.png")),
)


def with_incidents(load: Plan, seed: int, *, memory_hog_bytes: int = 0) -> Plan:
    """`load` with a cycle of ten minutes of restarts, execs and hogs beside its own births.

    Args:
        memory_hog_bytes: what one process fills for 90 s of each cycle; 0 for none.
    """
    dice = Dice(seed)
    staying, restarted = _parted(dice, load.processes)
    births = [
        *_repeated(load),
        *(birth for each in restarted for birth in _restarts(dice, each)),
        *(_exec(dice) for _ in range(_EXECS)),
        *(_hog(dice, n) for n in range(_HOGS)),
    ]
    if memory_hog_bytes:
        births.append(_memory_hog(dice, memory_hog_bytes))
    return replace(
        load,
        processes=staying,
        births=tuple(sorted(births, key=lambda birth: birth.at_s)),
        cycle_s=float(CYCLE_S),
    )


def _parted(
    dice: Dice, processes: Sequence[ProcessPlan]
) -> tuple[tuple[ProcessPlan, ...], list[ProcessPlan]]:
    chosen = [dice.share() < _SERVICES_RESTARTED for _ in processes]
    staying = tuple(p for p, restarts in zip(processes, chosen, strict=True) if not restarts)
    return staying, [p for p, restarts in zip(processes, chosen, strict=True) if restarts]


def _repeated(load: Plan) -> list[Birth]:
    if not load.births:
        return []
    assert CYCLE_S % load.cycle_s == 0, "whole cycles of the load make one of ours"
    cycles = round(CYCLE_S / load.cycle_s)
    return [
        replace(birth, at_s=round(cycle * load.cycle_s + birth.at_s, 3))
        for cycle in range(cycles)
        for birth in load.births
    ]


def _restarts(dice: Dice, service: ProcessPlan) -> list[Birth]:
    """One service's lives in a cycle; the last ends just before the first of the next cycle."""
    # The first at once, or the host would begin without its services.
    starts = [round(dice.between(0, 1), 3)]
    starts += sorted(
        round(dice.between(20, CYCLE_S - 20), 3) for _ in range(dice.whole(*_RESTARTS))
    )
    ends = [*starts[1:], CYCLE_S + starts[0]]
    births = []
    for start, end in zip(starts, ends, strict=True):
        lifetime = round(end - start - dice.between(*_DOWN_S), 3)
        births.append(Birth(at_s=start, lifetime_s=max(lifetime, 0.5), process=service))
    return births


def _exec(dice: Dice) -> Birth:
    lifetime = round(dice.between(*_EXEC_LIFETIME_S), 3)
    before = dice.pick(_BEFORE)
    name, argv = dice.pick(_AFTER)
    return Birth(
        at_s=_any_time(dice),
        lifetime_s=lifetime,
        process=ProcessPlan(
            name=before,
            argv=(f"/bin/{before}", "/usr/local/bin/batch-{birth}"),
            cpu_share=round(dice.between(0.001, 0.02), 6),
            rss_bytes=round(dice.between(1, 8) * _MB),
            write_bytes_per_s=2_000,
        ),
        becomes=Program(after_s=round(lifetime * dice.between(0.2, 0.8), 3), name=name, argv=argv),
    )


def _hog(dice: Dice, n: int) -> Birth:
    name, argv = _WILD[n % len(_WILD)]
    return Birth(
        at_s=_any_time(dice),
        lifetime_s=round(dice.between(*_HOG_LIFETIME_S), 3),
        process=ProcessPlan(
            name=name,
            argv=argv,
            cpu_share=round(dice.between(*_HOG_CORES), 6),
            rss_bytes=round(dice.between(5, 40) * _MB),
        ),
    )


def _memory_hog(dice: Dice, size_bytes: int) -> Birth:
    return Birth(
        at_s=_any_time(dice),
        lifetime_s=_MEMORY_HOG_LIFETIME_S,
        process=ProcessPlan(
            name="duckdb", argv=("duckdb", "/srv/reports/{birth}.db"), rss_bytes=size_bytes
        ),
    )


def _any_time(dice: Dice) -> float:
    return round(dice.between(0, CYCLE_S - 0.001), 3)
