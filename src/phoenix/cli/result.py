"""The end of an experiment: the result is printed, and report.json and report.html are written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from phoenix.cli import output
from phoenix.cli.client import connect
from phoenix.experiments.report.reading import visible


def deliver(found: dict[str, Any]) -> Path | None:
    """Write both reports of a completed experiment and print the result; None without a verdict."""
    if found["state"] != "completed":
        # It may name a process or quote a collector; a terminal obeys escape sequences.
        why = visible(found.get("error_message") or "")
        sys.stderr.write(f"{found['id']} {found['state']}: {why}\n")
        output.show(found, lambda: None)
        return None
    document = connect().call("GET", f"/api/v1/experiments/{found['id']}/report")
    from phoenix.cli import views

    # The result first: it is worth reading also where no file can be written.
    output.show(document, lambda: views.report(document))
    from phoenix.experiments.report import html

    folder = _folder(found["id"])
    output.write(folder / "report.json", json.dumps(document, indent=2))
    page = folder / "report.html"
    output.write(page, html.render(document))
    sys.stderr.write(f"report: {page}\njson:   {folder / 'report.json'}\n")
    return page


def _folder(experiment_id: str) -> Path:
    from phoenix.settings import data_dir

    folder = data_dir() / "reports" / experiment_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder
