"""Checking rules and dashboards over the API and on the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from phoenix.cli.client import Client
from phoenix.measurement import store as meter_store
from phoenix.measurement.emitted import Catalogue
from phoenix.measurement.model import ARMS, Subscription
from phoenix.storage.database import Database
from phoenix.testing.arms import ALL, alert
from phoenix.testing.command import Phoenix, in_this_process

pytestmark = pytest.mark.database

NGINX, ETCD, *_ = ALL
MEM = "process_memory_usage_bytes"
RULES = f"""
groups:
- name: g
  rules:
  - alert: EtcdHungry
    expr: {MEM}{{process_executable_name="etcd"}} > 1e9
  - alert: NginxHungry
    expr: {MEM}{{process_executable_name="nginx"}} > 1e9
"""
BOARD = {"title": "B", "panels": [{"title": "P", "targets": [{"expr": f"sum({MEM})"}]}]}
CREATE = {
    "baseline": {"pipeline": "process-baseline-v1"},
    "candidate": {"pipeline": "process-aggregated-v1"},
    "critical": ["nginx"],
}


@pytest.fixture
def phoenix(
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Phoenix:
    """Runs a command in this process against the real server, in 80 columns."""
    environment = {
        "PHOENIX_API_ENDPOINT": f"http://127.0.0.1:{port}",
        "PHOENIX_DATA_DIR": str(tmp_path / "data"),
        "COLUMNS": "80",
        "PHOENIX_OUTPUT_FORMAT": None,
    }
    return in_this_process(monkeypatch, capsys, environment)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with rules and a dashboard."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "boards").mkdir()
    (tmp_path / "rules/r.yaml").write_text(RULES)
    (tmp_path / "boards/b.json").write_text(json.dumps(BOARD))
    return tmp_path


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    """The API; whatever holds the host is stopped before and after."""
    made = Client(f"http://127.0.0.1:{port}")

    def stop() -> None:
        for found in made.call("GET", "/api/v1/experiments")["items"]:
            if found["completed_at"] is None:
                made.call("POST", f"/api/v1/experiments/{found['id']}/stop", json={})

    stop()
    yield made
    stop()


def measured(client: Client, url: str) -> str:
    """An experiment whose candidate lost everything but nginx."""
    made: str = client.call("POST", "/api/v1/experiments", json=CREATE)["id"]

    async def emit() -> None:
        database = Database(url)
        await database.open()
        async with database.transaction() as tx:
            await meter_store.insert_subscription(
                tx,
                Subscription(
                    experiment_id=made, interval_s=1.0, critical=(), states={},
                    token_sha256=dict.fromkeys(ARMS, "x"),
                    created_at=datetime(2026, 1, 1, tzinfo=UTC),
                ),
            )  # fmt: skip
            packed = {
                "baseline": Catalogue(ALL).packed(),
                "candidate": Catalogue((NGINX,)).packed(),
            }
            await meter_store.save_emitted(tx, made, packed)  # type: ignore[arg-type]
        await database.close()

    asyncio.run(emit())
    return made


def test_check_says_what_goes_silent_and_exits_11(
    phoenix: Phoenix, client: Client, database_url: str, files: Path
) -> None:
    made = measured(client, database_url)
    both = ("--rules", str(files / "rules"), "--dashboards", str(files / "boards"))
    said = phoenix("guard", "check", *both, made)
    assert said.code == 11, said.err
    assert "Of 3 queries 1 go silent (resolved, not evaluated)." in said.out
    assert "EtcdHungry" in said.out
    assert "NginxHungry" not in said.out, "what stays the same is not shown"
    assert "To lift 1 of 1: keep etcd by name." in said.out
    assert "NginxHungry" in phoenix("guard", "check", *both, made, "--all").out
    found = json.loads(phoenix("guard", "check", *both, made, "-o", "json").out)
    assert [f["answer"] for f in found["findings"]] == ["goes silent", "same", "answer changes"]
    assert found["method"] == "resolved, not evaluated"


def test_check_exits_0_when_everything_still_answers(
    phoenix: Phoenix, client: Client, database_url: str, files: Path
) -> None:
    made = measured(client, database_url)
    assert phoenix("guard", "check", "--dashboards", str(files / "boards"), made).code == 0


def test_names_are_those_of_the_backend_that_is_chosen(
    phoenix: Phoenix, client: Client, database_url: str, files: Path
) -> None:
    made = measured(client, database_url)
    rules = ("--rules", str(files / "rules"), "-o", "json")
    settings = ("--backend", "prometheus_otlp_utf8", "--backend", "external_labels=cluster:eu")
    found = json.loads(phoenix("guard", "check", *rules, *settings, made).out)
    assert found["counts"] == {"matches nothing today": 2}
    assert found["backend"]["external_labels"] == {"cluster": "eu"}


def test_suggestions_become_a_new_experiment(
    phoenix: Phoenix, client: Client, database_url: str, files: Path
) -> None:
    made = measured(client, database_url)
    client.call("POST", f"/api/v1/experiments/{made}/stop", json={})
    said = phoenix("guard", "check", "--rules", str(files / "rules"), made, "--apply-suggestions")
    assert said.code == 0, said.err
    [new] = [
        found["id"]
        for found in client.call("GET", "/api/v1/experiments")["items"]
        if found["completed_at"] is None
    ]
    assert f"{new} tries it" in said.err
    spec = client.call("GET", f"/api/v1/experiments/{new}")["spec"]
    assert [f"{rule['kind']}:{rule['value']}" for rule in spec["critical"]] == [
        "name:nginx",
        "name:etcd",
    ]
    assert spec["guard"]["queries"] == 2


def test_nothing_to_apply_starts_nothing(
    phoenix: Phoenix, client: Client, database_url: str, files: Path
) -> None:
    made = measured(client, database_url)
    boards = str(files / "boards")
    said = phoenix("guard", "check", "--dashboards", boards, made, "--apply-suggestions")
    assert said.code == 0
    assert "no new experiment: Nothing blocks." in said.err


def test_run_takes_rules_along(phoenix: Phoenix, client: Client, files: Path) -> None:
    said = phoenix(
        "experiment", "run", "--candidate", "process-aggregated-v1", "--critical", "nginx",
        "--rules", str(files / "rules"), "--no-follow", "-o", "json",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "note: critical because rules or dashboards name them: name:etcd" in said.err
    spec = json.loads(said.out)["spec"]
    assert spec["guard"]["queries"] == 2
    assert len(spec["guard"]["sha256"]) == 64


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("exp-abc12345",), 2, "What is to be checked?"),
        (("--rules", "{rules}", "exp-abc12345"), 4, "no experiment"),
        (("--rules", "{rules}/gone", "exp-abc12345"), 2, "There is no"),
        (("--rules", "{boards}", "exp-abc12345"), 2, "There are no rules"),
        (("--rules", "{rules}", "--backend", "graphite", "exp-abc12345"), 2, "no backend"),
        (("--rules", "{rules}", "--backend", "colour=red", "exp-abc12345"), 2, "no such setting"),
    ],
)
def test_what_cannot_be_checked_is_told_with_its_code(
    phoenix: Phoenix, client: Client, files: Path, arguments: tuple[str, ...], code: int, why: str
) -> None:
    filled = [a.format(rules=files / "rules", boards=files / "boards") for a in arguments]
    said = phoenix("guard", "check", *filled)
    assert said.code == code, said.err
    assert why in said.err


def test_experiment_that_has_measured_nothing_is_a_conflict(
    phoenix: Phoenix, client: Client, files: Path
) -> None:
    made = client.call("POST", "/api/v1/experiments", json=CREATE)["id"]
    said = phoenix("guard", "check", "--rules", str(files / "rules"), made)
    assert said.code == 5
    assert "nothing_emitted" in said.err


@pytest.mark.parametrize(
    "body",
    [
        {"queries": []},
        {"queries": [{"kind": "alert"}]},
        {"queries": [alert("x").to_dict()], "backend": {"name": "no"}},
        {"queries": [alert("x").to_dict()], "more": 1},
        {"queries": [{**alert("x").to_dict(), "labels": {"a": {}}}]},
    ],
)
def test_body_that_holds_no_queries_is_refused(port: int, body: dict[str, Any]) -> None:
    import httpx

    url = f"http://127.0.0.1:{port}/api/v1/experiments"
    answer = httpx.post(f"{url}/exp-abc12345/guard", json=body, trust_env=False)
    assert answer.status_code == 422, answer.text
    created = httpx.post(url, json={**CREATE, "guard": body}, trust_env=False)
    assert created.status_code == 422, created.text
