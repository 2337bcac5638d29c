"""The stop rule on a whole machine: what ends a candidate, what brings it back, what does not."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest

from phoenix.safety import file
from phoenix.testing.machine import STOPS_WITHIN_S, Machine, gone, wait_until

pytestmark = [pytest.mark.database, pytest.mark.collector]

REFUSED = 6


@pytest.fixture(scope="module")
def experiment(running: Machine) -> str:
    """A long experiment whose candidate is at work."""
    made = running.start("--evidence", "300", "--coverage-margin", "0.02")
    running.until(made, lambda e: e["state"] == "running" and bool(e["live"].get("ticks")))
    return made


def until_candidate(machine: Machine, experiment: str, beside: int) -> int:
    """Until the candidate runs again, as another process, and is evidence again."""
    wait_until(
        lambda: machine.collectors(experiment).get("candidate") not in (None, beside),
        30,
        machine.words,
    )
    machine.until_ticks(experiment)
    return machine.collectors(experiment)["candidate"]


def assert_ends(machine: Machine, pid: int) -> None:
    wait_until(lambda: gone(pid), STOPS_WITHIN_S, machine.words)


def assert_stays_away(machine: Machine, experiment: str, seconds: float = 3) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert "candidate" not in machine.collectors(experiment)
        time.sleep(0.2)


def assert_new_work_is_refused(machine: Machine) -> None:
    refused = machine.phoenix(
        "experiment", "run", "--no-follow", "--candidate", "process-slim-v1", code=REFUSED
    )
    said = " ".join(refused.stderr.split())
    assert "stopped by" in said
    assert "phoenix revive --reason" in said, "what to do about it"


def assert_only_paused(machine: Machine, experiment: str, before: dict[str, Any]) -> None:
    """The gap is left out as paused, and nothing of it counts against an arm."""
    after = machine.show(experiment)["live"]
    assert after["excluded"]["paused"] > before["excluded"].get("paused", 0)
    assert after["missing"] == []
    unpaired = {why: n for why, n in after["excluded"].items() if "unpaired" in why}
    assert unpaired == {why: n for why, n in before["excluded"].items() if "unpaired" in why}


def kill_in_force(machine: Machine) -> bool:
    kept = file.read(machine.data_dir)
    return kept is not None and kept.state.killed


def test_a_kill_ends_the_candidate_alone_and_a_revive_brings_it_back(
    running: Machine, experiment: str
) -> None:
    before = running.show(experiment)["live"]
    pids = running.collectors(experiment)
    running.phoenix("kill", "--reason", "a drill")
    assert_ends(running, pids["candidate"])
    assert_new_work_is_refused(running)
    assert_stays_away(running, experiment)
    others = {name: pid for name, pid in pids.items() if name != "candidate"}
    assert running.collectors(experiment) == others, "they harm nobody and keep the comparison"
    running.phoenix("revive", "--reason", "the drill is over")
    until_candidate(running, experiment, beside=pids["candidate"])
    assert_only_paused(running, experiment, before)


def test_without_the_database_a_candidate_ends_by_itself_and_comes_back_with_it(
    running: Machine, experiment: str
) -> None:
    before = running.show(experiment)["live"]
    pids = running.collectors(experiment)
    with running.database_frozen():
        assert_ends(running, pids["candidate"])
        assert_stays_away(running, experiment, seconds=6)
        others = {name: pid for name, pid in pids.items() if name != "candidate"}
        assert running.collectors(experiment) == others
    until_candidate(running, experiment, beside=pids["candidate"])
    assert_only_paused(running, experiment, before)


def test_a_kill_that_the_frozen_database_cannot_be_told_of_holds_and_is_told_later(
    running: Machine, experiment: str
) -> None:
    candidate = running.collectors(experiment)["candidate"]
    with running.database_frozen():
        killing = subprocess.Popen(
            running.command("kill", "--reason", "the database hangs"),
            env=running.environment(),
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: kill_in_force(running), 20, running.words)
        assert_ends(running, candidate)
        assert killing.wait(timeout=30) == 0, "it says what it could do, and does not wait for ever"
    wait_until(
        lambda: running.rows("SELECT killed FROM kill_state", experiment)[0]["killed"],
        20,
        running.words,
    )
    assert_stays_away(running, experiment)
    assert_new_work_is_refused(running)
    running.phoenix("revive", "--reason", "the database is back")
    until_candidate(running, experiment, beside=candidate)


def test_a_kill_beside_a_killed_database_holds_through_a_restart_of_everything(
    running: Machine, experiment: str
) -> None:
    candidate = running.collectors(experiment)["candidate"]
    server = running.sigkill("postgres")
    running.phoenix("kill", "--reason", "the database is gone")
    assert_ends(running, candidate)
    running.until_restarted("postgres", server)
    running.phoenix("down")
    assert running.processes() == {}
    running.phoenix("up")
    wait_until(lambda: "baseline" in running.collectors(experiment), 30, running.words)
    assert_stays_away(running, experiment, seconds=4)
    assert kill_in_force(running)
    assert_new_work_is_refused(running)
    running.phoenix("revive", "--reason", "looked at")
    until_candidate(running, experiment, beside=candidate)
    running.phoenix("experiment", "stop", experiment)
    wait_until(lambda: running.collectors(experiment) == {}, 15, running.words)
