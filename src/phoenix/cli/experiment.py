"""`phoenix experiment`: run one, watch it, read what came of it. Clients of the API, but for
`report --from`, which needs no server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from phoenix.base.errors import Invalid, NotFound
from phoenix.cli import output
from phoenix.cli.client import connect, experiment_path
from phoenix.cli.exits import VERDICT_EXITS
from phoenix.cli.guard import Dashboards, Rules, Settings, asked

app = typer.Typer(
    no_args_is_help=True,
    help="Try a candidate pipeline beside the present one, on the same scrape, and decide.",
)


@app.command()
def run(
    candidate: Annotated[
        str, typer.Option("--candidate", help="A catalog name or a configuration file.")
    ],
    baseline: Annotated[
        str, typer.Option("--baseline", help="A catalog name or a configuration file.")
    ] = "process-baseline-v1",
    name: Annotated[str, typer.Option("--name", help="3 to 100 characters.")] = "",
    description: Annotated[str, typer.Option("--description")] = "",
    profile: Annotated[
        str, typer.Option("--profile", help="demo (1 s ticks, this window) or standard (10 s).")
    ] = "demo",
    critical: Annotated[
        list[str] | None,
        typer.Option("--critical", metavar="RULE", help="nginx, path:…, regex:…, owner:…"),
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="NAME=VALUE", help="A parameter of the candidate."),
    ] = None,
    required_reduction: Annotated[
        float | None, typer.Option("--required-reduction", help="Share of series, 0 to 1.")
    ] = None,
    warmup: Annotated[int | None, typer.Option("--warmup", help="Ticks.")] = None,
    evidence: Annotated[int | None, typer.Option("--evidence", help="Ticks, at most.")] = None,
    interval_s: Annotated[float | None, typer.Option("--interval", help="Seconds a tick.")] = None,
    coverage_margin: Annotated[
        float | None, typer.Option("--coverage-margin", help="Share of ticks, 0 to 0.5.")
    ] = None,
    min_recall: Annotated[
        float | None, typer.Option("--min-recall", help="Of the top K; 0 to 1.  [reported only]")
    ] = None,
    load: Annotated[
        str, typer.Option("--load", help="realistic, high-cardinality, high-churn or none.")
    ] = "none",
    seed: Annotated[int, typer.Option("--seed", help="Of the load.")] = 1,
    keep_command_lines: Annotated[
        bool, typer.Option("--keep-command-lines", help="Do not replace them by a hash.")
    ] = False,
    allow_lost_totals: Annotated[
        bool,
        typer.Option("--allow-lost-totals", help="Report what the totals lose; require nothing."),
    ] = False,
    rules: Rules = None,
    dashboards: Dashboards = None,
    backend: Settings = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow")] = True,
) -> int:
    """Run one experiment on this host and print its verdict.

    Exits 0 adopt, 10 keep the baseline, 11 needs tuning, 12 inconclusive.

    Examples:

      phoenix experiment run --candidate process-aggregated-v1

      phoenix experiment run --baseline my-otelcol.yaml --candidate process-slim-v1

      phoenix experiment run --candidate process-slim-v1 --rules rules/ --dashboards boards/
    """
    body: dict[str, Any] = {
        "baseline": arm(baseline),
        "candidate": arm(candidate, parameters),
        "profile": profile,
        "redact": not keep_command_lines,
        "allow_lost_totals": allow_lost_totals,
    }
    optional: dict[str, Any] = {
        "name": name or None,
        "description": description or None,
        "critical": critical,
        "interval_s": interval_s,
        "warmup_ticks": warmup,
        "evidence_ticks_max": evidence,
        "required_reduction": required_reduction,
        "coverage_margin": coverage_margin,
        "min_recall_top_k": min_recall,
        "guard": asked(rules, dashboards, backend),
    }
    body |= {key: value for key, value in optional.items() if value is not None}
    if load != "none":
        body["load"] = {"profile": load, "seed": seed}
    client = connect()
    created = client.call("POST", "/api/v1/experiments", json=body)
    for note in created.get("notes", []):
        sys.stderr.write(f"note: {note}\n")
    if not follow:
        output.show(created, lambda: f"{created['id']} is {created['state']}")
        return 0
    from phoenix.cli.follow import follow as watch

    return finish(watch(client, created["id"]))


@app.command("list")
def list_experiments(
    state: Annotated[str, typer.Option("--state", help="One of the seven states.")] = "",
) -> None:
    """The experiments, newest first.

    Example: phoenix experiment list --state completed
    """
    query = {"state": state} if state else {}
    found = connect().call("GET", "/api/v1/experiments", params=query)
    output.show(
        found["items"],
        lambda: (
            output.table(
                ("id", "result", "candidate", "created (UTC)"),
                [
                    (e["id"], _result(e), _candidate(e), e["created_at"][:16].replace("T", " "))
                    for e in found["items"]
                ],
                whole=("id", "result", "created (UTC)"),
            )
            if found["items"]
            else "No experiment yet. Try: phoenix experiment run --candidate process-aggregated-v1"
        ),
    )


@app.command()
def show(experiment_id: str) -> None:
    """One experiment: its state, its steps, its verdict.

    Example: phoenix experiment show exp-abc12345
    """
    from phoenix.experiments.report.reading import visible

    found = connect().call("GET", experiment_path(experiment_id))

    def drawn() -> object:
        console = output.console()

        # Names of processes and files stand in these: neither markup nor escape sequences.
        def say(line: str, style: str | None = None) -> None:
            console.print(visible(line), style=style, markup=False)

        say(f"{found['id']}  {found['name']}", "bold")
        say(f"{found['state']} · {found['phase']}")
        if found["error_message"]:
            say(f"error: {found['error_message']}")
        if found["verdict"]:
            say(f"{found['verdict']['outcome']}: {found['verdict']['sentence']}")
        return output.table(
            ("at", "state", "phase", "why"),
            [(t["at"][:19], t["to_state"], t["phase"], t["reason"]) for t in found["transitions"]],
        )

    output.show(found, drawn)


@app.command()
def report(
    experiment_id: Annotated[str, typer.Argument(help="Not needed with --from.")] = "",
    source: Annotated[
        Path | None, typer.Option("--from", help="A report.json; no server is needed.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the page here.")] = None,
) -> int:
    """The report: tables here, or one self-contained HTML page, or JSON with -o json.

    Examples:

      phoenix experiment report exp-abc12345 --html report.html

      phoenix experiment report --from report.json
    """
    import json

    if source is not None:
        try:
            document = json.loads(source.read_text())
        except OSError as error:
            raise NotFound(f"There is no file '{source}'.", remedy="Check the path.") from error
        except (ValueError, RecursionError) as error:
            raise Invalid(f"'{source}' is not JSON.", remedy="Give a report.json.") from error
    elif experiment_id:
        document = connect().call("GET", experiment_path(experiment_id, "/report"))
    else:
        raise Invalid("Which experiment?", remedy="Give its id, or --from report.json.")
    if html is not None:
        from phoenix.experiments.report import html as page

        output.write(html, page.render(document))
        sys.stderr.write(f"wrote {html}\n")
        return 0
    from phoenix.cli import views

    output.show(document, lambda: views.report(document))
    return 0


@app.command()
def stop(
    experiment_id: str,
    reason: Annotated[str, typer.Option("--reason")] = "stopped by hand",
) -> None:
    """Cancel an experiment; the shadow ends and production was never touched.

    Example: phoenix experiment stop exp-abc12345 --reason "wrong host"
    """
    found = connect().call("POST", experiment_path(experiment_id, "/stop"), json={"reason": reason})
    output.show(found, lambda: f"{found['id']} is {found['state']}")


def arm(name: str, parameters: list[str] | None = None) -> dict[str, Any]:
    """How an arm is asked for over the API: a catalog name, or the text of a file."""
    from phoenix.cli.pipeline import is_file, pair, read_file

    if is_file(name):
        if parameters:
            raise Invalid("A configuration of your own has no parameters.", remedy="Drop --set.")
        return {"config": read_file(name), "file": Path(name).name}
    return {"pipeline": name, "parameters": dict(pair(item) for item in parameters or ())}


def _result(found: dict[str, Any]) -> str:
    """The verdict, or how far it is."""
    return str((found["verdict"] or {}).get("outcome") or found["state"])


def _candidate(found: dict[str, Any]) -> str:
    """The candidate, and the name if somebody gave one."""
    candidate, name = str(found["candidate_pipeline"]), found["name"]
    return candidate if name == f"{candidate} {found['id']}" else f"{candidate} ({name})"


def finish(found: dict[str, Any]) -> int:
    """Write the report beside the state, print the result, and return the verdict's exit code."""
    from phoenix.cli.result import deliver

    deliver(found)
    if found["state"] == "completed":
        return VERDICT_EXITS[found["verdict"]["outcome"]]
    return 1
