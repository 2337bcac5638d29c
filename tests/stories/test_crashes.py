"""Every part is killed while an experiment runs: what goes on, what is left out, what is gone."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from phoenix.processes import state
from phoenix.testing.machine import (
    COLLECTORS,
    STOPS_WITHIN_S,
    Machine,
    gone,
    wait_until,
)

pytestmark = [pytest.mark.database, pytest.mark.collector]


def excluded(machine: Machine, experiment: str) -> dict[str, int]:
    return dict(machine.show(experiment)["live"]["excluded"])


def last_look(machine: Machine, experiment: str) -> dict[str, Any]:
    found = machine.rows(
        "SELECT * FROM experiment_looks WHERE experiment_id = %(id)s ORDER BY number DESC LIMIT 1",
        experiment,
    )
    return found[0]


def assert_every_tick_is_accounted_for(machine: Machine, experiment: str) -> dict[str, int]:
    """Each closed tick is warm-up, evidence, or left out with a reason; returns the reasons."""
    look = last_look(machine, experiment)
    seen = look["statistics"]
    closed = machine.rows(
        "SELECT count(*) AS n FROM ticks WHERE experiment_id = %(id)s"
        f" AND tick <= {int(look['after_tick'])}",
        experiment,
    )
    left_out = dict(seen["excluded"])
    assert seen["warmup_ticks"] + seen["ticks"] + sum(left_out.values()) == closed[0]["n"]
    return left_out


def test_an_experiment_outlives_every_part_and_its_verdict_is_right(running: Machine) -> None:
    made = running.start("--evidence", "120", "--coverage-margin", "0.13")
    running.until(made, lambda e: e["state"] == "running" and bool(e["live"].get("ticks")))
    collectors = running.collectors(made)
    assert set(collectors) == set(COLLECTORS)

    for part in ("api", "controller"):
        running.until_restarted(part, running.sigkill(part))
        running.until_ticks(made, more=2)
        assert running.collectors(made) == collectors, "nothing ends with it"
        assert "paused" not in excluded(running, made)
        assert "meter_restarted" not in excluded(running, made)

    running.until_restarted("meter", running.sigkill("meter"))
    running.until_ticks(made, more=2)
    assert running.collectors(made) == collectors, "the arms keep their data and send it again"
    assert excluded(running, made)["meter_restarted"] >= 1

    running.until_restarted("postgres", running.sigkill("postgres"))
    running.until_ticks(made, more=2)
    assert running.collectors(made)["baseline"] == collectors["baseline"]
    assert running.collectors(made)["scraper"] == collectors["scraper"]

    found = running.until_final(made, within_s=180)
    assert found["state"] == "completed", found["error_message"]
    assert found["verdict"]["outcome"] == "adopt_candidate", found["verdict"]
    left_out = assert_every_tick_is_accounted_for(running, made)
    assert left_out["meter_restarted"] >= 1
    assert not [why for why in left_out if "unpaired" in why], left_out


def test_with_the_agent_its_collectors_and_its_load_end_and_the_experiment_goes_on(
    running: Machine,
) -> None:
    made = running.start("--evidence", "60", "--coverage-margin", "0.25")
    running.until(made, lambda e: e["state"] == "running" and bool(e["live"].get("ticks")))
    agent = running.part("agent").pid
    assert agent is not None
    family = running.descendants(agent)
    assert set(running.collectors(made).values()) <= family
    assert len(family) > 50, "the load is in it"
    running.sigkill("agent")
    wait_until(lambda: all(gone(pid) for pid in family), STOPS_WITHIN_S, running.words)
    running.until_restarted("agent", agent)
    wait_until(lambda: set(running.collectors(made)) == set(COLLECTORS), 40, running.words)
    found = running.until_final(made, within_s=180)
    assert found["state"] == "completed", found["error_message"]
    assert found["verdict"]["outcome"] == "adopt_candidate", found["verdict"]
    left_out = assert_every_tick_is_accounted_for(running, made)
    assert not [why for why in left_out if "unpaired" in why], left_out


def test_a_candidate_that_keeps_dying_is_aborted(running: Machine) -> None:
    made = running.start("--evidence", "200", "--coverage-margin", "0.03")
    running.until(made, lambda e: e["state"] == "running" and bool(e["live"].get("ticks")))
    died: set[int] = set()
    while len(died) < 4:
        wait_until(lambda: running.collectors(made).get("candidate", 0) not in {0, *died}, 20)
        died.add(running.collectors(made)["candidate"])
        os.kill(running.collectors(made)["candidate"], signal.SIGKILL)
    found = running.until_final(made, within_s=30)
    assert found["state"] == "completed", found["error_message"]
    assert found["verdict"]["outcome"] == "keep_baseline"
    assert found["verdict"]["aborted"] is True
    assert "ended by itself 4 times" in found["verdict"]["sentence"]


def test_with_the_supervisor_everything_ends_and_a_new_one_goes_on(running: Machine) -> None:
    made = running.start("--evidence", "200", "--coverage-margin", "0.03")
    running.until(made, lambda e: e["state"] == "running" and bool(e["live"].get("ticks")))
    before = state.read(running.data_dir)
    assert before is not None
    everything = running.processes()
    assert set(running.collectors(made).values()) <= set(everything)
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: running.processes() == {}, STOPS_WITHIN_S, lambda: str(running.processes()))
    running.phoenix("up")
    running.until_ticks(made, more=2)
    running.phoenix("experiment", "stop", made)
    assert running.until_final(made)["state"] == "cancelled"
    wait_until(lambda: running.collectors(made) == {}, 15, running.words)
