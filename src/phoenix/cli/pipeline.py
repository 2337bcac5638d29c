"""`phoenix pipeline`: what a collector could run. None of these commands needs a server."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phoenix.base.errors import Invalid
from phoenix.cli import output

if TYPE_CHECKING:
    from phoenix.pipelines.model import CriticalRule, Pipeline, Revision

app = typer.Typer(
    no_args_is_help=True,
    help="List, render, lint, compare, validate and check collector pipelines.",
)

ParameterOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="A parameter; may be repeated."),
]
CriticalOption = Annotated[
    list[str] | None,
    typer.Option(
        "--critical",
        metavar="RULE",
        help="nginx, name:nginx, path:/usr/sbin/nginx, regex:^java, owner:postgres; may be "
        "repeated.  [the shipped list]",
    ),
]


@app.command("list")
def list_pipelines() -> None:
    """The catalog.

    Example: phoenix pipeline list
    """
    from phoenix.pipelines import catalog

    pipelines = [catalog.load(name) for name in catalog.names()]
    output.show(
        [_as_dict(pipeline) for pipeline in pipelines],
        lambda: output.table(
            ("pipeline", "fewer points", "totals", "what it does"),
            [
                (p.name, _fewer(p), "kept" if p.conserves_totals else "lost", p.title)
                for p in pipelines
            ],
            whole=("pipeline", "fewer points", "totals"),
        ),
    )


@app.command()
def show(name: str) -> None:
    """One pipeline with its parameters.

    Example: phoenix pipeline show process-aggregated-v1
    """
    from phoenix.pipelines import catalog

    pipeline = catalog.load(name)

    def drawn() -> object:
        console = output.console()
        console.print(f"[bold]{pipeline.name}[/bold]  {pipeline.title}\n")
        console.print(pipeline.description + "\n")
        console.print(f"expected reduction: {pipeline.expected_reduction}")
        console.print(f"totals conserved:   {'yes' if pipeline.conserves_totals else 'no'}")
        console.print(f"changes the scrape: {'yes' if pipeline.changes_scrape else 'no'}")
        for use in pipeline.use_cases:
            console.print(f"  · {use}")
        return output.table(
            ("parameter", "type", "default", "meaning"),
            [(p.name, p.type, _short(p.default), p.description) for p in pipeline.parameters],
        )

    output.show(_as_dict(pipeline), drawn)


@app.command()
def render(
    pipeline: str,
    parameters: ParameterOption = None,
    critical: CriticalOption = None,
    interval_s: Annotated[float, typer.Option("--interval", help="Seconds.")] = 60.0,
) -> None:
    """The configuration to deploy, as YAML. The same input gives the same bytes.

    Example: phoenix pipeline render process-aggregated-v1 --critical nginx > otelcol.yaml
    """
    revision = production(pipeline, parameters, critical, interval_s)
    if output.WANTED.form == "json":
        output.show(
            {"pipeline": revision.pipeline, "sha256": revision.sha256, "config": revision.config},
            lambda: None,
        )
    else:
        sys.stdout.write(revision.config)


@app.command()
def lint(
    files: Annotated[list[str], typer.Argument(help="Configuration files, or catalog names.")],
) -> None:
    """Find configurations that a collector accepts and that do the wrong thing silently.

    Example: phoenix pipeline lint my-otelcol.yaml
    """
    from phoenix.pipelines.lint import lint as lint_text

    findings = []
    for name in files:
        findings += lint_text(_text(name), file=name)
    output.show(
        [_as_dict(finding) for finding in findings],
        lambda: (
            output.table(
                ("where", "rule", "what", "do this"),
                [(f"{f.file}:{f.line}", f.rule, f.message, f.remedy) for f in findings],
            )
            if findings
            else f"{len(files)} checked, nothing found."
        ),
    )
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(2)


@app.command()
def diff(
    a: str,
    b: str,
    parameters: ParameterOption = None,
    critical: CriticalOption = None,
    interval_s: Annotated[float, typer.Option("--interval", help="Seconds.")] = 60.0,
) -> None:
    """What would change between two pipelines or configuration files.

    Example: phoenix pipeline diff process-baseline-v1 process-aggregated-v1
    """
    from phoenix.pipelines.diff import diff as compare

    texts = [_text_or_render(name, parameters, critical, interval_s) for name in (a, b)]
    sys.stdout.write(compare(texts[0], texts[1], a, b))


@app.command()
def validate(
    pipeline: str, parameters: ParameterOption = None, critical: CriticalOption = None
) -> None:
    """Ask the real collector whether it would accept the configuration (it is not started).

    Example: phoenix pipeline validate my-otelcol.yaml
    """
    from phoenix.experiments import preflight

    text = _text_or_render(pipeline, parameters, critical, 60.0)
    preflight.validate(text, file=pipeline, data_dir=_data_dir())
    output.show(
        {"pipeline": pipeline, "valid": True}, lambda: f"{pipeline}: the collector accepts it"
    )


@app.command()
def check(
    pipeline: str, parameters: ParameterOption = None, critical: CriticalOption = None
) -> None:
    """Validate, then scrape this host a few times and compare what leaves with what arrived.

    Finds what `validate` cannot: no points, a lost critical process, two points for one identity,
    totals that do not add up.

    Example: phoenix pipeline check process-aggregated-v1 --critical nginx
    """
    import asyncio

    from phoenix.experiments import preflight

    chosen, values = resolve(pipeline, parameters)
    report = asyncio.run(
        preflight.check(chosen, values, critical_rules(critical), data_dir=_data_dir())
    )
    output.show(
        report.as_dict(),
        lambda: output.table(
            ("check", "result", "seen"),
            [(c.name, "passed" if c.passed else "FAILED", c.sentence) for c in report.checks],
            title=report.sentence,
        ),
    )
    if not report.passed:
        raise typer.Exit(2)


def resolve(name: str, parameters: list[str] | None) -> tuple[Pipeline, dict[str, Any]]:
    """A catalog name or a configuration file as a pipeline, with the typed parameters given."""
    from phoenix.pipelines import catalog

    if is_file(name):
        from phoenix.pipelines.importer import import_config

        if parameters:
            raise Invalid("A configuration of your own has no parameters.", remedy="Drop --set.")
        return import_config(read_file(name), name).pipeline, {}
    return catalog.load(name), dict(pair(item) for item in parameters or ())


def critical_rules(given: list[str] | None) -> tuple[CriticalRule, ...]:
    """The rules given on the command line, or the shipped list."""
    from phoenix.pipelines import critical

    return tuple(critical.parse(item) for item in given) if given else critical.DEFAULT_CRITICAL


def production(
    name: str, parameters: list[str] | None, critical: list[str] | None, interval_s: float
) -> Revision:
    """The revision to deploy."""
    from phoenix.pipelines import render

    pipeline, values = resolve(name, parameters)
    return render.production(pipeline, values, critical_rules(critical), interval_s)


def _text(name: str) -> str:
    return _text_or_render(name, None, None, 60.0)


def _text_or_render(
    name: str, parameters: list[str] | None, critical: list[str] | None, interval_s: float
) -> str:
    if is_file(name):
        return read_file(name)
    return production(name, parameters, critical, interval_s).config


def is_file(name: str) -> bool:
    """Does the argument name a configuration file?

    Raises:
        Invalid: it looks like a path, and nothing is there.
    """
    try:
        if Path(name).is_file():
            return True
    except OSError:  # too long to be the name of anything
        return False
    if name.endswith((".yaml", ".yml")) or "/" in name:
        raise Invalid(f"There is no file '{name}'.", remedy="Check the path.")
    return False


def read_file(name: str) -> str:
    """The text of a configuration file.

    Raises:
        Invalid: it cannot be read, or no configuration is that large.
    """
    from phoenix.pipelines.documents import MAX_BYTES

    try:
        with Path(name).open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Invalid(f"'{name}' cannot be read: {error.strerror}.") from error
    if len(body) > MAX_BYTES:
        raise Invalid(
            f"'{name}' is larger than {MAX_BYTES} bytes.", remedy="Give one configuration."
        )
    return body.decode("utf-8", errors="replace")


def pair(item: str) -> tuple[str, Any]:
    """`NAME=VALUE` with the value typed as YAML types it."""
    name, equals, text = item.partition("=")
    if not equals or not name:
        raise Invalid(f"'{item}' is not NAME=VALUE.", remedy="For example: --set max_staleness=5m")
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return name, YAML(typ="safe").load(text)
    except (YAMLError, ValueError) as error:
        raise Invalid(
            f"The value of {name} is not YAML.", remedy=f"Quote it: --set {name}='\"…\"'"
        ) from error


def _data_dir() -> Path:
    from phoenix.settings import data_dir

    return data_dir()


def _as_dict(noun: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(noun)


def _fewer(pipeline: Pipeline) -> str:
    """The share of points that its expected reduction begins with; `show` has the rest."""
    said = pipeline.expected_reduction
    if said.startswith("as "):
        from phoenix.pipelines import catalog

        return _fewer(catalog.load(said.removeprefix("as ")))
    share = re.match(r"\d+( to \d+)? %", said)
    return share.group() if share else "depends"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 32 else text[:29] + "…"
