"""`phoenix guard`: do alerts and dashboards still answer with a candidate in place? Files are read
here; they are judged by the server, which knows what both arms emitted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from phoenix.base.errors import Invalid
from phoenix.cli import output
from phoenix.cli.client import connect, experiment_path
from phoenix.cli.exits import VERDICT_EXITS

app = typer.Typer(
    no_args_is_help=True,
    help="Check rules and dashboards against what both arms of an experiment emitted.",
)

Rules = Annotated[
    list[Path] | None,
    typer.Option("--rules", metavar="PATH", help="Rule files, or a folder of them."),
]
Dashboards = Annotated[
    list[Path] | None,
    typer.Option("--dashboards", metavar="PATH", help="Grafana dashboards, or a folder of them."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        metavar="NAME|SETTING=VALUE",
        help="How the backend names series: a preset, or one of its settings.",
    ),
]
_PAIRED = ("external_labels",)
_LISTED = ("resource_labels",)
_YES = ("target_info", "keep_identifying")
_COLOURS = {
    "goes silent": "red",
    "would fire": "red",
    "answer changes": "yellow",
    "cannot be judged": "yellow",
    "fewer series, same answer": "green",
    "same": "green",
}
_CHANGED = ("goes silent", "would fire", "answer changes", "cannot be judged")


@app.command()
def check(
    experiment_id: str,
    rules: Rules = None,
    dashboards: Dashboards = None,
    backend: Settings = None,
    every: Annotated[bool, typer.Option("--all", help="Show also what stays the same.")] = False,
    apply: Annotated[
        bool,
        typer.Option(
            "--apply-suggestions",
            help="Start a new experiment with the change that would lift the blocks.",
        ),
    ] = False,
) -> int:
    """What becomes of every alert, recording rule and panel if the candidate is promoted.

    Resolved against what both arms emitted, not evaluated. Exits 0 if nothing goes silent or
    would fire, else 11.

    Examples:

      phoenix guard check --rules rules/ --dashboards boards/ exp-abc12345

      phoenix guard check --rules rules/ exp-abc12345 --apply-suggestions
    """
    body = asked(rules, dashboards, backend)
    if body is None:
        raise Invalid("What is to be checked?", remedy="Give --rules, --dashboards or both.")
    client = connect()
    found = client.call("POST", experiment_path(experiment_id, "/guard"), json=body)
    output.show(found, lambda: _drawn(found, every=every))
    if apply:
        return _applied(client, experiment_id, found, body)
    return VERDICT_EXITS["needs_tuning"] if found["blocks"] else 0


def asked(
    rules: list[Path] | None, dashboards: list[Path] | None, backend: list[str] | None
) -> dict[str, Any] | None:
    """Queries from files and the backend that they are asked of, for the API; None without files.

    Raises:
        UnreadableQueries: a path holds none.
        UnknownBackend: no such preset or setting.
    """
    from phoenix.guard import reading
    from phoenix.guard.backend import Backend

    settings = _settings(backend or [])
    Backend.from_dict(settings)  # refused here, before files are read
    queries = [query for path in rules or () for query in reading.rules(path)]
    queries += [query for path in dashboards or () for query in reading.boards(path)]
    if not queries:
        if rules or dashboards:
            raise Invalid("There is no query in those files.", remedy="Name others.")
        return None
    return {"queries": [query.to_dict() for query in queries], "backend": settings}


def _settings(given: list[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            settings["name"] = key
        elif key in _PAIRED:
            label, _, content = value.partition(":")
            settings.setdefault(key, {})[label] = content
        elif key in _LISTED:
            settings[key] = value if value == "all" else [part for part in value.split(",") if part]
        elif key in _YES:
            settings[key] = value.lower() in ("yes", "true", "1")
        else:
            settings[key] = value
    return settings


def _drawn(found: Mapping[str, Any], *, every: bool) -> object:
    from rich.console import Group
    from rich.text import Text

    from phoenix.experiments.report.reading import visible

    shown = [f for f in found["findings"] if every or f["answer"] in _CHANGED]
    parts: list[object] = [Text(visible(found["sentence"]), style="bold"), Text(_counted(found))]
    if found["unlisted"]:
        parts.append(Text(f"The meter saw {found['unlisted']} resources more than it lists."))
    if shown:
        rows = [
            (
                Text(f["answer"], style=_COLOURS.get(f["answer"], "")),
                f"{f['kind']} {f['name']}\n{f['source']}",
                f"{f['reason']}{_sides(f)}",
            )
            for f in shown
        ]
        parts.append(output.table(("answer", "query", "why"), rows))
    if found["suggestion"]:
        parts.append(Text(visible(found["suggestion"]["sentence"])))
    return Group(*parts)  # type: ignore[arg-type]


def _counted(found: Mapping[str, Any]) -> str:
    series = found["series"]
    counts = ", ".join(f"{n} {answer}" for answer, n in found["counts"].items())
    return f"{series['baseline']} series today, {series['candidate']} with the candidate: {counts}"


def _sides(finding: Mapping[str, Any]) -> str:
    if not finding["baseline"] or finding["baseline"] == finding["candidate"]:
        return ""
    return f"\ntoday: {finding['baseline']}; then: {finding['candidate']}"


def _applied(
    client: Any, experiment_id: str, found: Mapping[str, Any], body: dict[str, Any]
) -> int:
    """Start a new experiment with what was suggested; 11 when there is nothing to apply."""
    suggestion = found["suggestion"]
    patch = suggestion["patch"] if suggestion else {"critical": [], "parameters": {}}
    if not patch["critical"] and not patch["parameters"]:
        why = suggestion["sentence"] if suggestion else "Nothing blocks."
        sys.stderr.write(f"no new experiment: {why}\n")
        return VERDICT_EXITS["needs_tuning"] if found["blocks"] else 0
    spec = client.call("GET", experiment_path(experiment_id))["spec"]
    created = client.call("POST", "/api/v1/experiments", json=_again(spec, patch, body))
    sys.stderr.write(f"{created['id']} tries it: phoenix experiment show {created['id']}\n")
    return 0


def _again(
    spec: Mapping[str, Any], patch: Mapping[str, Any], body: dict[str, Any]
) -> dict[str, Any]:
    """The request of the same experiment with the patch."""
    candidate = dict(spec["candidate"])
    parameters = {**candidate["parameters"], **patch["parameters"]}
    critical = [f"{rule['kind']}:{rule['value']}" for rule in spec["critical"]]
    criteria = spec["criteria"]
    asked: dict[str, Any] = {
        "baseline": _arm(spec["baseline"]),
        "candidate": {"pipeline": candidate["pipeline"], "parameters": parameters},
        "profile": "demo" if spec["claim"] == "window" else "standard",
        "critical": [*critical, *(rule for rule in patch["critical"] if rule not in critical)],
        "interval_s": spec["interval_s"],
        "warmup_ticks": spec["warmup_ticks"],
        "evidence_ticks_max": spec["evidence_ticks_max"],
        "required_reduction": criteria["required_reduction"],
        "coverage_margin": criteria["coverage_margin"],
        "redact": spec["redact"],
        "allow_lost_totals": criteria["conservation_tolerance"] is None,
        "guard": body,
    }
    optional = {"min_recall_top_k": criteria["min_recall_top_k"], "load": spec["load"]}
    return asked | {key: value for key, value in optional.items() if value is not None}


def _arm(arm: Mapping[str, Any]) -> dict[str, Any]:
    if arm["imported"] is not None:
        return {"config": arm["imported"], "file": arm["pipeline"]}
    return {"pipeline": arm["pipeline"], "parameters": dict(arm["parameters"])}
