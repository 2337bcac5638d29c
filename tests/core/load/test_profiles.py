"""A profile, a seed and a count always make the same load, within its budgets."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoenix.base.errors import PhoenixError
from phoenix.load.dice import Dice
from phoenix.load.errors import BadProcess, CountOutOfRange, SeedOutOfRange, UnknownProfile
from phoenix.load.files import plan_bytes
from phoenix.load.model import ProcessPlan
from phoenix.load.profiles import (
    CPU_BUDGET,
    MEMORY_BUDGET_BYTES,
    PROFILES,
    plan,
    profile,
    with_processes,
)

NAMES = [each.name for each in PROFILES]


def test_splitmix64_gives_the_published_sequence() -> None:
    # The sequence for seed 1234567 of Rosetta Code, "Pseudo-random numbers/Splitmix64".
    dice = Dice(1234567)
    assert [dice.bits64() for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(name: str) -> None:
    first = plan_bytes(plan(name, 7))
    assert plan_bytes(plan(name, 7)) == first
    assert plan_bytes(plan(name, 8)) != first
    assert json.loads(first)["profile"] == name


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 2**64 - 1), part=st.floats(0, 1))
def test_every_load_has_the_count_asked_for_and_stays_within_its_budgets(
    name: str, seed: int, part: float
) -> None:
    kind = profile(name)
    count = kind.minimum + round(part * (kind.maximum - kind.minimum))
    load = plan(name, seed, count)
    assert len(load.processes) == count
    assert load.cpu_share <= CPU_BUDGET + 1e-4
    assert load.rss_bytes <= MEMORY_BUDGET_BYTES


def test_a_realistic_load_has_the_servers_that_people_watch_and_few_that_are_busy() -> None:
    load = plan("realistic")
    names = [process.name for process in load.processes]
    assert len(names) == 120
    assert {"nginx", "postgres", "redis-server", "java", "chrome", "bash", "cron"} <= set(names)
    busy = [process for process in load.processes if process.cpu_share > 0.005]
    assert 1 <= len(busy) <= 12
    assert names.count("nginx") > 1


def test_in_a_high_cardinality_load_no_two_command_lines_are_alike() -> None:
    load = plan("high-cardinality", 3, 2_000)
    assert len({process.argv for process in load.processes}) == 2_000


def test_a_high_churn_load_has_20_to_30_births_in_every_second_and_lives_of_half_to_ten() -> None:
    load = plan("high-churn", 5)
    seconds = [int(birth.at_s) for birth in load.births]
    assert seconds == sorted(seconds)
    assert load.cycle_s == 60
    assert all(20 <= seconds.count(second) <= 30 for second in range(60))
    assert all(0.5 <= birth.lifetime_s <= 10 for birth in load.births)
    assert len(load.processes) == 40


def test_the_default_load_has_not_changed_unnoticed() -> None:
    digest = hashlib.sha256(plan_bytes(plan("realistic", 1))).hexdigest()
    assert digest == "0491a291cea7dbf581fc71ca739b8453ca87a61bec76074b0905019750262acb"


@pytest.mark.parametrize(
    ("arguments", "refusal", "advice"),
    [
        (("realistc",), UnknownProfile, "realistic, high-cardinality, high-churn"),
        (("realistic", 1, 49), CountOutOfRange, "50 to 200"),
        (("high-cardinality", 1, 2_001), CountOutOfRange, "1,000 to 2,000"),
        (("realistic", -1), SeedOutOfRange, "0 to 2**64"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_what_can(
    arguments: tuple[str, int, int], refusal: type[PhoenixError], advice: str
) -> None:
    with pytest.raises(refusal) as refused:
        plan(*arguments)
    assert advice in (refused.value.remedy or "")


def test_a_misspelt_profile_is_told_the_nearest() -> None:
    with pytest.raises(UnknownProfile, match="Did you mean realistic"):
        plan("realistc")


def test_a_load_takes_processes_with_any_command_line() -> None:
    extra = ProcessPlan(name="backup", argv=("backup", "--to", "s3://bucket/ü x"))
    assert with_processes(plan("realistic"), [extra]).processes[-1] == extra


@pytest.mark.parametrize(
    "process",
    [
        ProcessPlan(name="../sh", argv=("sh",)),
        ProcessPlan(name="..", argv=("sh",)),
        ProcessPlan(name="", argv=("sh",)),
        ProcessPlan(name="x" * 256, argv=("sh",)),
        ProcessPlan(name="sh", argv=()),
        ProcessPlan(name="sh", argv=("a\0b",)),
        ProcessPlan(name="sh", argv=("\udc80",)),
        ProcessPlan(name="sh", argv=("x" * 131_072,)),
        ProcessPlan(name="sh", argv=("sh",), cpu_share=1.01),
        ProcessPlan(name="sh", argv=("sh",), rss_bytes=-1),
    ],
)
def test_a_process_that_no_kernel_would_start_is_refused(process: ProcessPlan) -> None:
    with pytest.raises(BadProcess) as refused:
        with_processes(plan("realistic"), [process])
    assert refused.value.remedy
