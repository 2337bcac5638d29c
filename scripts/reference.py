"""Writes the reference pages that can be read off the code: commands, API, errors, metrics.

A page that is written by hand goes stale; a page that is generated and checked cannot.
`make docs` writes them, tests/promises/test_docs.py runs the same functions and compares.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import machine

PAGES_FOLDER = machine.ROOT / "docs" / "reference"
WRITTEN_BY = "<!-- Written by `make docs` from the code; edit the code instead. -->\n"
HELP_WIDTH = 96
METRIC_KINDS = ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum")


def modules(package: str = "phoenix") -> Iterator[Any]:
    """Every module of ours, imported, except the one that starts the program."""
    root = importlib.import_module(package)
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


# Commands.


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with the context that its help is shown in, in the order of the help."""
    import typer

    from phoenix.cli.main import app

    def walk(command: Any, name: str, parent: Any) -> Iterator[tuple[str, Any]]:
        context = command.context_class(
            command,
            info_name=name,
            parent=parent,
            terminal_width=HELP_WIDTH,
            **command.context_settings,
        )
        if getattr(command, "hidden", False):
            return
        children = getattr(command, "commands", {})
        yield context.command_path, context
        for child_name, child in children.items():
            yield from walk(child, child_name, context)

    yield from walk(typer.main.get_command(app), "phoenix", None)


