"""`phoenix demo`: the main job in one command. Build once, start, load, one experiment, a verdict,
and everything it started is ended again, also when it is interrupted or killed."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phoenix.base.errors import Invalid

if TYPE_CHECKING:
    from phoenix.cli.client import Client

CANDIDATES = {"broken": "process-broken-demo-v1", "same": "process-baseline-v1"}
LOADS = ("realistic", "high-cardinality", "high-churn", "none")
STEPS = 5
LONGEST_LIVED = 5
_NAME = "demo "


def run(candidate: str, load: str, seed: int, evidence: int | None) -> int:
    """Run the demo; returns 0 when it came to a verdict, whatever the verdict is."""
    from phoenix.settings import data_dir

    candidate = CANDIDATES.get(candidate, candidate)
    if load not in LOADS:
        raise Invalid(f"There is no load '{load}'.", remedy=f"Use LOAD={'|'.join(LOADS)}.")
    _know(candidate)
    folder = data_dir()
    with step(1, "collector") as say:
        _build(folder, say)
    with step(2, "start Phoenix") as say:
        running = _up(folder)
        say(f"api on {running.ports['api']}, meter on {running.ports['meter']}")
    try:
        with step(3, "experiment") as say:
            found = _experiment(candidate, load, seed, evidence, say)
        with step(4, "report"):
            _deliver(found)
    finally:
        with step(5, "stop everything"):
            running.stop()
    return 0 if found["state"] == "completed" else 1


@contextmanager
def step(number: int, title: str) -> Iterator[Any]:
    """Announce a phase and its time; yields a function that adds a line to it."""
    begun = time.monotonic()
    sys.stderr.write(f"[{number}/{STEPS}] {title}\n")

    def say(line: str) -> None:
        sys.stderr.write(f"      {line}\n")
        sys.stderr.flush()

    yield say
    sys.stderr.write(f"      {time.monotonic() - begun:.1f} s\n")


def _know(candidate: str) -> None:
    from phoenix.cli.pipeline import is_file
    from phoenix.pipelines import catalog

    if not is_file(candidate):
        catalog.load(candidate)


def _build(folder: Path, say: Any) -> None:
    from phoenix.cli.progress import Progress
    from phoenix.collectors import distribution
    from phoenix.processes import machine

    machine.refuse_when_up(folder)
    progress = Progress(indent="      ")
    binary = distribution.build(folder, progress)
    progress.done()
    say(f"{binary.name} is ready")


def _up(folder: Path) -> Any:
    from phoenix.processes import machine

    return machine.up_tethered(folder)


def _experiment(
    candidate: str, load: str, seed: int, evidence: int | None, say: Any
) -> dict[str, Any]:
    from phoenix.cli.client import connect
    from phoenix.cli.experiment import arm
    from phoenix.cli.follow import follow

    client = connect()
    _end_interrupted(client)
    body: dict[str, Any] = {
        "name": f"{_NAME}{candidate} {secrets.token_hex(3)}"[:100],
        "baseline": {"pipeline": "process-baseline-v1"},
        "candidate": arm(candidate),
        "profile": "demo",
    }
    if load != "none":
        body["load"] = {"profile": load, "seed": seed}
    elif (chosen := _stand_ins()) is not None:
        say(f"no critical process of the shipped list runs here; taking the {len(chosen)} longest-")
        say(f"lived instead: {', '.join(chosen)}")
        body["critical"] = [f"name:{name}" for name in chosen]
    if candidate == CANDIDATES["broken"] and load != "none":
        body["critical"] = _lost_later(load, seed)
    if evidence is not None:
        body["evidence_ticks_max"] = evidence
    created = client.call("POST", "/api/v1/experiments", json=body)
    for note in created["notes"]:
        say(f"note: {note}")
    say(f"{created['id']}: {candidate} beside process-baseline-v1, load: {load}")
    return follow(client, created["id"])


def _end_interrupted(client: Client) -> None:
    """A demo that was killed left its experiment unfinished, and this host taken."""
    for state in ("pending", "initializing", "running"):
        found = client.call("GET", "/api/v1/experiments", params={"state": state, "per_page": 100})
        for old in found["items"]:
            if old["name"].startswith(_NAME):
                path = f"/api/v1/experiments/{old['id']}/stop"
                client.call("POST", path, json={"reason": "an interrupted demo"})


def _stand_ins() -> list[str] | None:
    """The names of the longest-lived programs, when no shipped critical rule matches any here."""
    from phoenix.host import proc
    from phoenix.pipelines import critical

    by_age: list[tuple[int, str]] = []
    for pid in proc.pids():
        arguments, name, began = proc.command_line(pid), proc.name(pid), proc.start_ticks(pid)
        if not arguments or name is None or began is None or "phoenix" in arguments:
            continue
        path = proc.executable(pid)
        for rule in critical.DEFAULT_CRITICAL:
            if rule.kind != "owner" and critical.matches(rule, name=name, path=path, owner=None):
                return None
        by_age.append((began, name))
    oldest_first = dict.fromkeys(name for _, name in sorted(by_age))
    return list(oldest_first)[:LONGEST_LIVED]


def _lost_later(load: str, seed: int) -> list[str]:
    """The critical rules, first one that only the load brings along.

    The broken candidate misspells the first rule. If its process ran here already, the check before
    the start would refuse the candidate, and there would be no abort to see.
    """
    from phoenix.host import proc
    from phoenix.load import profiles
    from phoenix.pipelines import critical

    here = {proc.name(pid) for pid in proc.pids()}
    coming = {process.name for process in profiles.plan(load, seed=seed).processes}
    rules = [rule for rule in critical.DEFAULT_CRITICAL if rule.kind == "name"]
    first = [rule for rule in rules if rule.value in coming and rule.value not in here][:1]
    others = [rule for rule in critical.DEFAULT_CRITICAL if rule not in first]
    return [str(rule) for rule in (*first, *others)]


def _deliver(found: dict[str, Any]) -> None:
    from phoenix.cli.result import deliver

    deliver(found)
