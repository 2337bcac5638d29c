"""Answers: tables for people, JSON or YAML for programs. Standard output is the answer only;
progress and errors go to standard error."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phoenix.base.errors import Invalid, PhoenixError, Unavailable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

FORMATS = ("table", "json", "yaml")


@dataclass(slots=True)
class Wanted:
    """How this invocation wants its answers."""

    form: str = "table"


WANTED = Wanted()


def choose(form: str) -> None:
    """Set the form of the answer.

    Raises:
        Invalid: the form is not one of `FORMATS`.
    """
    if form not in FORMATS:
        raise Invalid(f"'{form}' is not an output format.", remedy="Use -o table, json or yaml.")
    WANTED.form = form


def console(stderr: bool = False) -> Console:
    """A console that draws only where somebody can see it."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def interactive() -> bool:
    """May the output move? Not in a pipe, not in CI."""
    return sys.stdout.isatty() and not os.environ.get("CI")


def show(value: object, table: Callable[[], object]) -> None:
    """Print `value` as JSON or YAML, or what `table()` returns for people."""
    if WANTED.form == "json":
        sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
    elif WANTED.form == "yaml":
        sys.stdout.write(to_yaml(value))
    else:
        shown = table()
        if isinstance(shown, str):
            shown = _text(shown)
        if shown is not None:
            console().print(shown)


def _text(text: str) -> Text:
    """Words that are neither markup nor escape sequences, whatever stands in them."""
    from rich.text import Text

    from phoenix.experiments.report.reading import visible

    return Text(visible(text))


def to_yaml(value: object) -> str:
    """`value` as block YAML."""
    import io

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    out = io.StringIO()
    yaml.dump(json.loads(json.dumps(value, default=str)), out)
    return out.getvalue()


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str = "",
    whole: Sequence[str] = (),
) -> object:
    """A plain table: the first column names the thing; columns in `whole` are never wrapped."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        box=box.SIMPLE_HEAD,
        title=_text(title) if title else None,
        title_justify="left",
        pad_edge=False,
    )
    for column in columns:
        drawn.add_column(column, overflow="fold", no_wrap=column in whole)
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else _text(str(cell)) for cell in row))
    return drawn


def write(path: Path, text: str) -> None:
    """Write a file for the user.

    Raises:
        Unavailable: the disk is full or fails.
        Invalid: no file can be written there.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"'{path}' cannot be written: {error.strerror or error}."
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise Unavailable(message, remedy="Make room on the disk, then try again.") from error
        raise Invalid(message, remedy="Name a file in a folder that you may write to.") from error


def complain(error: PhoenixError) -> None:
    """One message, what to do about it, and the code to search for."""
    from phoenix.experiments.report.reading import visible

    code = str(error.context.get("code", error.code))
    sys.stderr.write(f"phoenix: {visible(error.message)}  [{visible(code)}]\n")
    if error.remedy:
        sys.stderr.write(f"  {visible(error.remedy)}\n")
