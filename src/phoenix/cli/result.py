"""The end of an experiment: report.json and report.html are written, and the result is printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from phoenix.cli import output
from phoenix.cli.client import connect


def deliver(found: dict[str, Any]) -> Path | None:
    """Write both reports of a completed experiment and print the result; None without a verdict."""
    if found["state"] != "completed":
        sys.stderr.write(f"{found['id']} {found['state']}: {found.get('error_message') or ''}\n")
        output.show(found, lambda: None)
        return None
    document = connect().call("GET", f"/api/v1/experiments/{found['id']}/report")
    folder = _folder(found["id"])
    (folder / "report.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    from phoenix.experiments.report import html

    page = folder / "report.html"
    page.write_text(html.render(document), encoding="utf-8")
    from phoenix.cli import views

    output.show(document, lambda: views.report(document))
    sys.stderr.write(f"report: {page}\njson:   {folder / 'report.json'}\n")
    return page


def _folder(experiment_id: str) -> Path:
    from phoenix.settings import data_dir

    folder = data_dir() / "reports" / experiment_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder
