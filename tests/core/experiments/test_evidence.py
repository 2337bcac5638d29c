"""Which ticks count, what they add up to, and that nothing is lost in storage."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from phoenix.base.canonical import canonical_bytes
from phoenix.experiments.errors import EvidenceTampered
from phoenix.experiments.evidence import BLOCKS_MAX, SILENT, Evidence, Interval
from phoenix.testing.evidence import (
    START,
    Reading,
    arm,
    folded,
    healthy,
    missing,
    sampled,
    spec,
    tick,
)


def alive(member: str = "candidate") -> Interval:
    return Interval(member=member, state="alive", start=START)


def test_warm_up_ticks_are_not_evidence() -> None:
    evidence = folded(tick(n) for n in range(5))
    assert (evidence.warmup_ticks, evidence.ticks) == (2, 3)
    assert evidence.series.baseline == 3000


def test_a_tick_counts_once_and_late_ones_not_at_all() -> None:
    evidence = folded(tick(n) for n in (0, 1, 2, 2, 1, 3))
    assert (evidence.ticks, evidence.seen) == (2, 4)


def test_what_the_meter_excludes_is_counted_with_its_reason() -> None:
    ticks = [tick(0), tick(1), tick(2, excluded="stale"), tick(3, excluded="stale"), tick(4)]
    evidence = folded(ticks)
    assert evidence.excluded == {"stale": 2}
    assert evidence.ticks == 1


@pytest.mark.parametrize("state", ["paused", "reloading"])
@pytest.mark.parametrize("member", ["scraper", "baseline", "candidate"])
def test_a_pause_or_reload_is_excluded_even_with_an_arm_missing(state: str, member: str) -> None:
    interval = Interval(
        member=member,
        state=state,
        start=START + timedelta(seconds=3),
        end=START + timedelta(seconds=5),
    )
    ticks = [tick(n, candidate=None if n in (3, 4) else arm(150)) for n in range(7)]
    evidence = folded(ticks, intervals=[alive(), interval])
    assert evidence.excluded == {state: 2}
    assert evidence.unpaired_longest == 0
    assert evidence.ticks == 3


def test_an_arm_that_is_alive_and_silent_is_paired_with_nothing() -> None:
    gone = [tick(n, candidate=None, critical_candidate=0) for n in (2, 3)]
    evidence = folded([tick(0), tick(1), *gone], intervals=[alive()])
    assert (evidence.ticks, evidence.silent_ticks, evidence.excluded) == (2, 2, {})
    assert evidence.series.candidate == 0
    assert (evidence.missing_now, evidence.missing_run) == ((SILENT,), 2)
    assert evidence.critical_shown.candidate == 0
    assert evidence.recall_cpu.value == 0.0


def test_a_silent_arm_as_the_meter_reports_it_counts_the_same() -> None:
    empty = arm(0, levels={}, increments={}, processes=0)
    names = ("a[1]", "b[2]", "c[3]")
    silent = tick(2, candidate=empty, critical_candidate=0, missing=names, recall_cpu=None)
    evidence = folded([tick(0), tick(1), silent])
    assert (evidence.ticks, evidence.silent_ticks) == (1, 1)
    assert evidence.missing_now == names
    assert evidence.recall_cpu.value == 0.0
    assert evidence.extra_delay_ms.value is None


def test_a_dead_arm_makes_unpaired_ticks_and_the_longest_run_is_kept() -> None:
    ticks = [tick(n) for n in range(9)]
    for n in (4, 5, 7):
        ticks[n] = replace(ticks[n], candidate=None, excluded="unpaired:candidate")
    evidence = folded(ticks)
    assert evidence.excluded == {"unpaired: no candidate": 3}
    assert (evidence.unpaired_longest, evidence.unpaired_arm) == (2, "candidate")
    assert evidence.unpaired_in_a_row == 0


def test_without_a_scraper_there_is_no_scrape_to_miss() -> None:
    """The end of an agent ends all its collectors at once."""
    ticks = [tick(n) for n in range(15)]
    for n in range(4, 10):
        ticks[n] = replace(ticks[n], baseline=None, candidate=None, excluded="unpaired:baseline")
    away = [
        Interval(member=member, state="down", start=ticks[4].at, end=ticks[10].at)
        for member in ("scraper", "baseline", "candidate")
    ]
    evidence = folded(ticks, None, away)
    assert evidence.excluded == {"no scrape": 6}
    assert evidence.unpaired_longest == 0
    assert folded(ticks, None, away[1:]).unpaired_longest == 6, "the scraper was up: a real gap"


def test_nothing_is_unpaired_before_both_arms_reported_once() -> None:
    evidence = folded([tick(n, candidate=None) for n in range(6)])
    assert evidence.excluded == {"before both arms reported": 6}
    assert evidence.unpaired_longest == 0


def test_a_miss_that_lasts_is_one_onset() -> None:
    ticks = [tick(n) for n in range(4)] + [missing(n, "nginx[7]") for n in range(4, 7)] + [tick(7)]
    evidence = folded(ticks)
    assert (evidence.onsets, evidence.ticks_with_miss, evidence.missing_longest) == (1, 3, 3)
    assert evidence.at_risk_ticks == 3  # two clean ones before, and the one in which it began
    assert evidence.lost_by_candidate_alone == 1
    assert evidence.lost == {"nginx[7]": 3}


def test_what_only_the_candidate_shows_speaks_for_it() -> None:
    evidence = folded([tick(0), tick(1), tick(2), tick(3, critical_candidate=4), tick(4)])
    assert evidence.lost_by_baseline_alone == 1
    assert evidence.lost_by_candidate_alone == 0


def test_totals_are_compared_only_where_both_arms_have_a_previous_tick() -> None:
    ticks = [tick(0), tick(1), tick(2, candidate=arm(150, increments=None)), tick(3)]
    totals = folded(ticks).totals
    assert totals["process.cpu.time"].baseline == 2.5
    assert totals["process.memory.usage"].baseline == 2e9
    assert "process.disk.io" not in totals


def test_counters_that_restart_do_not_run_backwards() -> None:
    evidence = folded(tick(n) for n in range(10))
    cpu = (0.0, 5.0, 7.0, 1.0)  # 1 s into the evidence, then a restart
    failed = (0, 10, 12, 3)
    readings = [
        Reading(
            member="candidate",
            at=START + timedelta(seconds=1 + n),
            cpu_s=cpu[n],
            exporter_failed_points=failed[n],
        )
        for n in range(4)
    ]
    use = evidence.with_samples(readings).use["candidate"]
    assert (use.cpu_s, use.seconds, use.failed_points, use.failed_intervals) == (8.0, 3.0, 15, 3)


def test_samples_from_before_the_evidence_only_set_the_starting_point() -> None:
    before = [Reading(member="candidate", at=START, cpu_s=100.0, rss_bytes=2**40)]
    evidence = Evidence().with_samples(before)
    assert evidence.use["candidate"].rss_max_bytes is None
    evidence = folded(tick(n) for n in range(4)).with_samples(before)
    after = evidence.with_samples([Reading(member="candidate", at=START + timedelta(seconds=3))])
    assert after.use["candidate"].samples == 1


def test_evidence_ends_with_the_last_tick_of_the_specification() -> None:
    exactly, more = (folded(tick(n) for n in range(count)) for count in (152, 170))
    assert more == exactly
    assert more.ticks == spec().evidence_ticks_max


def test_blocks_are_merged_and_add_up_to_every_series() -> None:
    generator = random.Random(5)
    count = BLOCKS_MAX * 3
    ticks = [tick(n, baseline=arm(generator.randrange(900, 1100))) for n in range(count + 2)]
    evidence = folded(ticks, spec(claim="long_run", evidence_ticks_max=count))
    assert evidence.block_ticks == 4
    assert len(evidence.blocks) < BLOCKS_MAX
    assert sum(a for a, _ in evidence.blocks) + evidence.open_block[1] == evidence.series.baseline
    assert len(evidence.blocks) * 4 + evidence.open_block[0] == count


def test_evidence_survives_its_plain_form_to_the_last_bit() -> None:
    ticks = [tick(n, recall_cpu=1 / 3, candidate=arm(150 + n)) for n in range(30)]
    evidence = sampled(folded([*ticks, missing(30, "nginx[7]")]))
    data = canonical_bytes(evidence.to_dict())
    again = Evidence.from_dict(json.loads(data))
    assert again == evidence
    assert canonical_bytes(again.to_dict()) == data


@pytest.mark.parametrize("damage", [{"colour": 1}, {"series": {"baseline": "x"}}, {"blocks": [1]}])
def test_damaged_evidence_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(EvidenceTampered):
        Evidence.from_dict({**healthy(5).to_dict(), **damage})
