"""The command line as people and scripts meet it: help, answers, exit codes."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from phoenix.cli import main
from phoenix.testing.command import Phoenix, in_this_process
from phoenix.testing.report import document

CLONE = Path(__file__).parents[2]
CORPUS = CLONE / "tests/core/pipelines/corpus"


@pytest.fixture
def phoenix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Phoenix:
    """Runs a command in this process, with nothing set but a data folder and 80 columns."""
    unset = dict.fromkeys(("PHOENIX_API_ENDPOINT", "PHOENIX_OUTPUT_FORMAT", "DATABASE_URL"))
    environment = {**unset, "PHOENIX_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "80"}
    return in_this_process(monkeypatch, capsys, environment)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A data folder with the collector and the load program."""
    for part in ("collector", "load"):
        folder = tmp_path / "data" / part
        folder.mkdir(parents=True)
        for entry in (CLONE / ".phoenix" / part).iterdir():
            if entry.name != "lock":
                (folder / entry.name).symlink_to(entry.resolve())
    return tmp_path / "data"


@pytest.fixture
def served(phoenix: Phoenix, port: int, monkeypatch: pytest.MonkeyPatch) -> Phoenix:
    """The same beside a running API."""
    monkeypatch.setenv("PHOENIX_API_ENDPOINT", f"http://127.0.0.1:{port}")
    return phoenix


def commands() -> Iterator[tuple[str, Any]]:
    """Every command, from the tree itself."""
    import typer

    def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", {})
        for name, child in children.items():
            yield from walk(child, f"{path} {name}".strip())
        if not children:
            yield path, command

    yield from walk(typer.main.get_command(main.app), "")


COMMANDS = dict(commands())


# Help


def test_the_program_says_how_to_start_without_importing_half_the_world() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "phoenix", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "phoenix up" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert imported.isdisjoint({"numpy", "fastapi", "psycopg", "httpx", "ruamel.yaml", "scipy"})


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_shows_an_example_that_the_tree_knows(phoenix: Phoenix, path: str) -> None:
    said = phoenix(*path.split(), "--help")
    assert said.code == 0
    examples = re.findall(r"phoenix ((?:[a-z]+ ?)+)", said.out.partition("Example")[2])
    assert examples, "no example"
    assert any(each.strip().startswith(path) for each in examples)


def test_the_version_is_told(phoenix: Phoenix) -> None:
    assert re.fullmatch(r"phoenix \d+\.\d+\.\d+\n", phoenix("--version").out)


# Forms


@pytest.mark.parametrize("command", ["pipeline list", "pipeline show process-slim-v1", "load list"])
def test_answers_are_json_and_yaml_wherever_the_option_stands(
    phoenix: Phoenix, command: str
) -> None:
    before = json.loads(phoenix("-o", "json", *command.split()).out)
    behind = json.loads(phoenix(*command.split(), "-o", "json").out)
    yaml = YAML(typ="safe").load(phoenix(*command.split(), "--output=yaml").out)
    assert before == behind == yaml


def test_the_list_of_pipelines_fits_a_terminal_of_80_columns(phoenix: Phoenix) -> None:
    lines = phoenix("pipeline", "list").out.splitlines()
    assert max(len(line) for line in lines) <= 80
    names = [each["name"] for each in json.loads(phoenix("pipeline", "list", "-o", "json").out)]
    shown = [line.split()[0] for line in lines if line.startswith(" process-")]
    assert shown == names, "a name is on one line, whole"
    assert len(lines) < 3 * len(names)


def test_the_answer_is_on_standard_output_and_the_complaint_is_not(phoenix: Phoenix) -> None:
    good, bad = phoenix("pipeline", "list"), phoenix("pipeline", "show", "process-slim-v2")
    assert good.out and not good.err
    assert bad.err and not bad.out
    assert "process-slim-v1" in bad.err, "it names what is near"
    assert "[unknown_pipeline]" in bad.err


