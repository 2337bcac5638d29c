"""What the API does for a program that speaks to it properly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from phoenix.api.app import create_app
from phoenix.settings import Settings
from phoenix.wiring import build

from .conftest import CREATE, PORTS, Door, open_door

EXPERIMENTS = "/api/v1/experiments"
PROBLEM = "application/problem+json"


def test_an_experiment_is_created_shown_listed_and_stopped(free: Door) -> None:
    made = free.ask("POST", EXPERIMENTS, json={**CREATE, "name": "the first"})
    found = made.json()
    assert made.status_code == 201
    assert made.headers["location"] == f"{EXPERIMENTS}/{found['id']}"
    assert (found["state"], found["phase"], found["notes"]) == ("pending", "validated", [])

    shown = free.ask("GET", made.headers["location"]).json()
    assert shown["spec"] == found["spec"]
    assert [step["to_state"] for step in shown["transitions"]] == ["pending"]
    listed = free.ask("GET", EXPERIMENTS, params={"state": "pending"}).json()
    assert [each["id"] for each in listed["items"]] == [found["id"]]

    stopped = free.ask("POST", f"{EXPERIMENTS}/{found['id']}/stop", json={"reason": "enough"})
    assert stopped.status_code == 200
    assert stopped.json()["state"] == "cancelled"
    assert stopped.json()["transitions"][-1]["reason"] == "enough"


def test_what_is_final_cannot_be_stopped_again(free: Door) -> None:
    path = f"{EXPERIMENTS}/{free.create()['id']}/stop"
    assert free.ask("POST", path, json={}).status_code == 200
    again = free.ask("POST", path, json={})
    assert (again.status_code, again.json()["code"]) == (409, "transition_refused")


def test_a_host_takes_part_in_one_experiment_at_a_time(free: Door) -> None:
    holder = free.create()["id"]
    second = free.ask("POST", EXPERIMENTS, json=CREATE)
    assert (second.status_code, second.json()["code"]) == (409, "host_busy")
    assert holder in second.json()["remedy"]


def test_a_name_is_given_once(free: Door) -> None:
    free.create(name="only one")
    free.cancel_all()
    second = free.ask("POST", EXPERIMENTS, json={**CREATE, "name": "only one"})
    assert (second.status_code, second.json()["code"]) == (409, "name_taken")


def test_pages_are_disjoint_and_complete(free: Door) -> None:
    made = []
    for _ in range(3):
        made.append(free.create()["id"])
        free.cancel_all()
    pages = [free.ask("GET", EXPERIMENTS, params={"page": n, "per_page": 2}).json() for n in (1, 2)]
    ids = [each["id"] for page in pages for each in page["items"]]
    assert len(set(ids)) == len(ids)
    assert ids[:3] == made[::-1]
    assert pages[0]["total"] == pages[1]["total"] >= 3


def test_events_tell_every_change_and_end_with_the_experiment(free: Door) -> None:
    made = free.create()["id"]
    free.ask("POST", f"{EXPERIMENTS}/{made}/stop", json={})
    answer = free.ask("GET", f"{EXPERIMENTS}/{made}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [line for line in answer.text.splitlines() if line.startswith("event:")]
    assert told == ["event: experiment", "event: end"]


def test_an_experiment_without_ticks_has_no_metrics_and_no_report(free: Door) -> None:
    made = free.create()["id"]
    assert free.ask("GET", f"{EXPERIMENTS}/{made}/metrics").json()["ticks"] == []
    report = free.ask("GET", f"{EXPERIMENTS}/{made}/report")
    assert (report.status_code, report.json()["code"]) == (409, "conflict")


def test_lost_totals_are_required_unless_they_are_allowed(free: Door) -> None:
    lossy: dict[str, Any] = {"candidate": {"pipeline": "process-priority-filter-v1"}}
    made = free.create(**lossy)
    assert made["spec"]["criteria"]["conservation_tolerance"] == 0.01
    assert any("--allow-lost-totals" in note for note in made["notes"])
    free.cancel_all()
    allowed = free.create(**lossy, allow_lost_totals=True)
    assert allowed["spec"]["criteria"]["conservation_tolerance"] is None
    assert allowed["notes"] == []


def test_attempts_at_one_change_share_its_error_budget(free: Door) -> None:
    change = {"candidate": {"pipeline": "process-slim-v1"}, "profile": "standard"}
    attempts = []
    for _ in range(2):
        made = free.create(**change)
        attempts.append(made["spec"]["attempt"])
        free.begin(made["id"])
        free.cancel_all()
    unstarted = free.create(**change)
    free.cancel_all()
    after_it = free.create(**change)
    assert attempts == [1, 2]
    assert (unstarted["spec"]["attempt"], after_it["spec"]["attempt"]) == (3, 3)
    assert any("attempt 3" in note for note in after_it["notes"])
    free.cancel_all()
    assert free.create(candidate=change["candidate"])["spec"]["attempt"] == 1, (
        "a window is no claim"
    )


def test_the_same_key_and_body_give_the_same_answer_and_one_experiment(free: Door) -> None:
    headers = {"Idempotency-Key": "4c1d-1"}
    first = free.ask("POST", EXPERIMENTS, json=CREATE, headers=headers)
    free.cancel_all()
    before = free.census()
    again = free.ask("POST", EXPERIMENTS, json=CREATE, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert free.census() == before


def test_a_key_is_not_spent_by_a_refusal(free: Door) -> None:
    headers = {"Idempotency-Key": "4c1d-2"}
    holder = free.create()
    assert free.ask("POST", EXPERIMENTS, json=CREATE, headers=headers).status_code == 409
    free.ask("POST", f"{EXPERIMENTS}/{holder['id']}/stop", json={})
    assert free.ask("POST", EXPERIMENTS, json=CREATE, headers=headers).status_code == 201


def test_a_key_is_refused_for_another_body(free: Door) -> None:
    headers = {"Idempotency-Key": "4c1d-3"}
    assert free.ask("POST", EXPERIMENTS, json=CREATE, headers=headers).status_code == 201
    free.cancel_all()
    other = free.ask("POST", EXPERIMENTS, json={**CREATE, "redact": False}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")


def test_one_key_sent_at_once_makes_one_experiment(free: Door) -> None:
    headers = {"Idempotency-Key": "4c1d-4"}

    async def at_once() -> list[Any]:
        asked = [free.client.post(EXPERIMENTS, json=CREATE, headers=headers) for _ in range(6)]
        return list(await asyncio.gather(*asked))

    answers = free.loop.run(at_once())
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize("key", ["", "two words", "a" * 256, "é", "tab\there"])
def test_a_key_is_visible_ascii(free: Door, key: str) -> None:
    header = [(b"Idempotency-Key", key.encode("utf-8"))]
    answer = free.ask("POST", EXPERIMENTS, json=CREATE, headers=header)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")


def test_two_keys_are_refused(free: Door) -> None:
    answer = free.ask(
        "POST",
        EXPERIMENTS,
        json=CREATE,
        headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_twice")


def test_nothing_starts_while_a_kill_is_in_force(free: Door) -> None:
    free.services.safety.kill(actor="sre", reason="drill", scope="all")
    try:
        free.loop.run(free.services.safety.reconcile())
        before = free.census()
        answer = free.ask("POST", EXPERIMENTS, json=CREATE)
        assert (answer.status_code, answer.json()["code"]) == (503, "killed")
        assert "drill" in answer.json()["detail"]
        assert "phoenix revive" in answer.json()["remedy"]
        assert int(answer.headers["retry-after"]) >= 1
        assert free.census() == before
        assert free.ask("GET", "/ready").json()["kill"] == "in force"
    finally:
        free.loop.run(free.services.safety.revive(actor="sre", reason="over"))
    free.create()


def test_refusals_are_in_the_ledger_without_what_was_sent(free: Door) -> None:
    secret = "hunter2-in-a-name"
    free.ask("POST", EXPERIMENTS, json={**CREATE, "candidate": {"pipeline": secret}})
    free.create()
    free.ask("POST", EXPERIMENTS, json=CREATE)
    refused = [each for each in free.entries() if each["outcome"] == "refused"][-2:]
    assert [each["reason"] for each in refused] == ["unknown_pipeline", "host_busy"]
    assert all(each["action"] == "experiment.create" for each in refused)
    assert secret not in str(free.entries())


def test_without_its_database_every_route_says_when_to_come_back(tmp_path: Path) -> None:
    with asyncio.Runner() as loop:
        away = open_door(loop, "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1", tmp_path)
        away.services.database._pool.timeout = 0.2
        for method, path, body in [
            ("GET", EXPERIMENTS, None),
            ("POST", EXPERIMENTS, CREATE),
            ("GET", f"{EXPERIMENTS}/exp-abc12345", None),
            ("POST", f"{EXPERIMENTS}/exp-abc12345/stop", {}),
            ("GET", f"{EXPERIMENTS}/exp-abc12345/events", None),
        ]:
            answer = away.ask(method, path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert "nobody" not in answer.text, "no part of the database's address"
        ready = away.ask("GET", "/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert away.ask("GET", "/health").status_code == 200
        loop.run(away.services.database.close())


def test_the_schema_names_every_field_that_can_be_sent(door: Door) -> None:
    schema = door.ask("GET", "/openapi.json").json()
    body = schema["paths"][EXPERIMENTS]["post"]["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["properties"]) >= {"baseline", "candidate", "allow_lost_totals"}
    assert "$ref" not in str(body)


def test_a_mistake_of_ours_is_told_without_its_traceback(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, database_url="postgresql://", ports=PORTS, log_level="warning"
    )
    app = create_app(build(settings))

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("a secret detail")

    import httpx

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/broken")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["content-type"] == PROBLEM
    assert "secret" not in answer.text and "Traceback" not in answer.text
