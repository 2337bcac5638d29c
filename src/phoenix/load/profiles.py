"""From a profile's name, a seed and a count to the plan of a load.

Pure: the same three values give the same plan everywhere. The budgets below keep a load from being
what is measured: about a fifth of one core and half a gigabyte at the most.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from phoenix.load.catalogue import BACKBONE, BRIEF, CROWD, UNIQUE, Template
from phoenix.load.dice import Dice
from phoenix.load.errors import BadProcess, CountOutOfRange, SeedOutOfRange, UnknownProfile
from phoenix.load.model import Birth, Plan, ProcessPlan, Profile

PROFILES = (
    Profile(
        name="realistic",
        title="a working server: web, databases, workers, shells, daemons; few busy",
        minimum=50,
        default=120,
        maximum=200,
    ),
    Profile(
        name="high-cardinality",
        title="a crowded host: every process has a command line of its own",
        minimum=1_000,
        default=1_500,
        maximum=2_000,
    ),
    Profile(
        name="high-churn",
        title="a build server: 20 to 30 births a second, living 0.5 to 10 s",
        minimum=22,
        default=40,
        maximum=200,
    ),
)

CPU_BUDGET = 0.20  # of one core, all long-lived processes together
MEMORY_BUDGET_BYTES = 450_000_000  # touched by them, beside 0.6 MB each for the program
_BIRTHS_PER_S = (20, 30)
_LIFETIME_S = (0.5, 10.0)
_CYCLE_S = 60
_MB = 1_000_000
_LONGEST_NAME_BYTES = 255
_LONGEST_ARGUMENT_BYTES = 131_071  # MAX_ARG_STRLEN of Linux, without the zero at its end


def profile(name: str) -> Profile:
    """The profile called `name`.

    Raises:
        UnknownProfile: there is none; the message names the nearest.
    """
    known = {each.name: each for each in PROFILES}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UnknownProfile(
        f"There is no load profile {name!r}.{hint}",
        remedy=f"Profiles are {', '.join(known)}.",
    )


def plan(
    name: str, seed: int = 1, count: int | None = None, *, births_per_s: int | None = None
) -> Plan:
    """The load of profile `name` with `count` long-lived processes (None: the profile's default).

    Args:
        births_per_s: this many births in every second, whatever the profile has.

    Raises:
        UnknownProfile, CountOutOfRange, SeedOutOfRange.
    """
    chosen = profile(name)
    wanted = chosen.default if count is None else count
    if not chosen.minimum <= wanted <= chosen.maximum:
        raise CountOutOfRange(
            f"A {name} load cannot have {wanted:,} processes.",
            remedy=f"Ask for {chosen.minimum:,} to {chosen.maximum:,}.",
        )
    if not 0 <= seed < 1 << 64:
        raise SeedOutOfRange(
            f"{seed} cannot be a seed.", remedy="Give a whole number from 0 to 2**64 - 1."
        )
    dice = Dice(seed)
    extra = UNIQUE if name == "high-cardinality" else CROWD
    templates = [*BACKBONE, *(_drawn(dice, extra) for _ in range(wanted - len(BACKBONE)))]
    processes = _within_budget([_process(dice, each, n) for n, each in enumerate(templates)])
    rate = _BIRTHS_PER_S if name == "high-churn" else (0, 0)
    if births_per_s is not None:
        rate = (births_per_s, births_per_s)
    births = _births(dice, rate) if rate[1] else ()
    return Plan(
        profile=name,
        seed=seed,
        processes=processes,
        births=births,
        cycle_s=float(_CYCLE_S) if births else 0.0,
    )


def with_processes(load: Plan, more: Iterable[ProcessPlan]) -> Plan:
    """`load` and `more` processes, with whatever command lines they have.

    Raises:
        BadProcess: the kernel would refuse a name or a command line.
    """
    added = tuple(more)
    for process in added:
        _check(process)
    return replace(load, processes=load.processes + added)


def _check(process: ProcessPlan) -> None:
    name = process.name
    if not process.argv:
        raise BadProcess(f"{name!r} needs a command line.", remedy="Give at least its own name.")
    for part in (name, *process.argv):
        size_bytes = _size_bytes(part)
        if size_bytes is None or size_bytes > _LONGEST_ARGUMENT_BYTES:
            raise BadProcess(
                f"The command line of {name!r} cannot be executed.",
                remedy="Each argument is text without zero bytes, at most 128 KiB of UTF-8.",
            )
    if "/" in name or name in {"", ".", ".."} or (_size_bytes(name) or 0) > _LONGEST_NAME_BYTES:
        raise BadProcess(
            f"{name!r} cannot be the name of a program.",
            remedy="Give the name of a file, without folders, at most 255 bytes long.",
        )
    if not 0 <= process.cpu_share <= 1 or process.rss_bytes < 0 or process.write_bytes_per_s < 0:
        raise BadProcess(
            f"The cost asked of {name} is out of range.",
            remedy="cpu_share is 0 to 1 core; bytes are not negative.",
        )


def _size_bytes(text: str) -> int | None:
    """Length in UTF-8; None for what cannot be an argument."""
    try:
        return None if "\0" in text else len(text.encode())
    except UnicodeEncodeError:
        return None


def _drawn(dice: Dice, templates: Sequence[Template]) -> Template:
    at = dice.whole(1, sum(template.weight for template in templates))
    for template in templates:
        at -= template.weight
        if at <= 0:
            return template
    raise AssertionError("the weights add up")


def _process(dice: Dice, template: Template, n: int) -> ProcessPlan:
    words = {
        "{n}": str(n),
        "{id}": dice.hexadecimal(12),
        "{port}": str(dice.whole(32_768, 60_999)),
        "{pid}": str(dice.whole(1_000, 4_000_000)),
    }
    # Two of a kind are never alike: between half and one and a half of what is usual.
    vary = dice.between(0.5, 1.5)
    return ProcessPlan(
        name=template.name,
        argv=tuple(_filled(part, words) for part in template.argv),
        cpu_share=round(template.cpu * vary / 1_000, 6),
        rss_bytes=round(template.memory * vary * _MB),
        write_bytes_per_s=round(template.write_kb_s * vary * 1_000),
    )


def _filled(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _within_budget(processes: list[ProcessPlan]) -> tuple[ProcessPlan, ...]:
    """The same processes, all scaled alike where together they would cost too much."""
    cpu = sum(process.cpu_share for process in processes)
    memory = sum(process.rss_bytes for process in processes)
    less_cpu = min(1.0, CPU_BUDGET / cpu)
    less_memory = min(1.0, MEMORY_BUDGET_BYTES / memory)
    return tuple(
        replace(
            process,
            cpu_share=round(process.cpu_share * less_cpu, 6),
            rss_bytes=int(process.rss_bytes * less_memory),
        )
        for process in processes
    )


def _births(dice: Dice, rate: tuple[int, int]) -> tuple[Birth, ...]:
    """One minute of births, ascending: `rate` (from, to) in each second, anywhere within it."""
    births = []
    for second in range(_CYCLE_S):
        moments = sorted(dice.share() for _ in range(dice.whole(*rate)))
        births += [
            Birth(
                at_s=round(second + moment * 0.999, 3),
                lifetime_s=round(dice.between(*_LIFETIME_S), 3),
                process=_process(dice, _drawn(dice, BRIEF), second),
            )
            for moment in moments
        ]
    return tuple(births)
