"""`phoenix audit`: what an auditor takes home, each line with the evidence for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from phoenix.base.errors import Invalid, NotFound
from phoenix.cli import output
from phoenix.cli.client import connect

app = typer.Typer(no_args_is_help=True, help="Reports for auditors, proved by the ledger.")


@app.command()
def report(
    since: Annotated[str, typer.Option("--from", help="2026-11-01, or 2026-11-01T00:00:00Z.")],
    until: Annotated[str, typer.Option("--to", help="The same, not included.")],
    out: Annotated[Path, typer.Option("--out", help="A folder for the three files.")] = Path(
        "audit"
    ),
    key: Annotated[str, typer.Option("--key", metavar="VKEY", help="The key as you know it.")] = "",
) -> None:
    """Who changed, stopped, or was refused what, and why: HTML, CSV, and the bundle that proves it.

    Every entry is verified first, and every line is read from a verified entry.

    Example: phoenix audit report --from 2026-11-01 --to 2026-12-01 --out audit-2026-11
    """
    from phoenix.base.clock import SystemClock
    from phoenix.cli import evidence
    from phoenix.ledger import audit, bundle

    first, end = _instant(since), _instant(until)
    client = connect()
    keys = evidence.parsed([key]) if key else evidence.the_keys(client)
    indexes = sorted(evidence.indexes_between(client, first, end))
    if not indexes:
        raise NotFound("Nothing is in the ledger from then to then.", remedy="Widen --from, --to.")
    signed = evidence.newest(client)
    signer = evidence.signer_of(signed, keys)
    files = list(evidence.proved(client, indexes, keys, signed))
    lines = [audit.line(index, data) for index, (_, data) in zip(indexes, files[::2], strict=True)]
    contents = [*bundle.head(signed, signer), *files]
    shown = bundle.verify(contents, keys).checkpoint
    out.mkdir(parents=True, exist_ok=True)
    bundle.write(out / "evidence.tar", contents)
    output.write(out / "report.csv", audit.table(lines))
    page = audit.page(
        lines, since=first, until=end, origin=shown.origin, size=shown.size, root=shown.root.hex(),
        vkey=signer.text, made_at=SystemClock().now(),
    )  # fmt: skip
    output.write(out / "report.html", page)
    output.show(
        {"entries": len(lines), "files": [str(out / name) for name in _FILES]},
        lambda: f"{len(lines)} entries, each proved: {', '.join(str(out / n) for n in _FILES)}",
    )


_FILES = ("report.html", "report.csv", "evidence.tar")


def _instant(text: str) -> datetime:
    """A day, which begins at midnight UTC, or an instant.

    Raises:
        Invalid: neither.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"'{text}' is no time.", remedy="For example 2026-11-01.") from error
    if found.tzinfo is None and len(text) > len("2026-11-01"):
        raise Invalid(f"'{text}' has no zone.", remedy="Add Z for UTC.")
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