def test_a_terminal_does_not_obey_what_a_complaint_quotes(phoenix: Phoenix) -> None:
    said = phoenix("pipeline", "show", "\x1b[2J[bold]x")
    assert "\x1b" not in said.err
    assert "[bold]x" in said.err


# Exit codes without a server


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("pipeline shw", 2),
        ("pipeline list --bogus", 2),
        ("-o xml pipeline list", 2),
        ("pipeline show", 2),
        ("pipeline show nothing-v1", 4),
        (f"pipeline show {'x' * 5000}", 4),
        ("pipeline render process-slim-v1 --set bogus=1", 2),
        ("pipeline render process-slim-v1 --set novalue", 2),
        ("pipeline render process-aggregated-v1 --set max_staleness=soon", 2),
        ("pipeline render process-aggregated-v1 --set max_staleness=[", 2),
        ("pipeline render process-slim-v1 --interval nan", 2),
        ("pipeline render process-slim-v1 --interval -1", 2),
        ("pipeline render process-slim-v1 --critical regex:(", 2),
        ("pipeline render process-slim-v1 --critical path:relative", 2),
        ("pipeline lint missing.yaml", 2),
        ("pipeline lint /proc/self/mem", 2),
        ("pipeline diff process-slim-v1 missing.yaml", 2),
        ("load start --profile nice", 4),
        ("load start --count 0", 2),
        ("load stop", 4),
        ("experiment list", 6),
        ("experiment show exp-abc12345", 6),
        ("experiment run --candidate process-slim-v1", 6),
        ("experiment run --candidate missing.yaml", 2),
        ("experiment stop exp-abc12345", 6),
        ("experiment report", 2),
        ("experiment report --from missing.json", 4),
        ("status", 6),
        ("serve nothing", 4),
        ("serve api", 6),
        ("kill", 2),
        ("revive --reason x", 6),
        ("demo --load nice", 2),
        ("demo --candidate nothing-v1", 4),
    ],
    ids=lambda each: str(each)[:50],
)
def test_a_refusal_has_the_exit_code_of_its_category(
    phoenix: Phoenix, command: str, code: int
) -> None:
    said = phoenix(*command.split())
    assert said.code == code, said.err
    assert said.err.strip()
    assert "Traceback" not in said.err


@pytest.mark.parametrize("command", ["experiment list", "experiment show exp-abc12345", "status"])
def test_without_a_server_the_answer_is_how_to_start_one(phoenix: Phoenix, command: str) -> None:
    assert "phoenix up" in phoenix(*command.split()).err


