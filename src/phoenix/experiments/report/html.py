"""The report as one page: a single file without a script or a request to anywhere.

It is read on a dark or a light screen, on paper, and by a screen reader, and it may be mailed: so
everything is inside, and every name (any program may call itself what it likes) is escaped by the
template engine and shown without control characters. The same document gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.exceptions import UndefinedError
from markupsafe import Markup

from phoenix.experiments.report import plots, text
from phoenix.experiments.report.reading import checked, drawing

_TEMPLATES = Path(__file__).with_name("templates")
ROWS_MAX = 400
NAMES_FIRST = 20
_OUTCOMES = {
    "adopt_candidate": ("good", "✓", "Adopt the candidate"),
    "keep_baseline": ("bad", "✕", "Keep the baseline"),
    "needs_tuning": ("warn", "◐", "Needs tuning"),
    "inconclusive": ("warn", "?", "Inconclusive"),
}
_SCOPES = {
    "window": "this host, this window",
    "long_run": "the long run, on hosts like this one",
}
_EMITS = (
    ("series", "active series", text.count),
    ("points", "data points", text.count),
    ("raw_bytes", "bytes", text.kib),
    ("wire_bytes", "bytes, compressed", text.kib),
    ("series_over_the_run", "distinct series over the run", text.count),
)


def render(document: Mapping[str, Any]) -> str:
    """The page of a report document.

    Raises:
        ReportUnreadable: it is no report, or some part of it is not what it should be.
    """
    report = checked(document)
    with drawing(UndefinedError):
        return _template().render(_known(report))


def _known(report: Mapping[str, Any]) -> dict[str, Any]:
    verdict = report["verdict"]
    colour, sign, outcome = _OUTCOMES[verdict["outcome"]]
    return {
        "r": report,
        "colour": colour,
        "sign": sign,
        "outcome": outcome,
        "scope": _SCOPES[verdict["scope"]],
        "tiles": _tiles(report),
        "emits": [(label, report["reduction"][key], form) for key, label, form in _EMITS],
        "figures": [
            # Markup: our own drawing, whose texts `svg` escaped.
            (figure, Markup(figure.drawing))  # noqa: S704
            for figure in plots.all_of(report)
        ],
        "changes": _changes(report["configurations"]["diff"]),
        "rows": report["series"]["ticks"][:ROWS_MAX],
        "inputs": [_inputs(card) for card in report["costs"]["cards"]],
        "first_names": NAMES_FIRST,
    }


def _tiles(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What a reader takes home: figure, what it is, and beside what."""
    series, over = report["reduction"]["series"], report["reduction"]["series_over_the_run"]
    guardrails = {g["name"]: g for g in report["verdict"]["guardrails"]}
    tiles = [
        (
            text.percent(series["saved"]),
            "of the series saved per scrape",
            f"{text.count(series['baseline'])} → {text.count(series['candidate'])};"
            f" over the run {text.percent(over['saved'])}",
        )
    ]
    for name, label in (
        ("coverage", "critical processes"),
        ("conservation", "largest difference of a total"),
        ("collector_cpu", "candidate's collector"),
    ):
        if name in guardrails:
            measured = guardrails[name]
            tiles.append((measured["measured"], label, f"required: {measured['required']}"))
    return tiles


def _inputs(card: Mapping[str, Any]) -> list[str]:
    """What a cost was computed from: `raw bytes: 17875900 → 2568400 bytes in the window`."""
    lines = []
    for b, c in zip_longest(card["baseline"]["inputs"], card["candidate"]["inputs"]):
        if b is None or c is None or b == c:
            lines.append(b or c)
            continue
        name, _, amount = b.partition(": ")
        number, _, unit = amount.partition(" ")
        lines.append(f"{name}: {number} → {c.removeprefix(f'{name}: ').split(' ')[0]} {unit}")
    return lines


def _changes(diff: str | None) -> list[tuple[str, str]]:
    """The lines of a unified diff, each with its class."""
    kinds = (("+++", "file"), ("---", "file"), ("@@", "at"), ("+", "plus"), ("-", "minus"))
    return [
        (next((kind for start, kind in kinds if line.startswith(start)), ""), line)
        for line in (diff or "").splitlines()
    ]


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        count=text.count,
        percent=text.percent,
        fine=text.fine,
        mib=text.mib,
        seconds=text.seconds,
    )
    return environment.get_template("report.html.j2")
