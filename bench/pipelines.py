"""What every pipeline of the catalog keeps, hides and costs, on the same recorded hours.

    .venv/bin/python bench/record.py --load realistic --minutes 60 --out FOLDER
    .venv/bin/python bench/pipelines.py --recording FOLDER [--pipelines NAME,…] [-o table|json]

Each pipeline runs in the real collector, as an arm of an experiment, and is handed the recorded
scrapes one after the other as fast as it takes them: its own recorded scrape if it reads the
processes in its own way. Time is that of the data. Without a recording, one of two minutes is made.
What the words mean stands in docs/reference/figures.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from figuring import front, page, replays, summary, targets, words
from load import DATA_DIR, machine
from phoenix.base.clock import SystemClock, rfc3339
from phoenix.collectors import distribution
from phoenix.pipelines import catalog
from phoenix.pipelines.critical import DEFAULT_CRITICAL, parse

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recording", type=Path, help="a folder that bench/record.py wrote")
    parser.add_argument("--pipelines", help="names with commas between; all of the catalog")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    parser.add_argument("--critical", help="rules with commas between, for the default ones")
    parser.add_argument("--collector", type=Path, help="one that is built; else it is built")
    parser.add_argument("--minutes", type=float, help="only that much of the recording")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    parser.add_argument("--save", type=Path, help="write the JSON to this file as well")
    parser.add_argument("--svg", type=Path, help="draw the front into this file")
    parser.add_argument("--page", action="store_true", help="write the page of kept results")
    asked = parser.parse_args()
    if asked.page:
        print("\n".join(str(path.relative_to(ROOT)) for path in page.write()))
        return
    with tempfile.TemporaryDirectory() as folder:
        # A copy: a build that somebody makes meanwhile may take the older ones away.
        built = asked.collector or distribution.build(DATA_DIR)
        binary = shutil.copy(built, Path(folder) / distribution.COLLECTOR)
        found = measure(asked, asked.recording or record(Path(folder) / "recording"), binary)
    if asked.svg:
        asked.svg.write_text(front.drawn(found))
    if asked.output == "json":
        print(written(found), end="")
        return
    console = Console(width=200)
    console.print(words.title(found))
    for table in words.tables(found):
        console.print(table)
    console.print(front.told(found), markup=False)
    console.print(targets.told(found), markup=False)


def record(folder: Path) -> Path:
    """A recording of two minutes, for a first look."""
    command = [sys.executable, ROOT / "bench" / "record.py", "--interval", "2", "--out", folder]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return folder


def measure(asked: argparse.Namespace, folder: Path, binary: Path) -> dict[str, Any]:
    """All pipelines on one recording."""
    given = replays.recorded(folder, asked.minutes)
    names = asked.pipelines.split(",") if asked.pipelines else everyone()
    settings = dict(each.split("=", maxsplit=1) for each in asked.settings)
    rules = [parse(each) for each in asked.critical.split(",")] if asked.critical else None
    rows: list[dict[str, Any]] = []
    found = {
        "commit": commit(),
        "machine": machine(),
        "settings": settings | ({"critical": asked.critical} if rules else {}),
        "recording": {
            "name": folder.name,
            "load": given.manifest.load,
            "interval_s": given.manifest.interval_s,
            "started_at": given.manifest.started_at,
            "isolated": given.manifest.isolated,
            "collector": given.manifest.collector,
            "scrapes": len(given.truth),
            "counted": len(given.truth) - given.settled,
        },
        "pipelines": rows,
    }
    for name in names:
        rows.append(
            summary.summed_up(replays.run(name, given, binary, settings, rules or DEFAULT_CRITICAL))
        )
        summary.against(rows)
        found["date"] = rfc3339(SystemClock().now())
        if asked.save:  # after each, so that nothing is lost when the next one fails
            asked.save.write_text(written(found))
        print(f"{found['date']} {name}", file=sys.stderr, flush=True)
    return found


def written(found: dict[str, Any]) -> str:
    """As it is kept."""
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def everyone() -> list[str]:
    """The catalog without what it has for demonstrations, the baseline first."""
    names = [name for name in catalog.names() if not catalog.load(name).demonstration]
    return sorted(names, key=lambda name: name != replays.BASELINE)


def commit() -> str:
    """What was measured; `+` when the tree had changes."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