def test_a_reason_that_is_no_text_does_not_stop_a_kill(phoenix: Phoenix) -> None:
    said = phoenix("kill", "--reason", "caf\udce9 \x1b[2J", "-o", "json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["killed"] is True


@pytest.mark.parametrize("variable", ["PHOENIX_API_PORT", "PHOENIX_METER_PORT"])
def test_a_port_that_was_asked_for_and_is_taken_is_told_at_once(
    phoenix: Phoenix, built: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv(variable, str(taken.getsockname()[1]))
        said = phoenix("up")
    assert said.code == 2
    assert f"{variable} asks for port" in said.err


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http", "８０８０", "8080 "])
def test_a_port_that_is_none_is_refused(
    phoenix: Phoenix, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("PHOENIX_API_PORT", value)
    assert phoenix("up").code == 2


# Without a server


def test_a_pipeline_renders_to_the_same_bytes_each_time(phoenix: Phoenix) -> None:
    command = ("pipeline", "render", "process-aggregated-v1", "--critical", "nginx")
    assert phoenix(*command).out == phoenix(*command).out
    told = json.loads(phoenix(*command, "-o", "json").out)
    assert told["config"] == phoenix(*command).out


def test_lint_exits_2_when_it_finds_a_mistake_and_0_when_not(phoenix: Phoenix) -> None:
    assert phoenix("pipeline", "lint", str(CORPUS / "00-sound.yaml")).code == 0
    said = phoenix("pipeline", "lint", str(CORPUS / "03-undefined-reference.yaml"), "-o", "json")
    assert said.code == 2
    assert json.loads(said.out)[0]["remedy"]


def test_a_configuration_that_no_collector_would_read_is_not_read(
    phoenix: Phoenix, built: Path, tmp_path: Path
) -> None:
    enormous = tmp_path / "enormous.yaml"
    with enormous.open("wb") as file:
        file.truncate(5_000_000_000)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(bytes(range(256)))
    locked = tmp_path / "a folder.yaml"
    locked.mkdir()
    for path in (enormous, binary, locked):
        for command in ("lint", "validate", "check"):
            said = phoenix("pipeline", command, str(path))
            assert said.code == 2, (path, command, said.err)
    assert "larger than" in phoenix("pipeline", "lint", str(enormous)).err


def test_diff_shows_what_would_change(phoenix: Phoenix) -> None:
    said = phoenix("pipeline", "diff", "process-baseline-v1", "process-slim-v1")
    assert said.out.startswith("--- process-baseline-v1")
    assert phoenix("pipeline", "diff", "process-slim-v1", "process-slim-v1").out == ""


def test_validate_asks_the_real_collector(phoenix: Phoenix, built: Path) -> None:
    assert phoenix("pipeline", "validate", "process-slim-v1").code == 0
    said = phoenix("pipeline", "validate", str(CORPUS / "01-unknown-component.yaml"))
    assert said.code == 2
    assert "[configuration_refused]" in said.err


def test_without_a_collector_validate_says_how_to_get_one(phoenix: Phoenix) -> None:
    said = phoenix("pipeline", "validate", "process-slim-v1")
    assert (said.code, "phoenix up" in said.err) == (6, True)


def test_check_scrapes_this_host_and_finds_what_is_lost(phoenix: Phoenix, built: Path) -> None:
    good = phoenix("pipeline", "check", "process-aggregated-v1", "-o", "json")
    assert good.code == 0, good.err + good.out
    assert json.loads(good.out)["passed"] is True


def test_a_load_starts_is_listed_and_stops(phoenix: Phoenix, built: Path) -> None:
    started = phoenix("load", "start", "--profile", "realistic", "--count", "50", "-o", "json")
    try:
        assert started.code == 0, started.err
        assert phoenix("load", "start").code == 5
        running = json.loads(phoenix("load", "list", "-o", "json").out)
        assert len(running) >= 50
        table = phoenix("load", "list").out
        assert str(running[0]["pid"]) in table
    finally:
        assert phoenix("load", "stop").code == 0
    assert json.loads(phoenix("load", "list", "-o", "json").out) == []


def test_a_report_is_drawn_from_its_file(phoenix: Phoenix, tmp_path: Path) -> None:
    source = tmp_path / "report.json"
    source.write_text(json.dumps(document()))
    said = phoenix("experiment", "report", "--from", str(source))
    assert said.code == 0
    assert max(len(line) for line in said.out.splitlines()) <= 80
    assert "\x1b" not in said.out, "a hostile name is text"
    page = tmp_path / "report.html"
    assert phoenix("experiment", "report", "--from", str(source), "--html", str(page)).code == 0
    assert page.read_text().startswith("<!doctype html>")
    assert phoenix("experiment", "report", "--from", str(source), "--html", "/proc/x").code == 2


@pytest.mark.parametrize("body", ["", "{}", "[]", "null", "{", '{"schema":"phoenix.report/1"}'])
def test_what_is_no_report_is_refused(phoenix: Phoenix, tmp_path: Path, body: str) -> None:
    source = tmp_path / "report.json"
    source.write_text(body)
    said = phoenix("experiment", "report", "--from", str(source))
    assert (said.code, "Traceback" in said.err) == (2, False), said.err


# With a server


def test_an_experiment_is_run_listed_shown_and_stopped(served: Phoenix) -> None:
    run = served(
        "experiment", "run", "--candidate", "process-priority-filter-v1", "--no-follow",
        "--name", "mine[red]", "-o", "json",
    )  # fmt: skip
    assert run.code == 0, run.err
    made = json.loads(run.out)
    assert "--allow-lost-totals" in run.err
    assert served("experiment", "run", "--candidate", "process-slim-v1").code == 5
    table = served("experiment", "list").out
    assert made["id"] in table
    assert "(mine[red])" in table, "a name is no markup"
    assert max(len(line) for line in table.splitlines()) <= 80
    assert made["id"] in served("experiment", "show", made["id"]).out
    assert served("experiment", "report", made["id"]).code == 5
    assert served("experiment", "stop", made["id"]).code == 0
    assert served("experiment", "stop", made["id"]).code == 5


def test_totals_that_may_be_lost_are_not_noted(served: Phoenix) -> None:
    run = served(
        "experiment", "run", "--candidate", "process-minimal-v1", "--no-follow",
        "--allow-lost-totals", "-o", "json",
    )  # fmt: skip
    made = json.loads(run.out)
    served("experiment", "stop", made["id"])
    assert run.err == ""
    assert made["spec"]["criteria"]["conservation_tolerance"] is None


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("experiment show exp-abc12345", 4),
        ("experiment show ../../ready", 4),
        ("experiment show exp-abc12345?x=1", 4),
        ("experiment stop exp-abc12345", 4),
        ("experiment report exp-abc12345", 4),
        ("experiment list --state over", 2),
        ("experiment run --candidate nothing-v1", 4),
        ("experiment run --candidate process-slim-v1 --set bogus=1", 2),
        ("experiment run --candidate process-slim-v1 --name ab", 2),
        ("experiment run --candidate process-slim-v1 --evidence 1", 2),
        ("experiment run --candidate process-slim-v1 --interval nan", 2),
        ("experiment run --candidate process-slim-v1 --load nice", 2),
        ("experiment run --candidate process-slim-v1 --profile huge", 2),
        ("experiment run --candidate process-slim-v1 --critical regex:(", 2),
    ],
)
def test_what_the_server_refuses_has_the_same_exit_codes(
    served: Phoenix, command: str, code: int
) -> None:
    said = served(*command.split())
    assert said.code == code, said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, {"code": "json_syntax"}, 2),
        (401, {"code": "unauthenticated"}, 3),
        (403, {"code": "denied"}, 3),
        (418, {}, 2),
        (429, {"code": "throttled"}, 7),
        (500, {"code": "evidence_tampered"}, 9),
        (500, {"code": "internal_error"}, 1),
        (502, b"<html>", 6),
        (503, {"code": "killed", "remedy": "phoenix revive"}, 6),
        (200, b"<html>", 6),
        (503, b"[]", 6),
    ],
)
def test_every_answer_of_a_server_has_its_exit_code(
    phoenix: Phoenix, monkeypatch: pytest.MonkeyPatch, status: int, body: Any, code: int
) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as stranger:
        threading.Thread(target=stranger.handle_request).start()
        monkeypatch.setenv("PHOENIX_API_ENDPOINT", f"http://127.0.0.1:{stranger.server_port}")
        said = phoenix("experiment", "list")
    assert said.code == code
    if isinstance(body, dict) and "code" in body:
        assert f"[{body['code']}]" in said.err


@pytest.mark.parametrize(
    "endpoint",
    ["http://user:hunter2@127.0.0.1:1", "ftp://127.0.0.1", "127.0.0.1:8080", "http://[", "x y"],
)
def test_an_endpoint_that_cannot_be_reached_is_told_without_its_password(
    phoenix: Phoenix, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("PHOENIX_API_ENDPOINT", endpoint)
    said = phoenix("experiment", "list")
    assert said.code in (2, 6)
    assert "hunter2" not in said.err
    assert "Traceback" not in said.err
