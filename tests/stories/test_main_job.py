"""The main job: a candidate beside the baseline on the same scrape, and the right word about it."""

from __future__ import annotations

from typing import Any

import pytest

from phoenix.host import proc
from phoenix.processes import state
from phoenix.testing.machine import COLLECTORS, Machine, wait_until

pytestmark = [pytest.mark.database, pytest.mark.collector]

#: Ticks in a row with a lost critical process that abort (Criteria.critical_missing_ticks_max).
MISSING_TICKS_MAX = 5


def assert_nothing_is_left(machine: Machine, experiment_id: str) -> None:
    """No process, no secret, no configuration; the row says so."""
    said = machine.rows
    wait_until(
        lambda: (
            said("SELECT status ->> 'phase' AS phase FROM shadows WHERE experiment_id = %(id)s",
                 experiment_id)[0]["phase"] == "stopped"
        ),
        20,
        machine.words,
    )  # fmt: skip
    assert machine.collectors(experiment_id) == {}
    running = state.read(machine.data_dir)
    assert running is not None
    parts = {member.pid for member in running.members} | {running.pid}
    postgres = {m.pid for m in running.members if m.name == "postgres"}
    left = {p: c for p, c in machine.processes().items() if p not in parts}
    ledger = {m.pid for m in running.members if m.name == "ledger"}  # it owns its signer
    left = {p: c for p, c in left.items() if not c.startswith("postgres:") and p not in postgres}
    assert {p: c for p, c in left.items() if proc.parent(p) not in ledger} == {}
    assert not (machine.data_dir / "run" / experiment_id).exists()
    row = said("SELECT wanted, spec FROM shadows WHERE experiment_id = %(id)s", experiment_id)[0]
    assert row["wanted"] == "stop"
    assert not {key for key in row["spec"] if "token" in key}


def last_look(machine: Machine, experiment_id: str) -> dict[str, Any]:
    found = machine.rows(
        "SELECT * FROM experiment_looks WHERE experiment_id = %(id)s ORDER BY number DESC LIMIT 1",
        experiment_id,
    )
    return found[0]


def test_a_good_candidate_is_adopted(running: Machine) -> None:
    made = running.start()
    running.until(made, lambda e: e["state"] == "running")
    assert set(running.collectors(made)) == set(COLLECTORS)
    assert len(running.processes()) > 50, "the load is seen, so its absence can be"
    found = running.until_final(made)
    assert found["state"] == "completed", found["error_message"]
    verdict = found["verdict"]
    assert verdict["outcome"] == "adopt_candidate", verdict
    assert verdict["scope"] == "window"
    assert verdict["aborted"] is False
    look = last_look(running, made)
    assert look["outcome"] == "adopt_candidate"
    assert look["statistics"]["ticks"] <= 25
    assert look["statistics"]["ticks_with_miss"] == 0
    assert_nothing_is_left(running, made)


def test_a_candidate_that_hides_a_critical_process_is_aborted_in_time(running: Machine) -> None:
    made = running.start(candidate="process-broken-demo-v1")
    found = running.until_final(made)
    assert found["state"] == "completed", found["error_message"]
    verdict = found["verdict"]
    assert verdict["outcome"] == "keep_baseline", verdict
    assert verdict["aborted"] is True
    assert "nginx" in verdict["sentence"]
    seen = last_look(running, made)["statistics"]
    assert MISSING_TICKS_MAX <= seen["missing_longest"] <= MISSING_TICKS_MAX + 2
    assert any(name.startswith("nginx") for name in seen["missing_longest_names"])
    assert seen["ticks"] <= MISSING_TICKS_MAX + 2
    assert_nothing_is_left(running, made)


def test_the_baseline_against_itself_is_not_adopted(running: Machine) -> None:
    made = running.start(candidate="process-baseline-v1")
    found = running.until_final(made)
    assert found["state"] == "completed", found["error_message"]
    verdict = found["verdict"]
    assert verdict["outcome"] == "keep_baseline", verdict
    assert verdict["aborted"] is False
    seen = last_look(running, made)["statistics"]
    assert seen["ticks_with_miss"] == 0
    assert seen["series"]["baseline"] == seen["series"]["candidate"]
    assert_nothing_is_left(running, made)
