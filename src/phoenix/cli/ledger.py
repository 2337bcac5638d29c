"""`phoenix ledger`: read the evidence, take it along, and verify it without anybody's help.

`verify` needs no server, `fsck` only the database; the others ask the API, and verify what it says.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from phoenix.base.errors import Invalid, NotFound
from phoenix.cli import output
from phoenix.cli.client import Client, connect

if TYPE_CHECKING:
    from phoenix.ledger.bundle import Verified
    from phoenix.ledger.keys import VerifierKey
    from phoenix.ledger.store import Published

app = typer.Typer(
    no_args_is_help=True,
    help="Who did what, when, why, with which result; proofs of it, and how to verify them.",
)

_LOG = "/api/v1/log"
_PAGE = 200
_POLL_S = 0.5

Keys = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="VKEY", help="The log's key as you know it; may be repeated."),
]
Which = Annotated[str, typer.Argument(help="An index, or the identifier of a receipt.")]


@app.command()
def search(
    actor: Annotated[str, typer.Option("--actor", help="Who.")] = "",
    action: Annotated[str, typer.Option("--action", help="For example safety.kill.")] = "",
    target: Annotated[str, typer.Option("--target", help="For example exp-abc12345.")] = "",
    outcome: Annotated[str, typer.Option("--outcome", help="For example refused.")] = "",
    since: Annotated[str, typer.Option("--since", help="2026-01-31T00:00:00Z")] = "",
    until: Annotated[str, typer.Option("--until", help="The same, not included.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
) -> None:
    """Lines of the audit log, newest first.

    Examples:

      phoenix ledger search --target exp-abc12345

      phoenix ledger search --actor ada --outcome refused -o json
    """
    asked = {
        "actor": actor, "action": action, "target": target, "outcome": outcome, "since": since,
        "until": until,
    }  # fmt: skip
    query: dict[str, Any] = {k: v for k, v in asked.items() if v} | {"limit": limit}
    found = connect().call("GET", f"{_LOG}/entries", params=query)["items"]
    output.show(found, lambda: _table(found) if found else "Nothing of that is in the ledger.")


@app.command()
def tail(
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, max=1000)] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as entries come.")] = False,
) -> None:
    """The newest lines of the audit log, oldest first.

    Example: phoenix ledger tail --follow
    """
    client = connect()
    found = client.call("GET", f"{_LOG}/entries", params={"limit": lines})["items"][::-1]
    output.show(found, lambda: _table(found) if found else "The ledger is empty.")
    last = found[-1]["index"] if found else -1
    while follow:
        time.sleep(_POLL_S)
        newer = client.call("GET", f"{_LOG}/entries", params={"limit": _PAGE})["items"][::-1]
        for each in newer:
            if each["index"] > last:
                last = each["index"]
                sys.stdout.write(_line(each) + "\n")
        sys.stdout.flush()


@app.command()
def show(which: Which) -> None:
    """One entry, and how far it has come.

    Example: phoenix ledger show 17
    """
    client = connect()
    found = _where(client, which)
    if "index" not in found:
        output.show(found, lambda: f"{found['id']} is {found['state']}")
        return
    (entry,) = client.files([f"{_LOG}/entries/{found['index']}"])
    told = {**found, "entry": json.loads(entry)}
    output.show(
        told,
        lambda: output.table(
            ("field", "value"),
            [
                ("index", found["index"]),
                ("state", found["state"]),
                *((name, _words(value)) for name, value in told["entry"].items()),
            ],
            whole=("field",),
        ),
    )


@app.command()
def prove(
    which: Which,
    out: Annotated[Path, typer.Option("--out", help="A folder for the two files.")] = Path(),
) -> None:
    """Write an entry and its receipt into files, once they were verified.

    Example: phoenix ledger prove 17 --out evidence
    """
    from phoenix.cli import evidence

    client = connect()
    index = _where(client, which).get("index")
    if index is None:
        raise NotFound("The entry is not in the log yet.", remedy="Try again in a second.")
    keys, signed = evidence.the_keys(client), evidence.newest(client)
    (_, entry), (_, receipt) = evidence.proved(client, [index], keys, signed)
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{index}.json", out / f"{index}.tlog-proof"]
    for path, data in zip(paths, (entry, receipt), strict=True):
        path.write_bytes(data)
    output.show(
        {"index": index, "files": [str(each) for each in paths]},
        lambda: f"entry {index} is proved: {paths[0]}, {paths[1]}",
    )


@app.command()
def export(
    bundle: Annotated[Path, typer.Argument(help="The tar file to write.")],
    target: Annotated[str, typer.Option("--target", help="Only entries about it.")] = "",
    indexes: Annotated[
        list[int] | None, typer.Option("--index", help="Only these entries; may be repeated.")
    ] = None,
    key: Keys = None,
) -> None:
    """Write evidence that a stranger can verify: the whole log, or what is about one thing.

    Everything is verified before it is written.

    Examples:

      phoenix ledger export log.tar

      phoenix ledger export exp.tar --target exp-abc12345
    """
    from phoenix.cli import evidence
    from phoenix.ledger import bundle as packing

    client = connect()
    keys = evidence.parsed(key) or evidence.the_keys(client)
    wanted = list(indexes or [])
    if target:
        wanted += [each["index"] for each in evidence.all_about(client, target)]
        if not wanted:
            raise NotFound(f"The ledger has nothing about '{target}'.", remedy="See: search.")
    signed = evidence.newest(client)
    head = packing.head(signed, evidence.signer_of(signed, keys))
    part = bundle.with_name(f"{bundle.name}.part")
    try:
        packing.write(part, evidence.contents(client, head, sorted(set(wanted)), keys))
        verified = packing.verify(packing.read(part), keys)
        part.replace(bundle)
    finally:
        part.unlink(missing_ok=True)
    output.show(_told(verified, bundle), lambda: f"wrote {bundle}: {_sentence(verified)}")


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="A tar file of `export`, or its folder.")],
    key: Keys = None,
) -> None:
    """Verify evidence, without a server. Exits 9 when it does not hold.

    Without --key the key in the bundle is taken, which shows only that the bundle agrees with
    itself.

    Example: phoenix ledger verify log.tar --key 'phoenix.local/…+1a2b3c4d+AQ…'
    """
    from phoenix.cli import evidence
    from phoenix.ledger import bundle as packing

    keys = evidence.parsed(key)
    verified = packing.verify(packing.read(bundle), keys)
    if not keys:
        sys.stderr.write(
            f"note: verified under the bundle's own key {verified.keys[0].text}\n"
            "  Compare it with the one you know, or give it: --key VKEY\n"
        )
    output.show(_told(verified, bundle), lambda: f"verified: {_sentence(verified)}")


@app.command()
def fsck(
    key: Keys = None,
    outside: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A checkpoint kept elsewhere; may be repeated."),
    ] = None,
) -> None:
    """Check the whole log in the database against itself. Exits 9 when something differs.

    Example: phoenix ledger fsck --checkpoint checkpoint-of-last-month
    """
    import asyncio

    from phoenix.cli import evidence
    from phoenix.ledger.errors import LogDamaged
    from phoenix.processes.checking import check
    from phoenix.settings import data_dir

    keys = evidence.parsed(key)
    report = asyncio.run(check(data_dir(), keys, [_outside(each, keys) for each in outside or []]))
    told = {
        "entries": report.entries,
        "tiles": report.tiles,
        "checkpoints": report.checkpoints,
        "waiting": report.waiting,
        "root": report.root.hex(),
        "findings": [{"check": each.check, "what": each.what} for each in report.findings],
    }
    output.show(
        told,
        lambda: (
            f"sound: {report.entries} entries, {report.tiles} full tiles,"
            f" {report.checkpoints} checkpoints; {report.waiting} wait"
            if report.sound
            else output.table(("check", "what"), [(f.check, f.what) for f in report.findings])
        ),
    )
    if not report.sound:
        raise LogDamaged(
            f"The log does not agree with itself in {len(report.findings)} places.",
            remedy="Keep the database as it is, as evidence, and look at what differs.",
        )


def _where(client: Client, which: str) -> dict[str, Any]:
    """How far an entry is, named by its index or its receipt."""
    if not which.isdigit():
        found: dict[str, Any] = client.call("GET", f"/api/v1/receipts/{quote(which, safe='')}")
        return found
    return {"index": int(which), "state": "checkpointed"}


def _outside(path: Path, keys: list[VerifierKey]) -> Published:
    """A checkpoint from a file, as a mark that the log has to pass through."""
    from datetime import UTC, datetime

    from phoenix.ledger import checkpoint, note
    from phoenix.ledger.store import Published

    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotFound(f"There is no file '{path}'.", remedy="Check the path.") from error
    signed = note.parse(data)
    if keys:
        signed.verified_by(keys)
    said = checkpoint.parse(signed.text)
    if said.size == 0:
        raise Invalid("A checkpoint of an empty log says nothing.", remedy="Give another.")
    return Published(size=said.size, root=said.root, note=data, at=datetime.fromtimestamp(0, UTC))


def _told(verified: Verified, bundle: Path) -> dict[str, Any]:
    said = verified.checkpoint
    return {
        "bundle": str(bundle),
        "origin": said.origin,
        "size": said.size,
        "root": said.root.hex(),
        "keys": [each.text for each in verified.keys],
        "entries": verified.entries,
        "proofs": verified.proofs,
        "whole": verified.whole,
    }


def _sentence(verified: Verified) -> str:
    said = verified.checkpoint
    what = (
        f"all {verified.entries} entries"
        if verified.whole
        else f"{verified.entries} of {said.size} entries"
    )
    return f"{what} of {said.origin}, signed by {verified.keys[0].id.hex()}"


def _table(found: list[dict[str, Any]]) -> object:
    return output.table(
        ("index", "at (UTC)", "who", "what", "target", "result", "why"),
        [
            (
                e["index"], (e["at"] or "")[:19].replace("T", " "), e["who"] or "", e["what"] or "",
                e["target"] or "", e["result"] or "", e["why"] or "",
            )
            for e in found
        ],
        whole=("index", "at (UTC)"),
    )  # fmt: skip


def _line(found: dict[str, Any]) -> str:
    from phoenix.experiments.report.reading import visible

    if output.WANTED.form == "json":
        return json.dumps(found)
    parts = [str(found["index"]), *(str(found[n] or "") for n in _COLUMNS)]
    return visible("  ".join(each for each in parts if each))


_COLUMNS = ("at", "who", "what", "target", "result", "why")


def _words(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={text}" for name, text in value.items())
    return str(value)