def commands_page() -> str:
    """The help of every command."""
    parts = [
        "# Commands\n",
        WRITTEN_BY,
        "Exit codes are in [errors](errors.md). `-o` and `--data-dir` may stand anywhere: "
        "`phoenix pipeline list -o json`.\n",
    ]
    for path, context in commands():
        text = "\n".join(line.rstrip() for line in context.command.get_help(context).splitlines())
        parts.append(f"## {path}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


# The API.


def routes() -> Iterator[tuple[str, str, str]]:
    """Method, path and first line of the description of every route."""
    from fastapi import APIRouter
    from starlette.routing import Route

    routers = [
        each
        for module in modules("phoenix.api")
        for each in vars(module).values()
        if isinstance(each, APIRouter)
    ]
    found = {
        (route.path, method, (inspect.getdoc(route.endpoint) or "").partition("\n\n")[0])
        for router in routers
        for route in router.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    for path, method, text in sorted(found):
        yield method, path, " ".join(text.split())


def api_page() -> str:
    """One row per route."""
    rows = [f"| `{method} {path}` | {cell(text)} |" for method, path, text in routes()]
    return "\n".join(
        [
            "# API\n",
            WRITTEN_BY,
            "Refusals are problem documents (RFC 9457); see [errors](errors.md). The full schema "
            "is at `GET /openapi.json` of a running API.\n",
            "| Route | Does |",
            "|---|---|",
            *rows,
            "",
            *_REQUESTS,
        ]
    )


_REQUESTS = (
    "## Requests\n",
    "- A body is one JSON document in UTF-8, sent as `application/json`, uncompressed, of at most "
    '2 MiB, within 10 s. Every field is typed exactly: `1.0` is no whole number, `"1"` neither; a '
    "key given twice, an unknown field, NUL, half a surrogate pair and NaN are refused.",
    "- A query parameter that a route does not have, or that is given twice, is refused: a "
    "misspelt filter would show the wrong answer.",
    "- `HEAD` is `GET` without its body; `OPTIONS` and 405 name the methods in `Allow`.",
    "- `Idempotency-Key` (1 to 255 visible ASCII characters) on `POST /api/v1/experiments`: the "
    "same key with the same body gets the first answer again, with `Idempotency-Replayed: true`; "
    "with another body it is refused. A refusal does not spend the key.",
    "- `Host` is a loopback name; no other is answered, so that no web page reaches the API.",
    "- Every answer has an `X-Request-Id`, yours if you sent one; 503 and 429 have `Retry-After`.",
    "",
)


# Errors.


_NO_DOOR = "phoenix.testing."


def errors() -> list[type[Any]]:
    """Every refusal, sorted by code."""
    from phoenix.base.errors import PhoenixError

    list(modules())  # a class exists once its module is imported

    def below(parent: type[Any]) -> Iterator[type[Any]]:
        for child in parent.__subclasses__():
            yield child
            yield from below(child)

    # What tests and measurements run on the side reaches no door.
    found = {each for each in below(PhoenixError) if not each.__module__.startswith(_NO_DOOR)}
    return sorted(found, key=lambda each: (each.code, each.__module__))


def errors_page() -> str:
    """One row per code: what it means, and its number at each door."""
    from phoenix.api.problems import STATUS
    from phoenix.cli.exits import EXIT_CODES, VERDICT_EXITS

    rows = []
    for error in errors():
        category = next((each for each in STATUS if issubclass(error, each)), None)
        if category is not None:
            says = (inspect.getdoc(error) or "").partition("\n\n")[0]
            rows.append(
                f"| `{error.code}` | {category.__name__} | {STATUS[category]} "
                f"| {EXIT_CODES[category]} | {cell(' '.join(says.split()))} |"
            )
    framing = [f"| `{code}` | {status} |" for status, code in framing_codes()]
    verdicts = ", ".join(f"{code} `{name}`" for name, code in VERDICT_EXITS.items())
    return "\n".join(
        [
            "# Errors\n",
            WRITTEN_BY,
            "Every refusal has a stable code, says what happened and what to do. Its category "
            "decides the HTTP status and the exit code.\n",
            f"`phoenix experiment run` exits with its verdict: {verdicts}.\n",
            "Refusals of a server reach the command line with the same code, in brackets behind "
            "the message. A mistake of Phoenix itself exits 1.\n",
            "| Code | Category | HTTP | Exit | Means |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "## Requests that are not what HTTP or JSON say they are\n",
            "The API answers these before it looks at what is asked, and 405 "
            "`method_not_allowed`; the exit code is 2, and 4 for 404.\n",
            "| Code | HTTP |",
            "|---|---|",
            *framing,
            "",
        ]
    )


def framing_codes() -> list[tuple[int, str]]:
    """Status and code of every `Malformed(...)` in our code, read without running it."""
    found = set()
    for path in sorted((machine.ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "Malformed"
                and len(node.args) > 1
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[1], ast.Constant)
            ):
                found.add((int(str(node.args[0].value)), str(node.args[1].value)))
    return sorted(each for each in found if each[0] < 500)


# Metrics.


def metrics() -> list[tuple[str, str, str]]:
    """Name, kind and help of every metric that our code declares, read without running it."""
    found = []
    for path in sorted((machine.ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or len(node.args) < 2:
                continue
            kind = getattr(node.func, "id", getattr(node.func, "attr", ""))
            name, text = node.args[0], node.args[1]
            if (
                kind.removesuffix("MetricFamily") in METRIC_KINDS
                and isinstance(name, ast.Constant)
                and isinstance(text, ast.Constant)
            ):
                found.append((str(name.value), kind.removesuffix("MetricFamily"), str(text.value)))
    return sorted(set(found))


def metrics_page() -> str:
    """One row per metric."""
    rows = [f"| `{name}` | {kind.lower()} | {cell(text)} |" for name, kind, text in metrics()]
    return "\n".join(
        [
            "# Metrics\n",
            WRITTEN_BY,
            "What Phoenix says of itself at `GET /metrics`, in Prometheus's text format.\n",
            "| Metric | Kind | Says |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def cell(text: str) -> str:
    """Text that stays inside its cell."""
    return text.replace("|", "\\|")


def settings_page() -> str:
    """One row per variable: what it is, what it is unless set, and why."""
    from phoenix.pipelines.render import ENVIRONMENT
    from phoenix.settings import SETTINGS

    rows = [
        f"| `{s.variable}` | {cell(s.unit)} | {f'`{s.default}`' if s.default else '-'} | "
        f"{cell(s.reason)} |"
        for s in SETTINGS
    ]
    inside = [f"| `{name}` | {cell(text)} |" for name, text in ENVIRONMENT.items()]
    return "\n".join(
        [
            "# Settings\n",
            WRITTEN_BY,
            "Read once from the environment when a process starts. A value that cannot be used is "
            "an error that says what can be.\n",
            "| Variable | Unit | Default | Why |",
            "|---|---|---|---|",
            *rows,
            "",
            "## Inside rendered configurations\n",
            "Rendered collector configurations hold no port and no secret; they name these "
            "variables, which whoever starts the collector sets.\n",
            "| Variable | Read by, and what it is |",
            "|---|---|",
            *inside,
            "",
        ]
    )


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "commands.md": commands_page,
    "api.md": api_page,
    "errors.md": errors_page,
    "metrics.md": metrics_page,
}


def main() -> int:
    """Write every page that changed and name it."""
    PAGES_FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        path: Path = PAGES_FOLDER / name
        text = page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote docs/reference/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
