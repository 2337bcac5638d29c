"""The command tree: one noun per file, every command with its examples.

Heavy imports stay inside the commands, so that `phoenix --help` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from phoenix.base.errors import PhoenixError
from phoenix.cli import audit, experiment, guard, ledger, load, output, pipeline, server
from phoenix.cli.exits import exit_code

app = typer.Typer(
    name="phoenix",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Phoenix changes a running system safely, and proves it.\n\n"
    "Start with: phoenix up, then: phoenix experiment run --candidate process-aggregated-v1",
)
app.add_typer(experiment.app, name="experiment")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(guard.app, name="guard")
app.add_typer(load.app, name="load")
app.add_typer(ledger.app, name="ledger")
app.add_typer(audit.app, name="audit")
server.add_to(app)


_OF_EVERY_COMMAND = ("-o", "--output", "--data-dir")


def _show_version(wanted: bool) -> None:
    if wanted:
        from phoenix import __version__

        sys.stdout.write(f"phoenix {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    output_format: Annotated[
        str,
        typer.Option("-o", "--output", envvar="PHOENIX_OUTPUT_FORMAT", help="table, json or yaml."),
    ] = "table",
    data_dir: Annotated[
        str, typer.Option("--data-dir", help="Where Phoenix keeps everything.  [.phoenix]")
    ] = "",
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="And exit.")
    ] = False,
) -> None:
    """Options of every command."""
    output.choose(output_format)
    if data_dir:
        os.environ["PHOENIX_DATA_DIR"] = data_dir


def _anywhere(arguments: list[str]) -> list[str]:
    """Options of every command may stand behind the command too.

    What is not UTF-8 becomes a question mark: a kill must not fail over its reason.
    """
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(os.fsencode(each).decode("utf-8", errors="replace") for each in arguments)
    for each in waiting:
        if each == "--":
            rest += [each, *waiting]
        elif each in _OF_EVERY_COMMAND:
            front += [each, *(value for value in [next(waiting, None)] if value is not None)]
        elif each.partition("=")[0] in _OF_EVERY_COMMAND:
            front.append(each)
        else:
            rest.append(each)
    return front + rest


def run() -> int:
    """Run the command line and return its exit code."""
    # A database that is away is told once, by us.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    try:
        result = app(args=_anywhere(sys.argv[1:]), standalone_mode=False)
    except PhoenixError as error:
        output.complain(error)
        return exit_code(error)
    except typer.Exit as leaving:
        return leaving.exit_code
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        sys.stderr.write("phoenix: interrupted\n")
        return 130
    except BrokenPipeError:
        return 0
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        sys.stderr.write(f"phoenix: {error.strerror or error}{where}\n")
        return 1
    except Exception as error:
        shown = getattr(error, "show", None)
        if shown is None:
            raise
        shown()
        return 2
    return result if isinstance(result, int) else 0
