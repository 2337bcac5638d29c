"""Check the ledger of this machine's Phoenix, over its database alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from phoenix.ledger import keys as parsing
from phoenix.ledger.anchor import Anchored, Folder
from phoenix.ledger.fsck import Report, fsck
from phoenix.ledger.keys import VerifierKey
from phoenix.ledger.log import Log
from phoenix.ledger.store import Published
from phoenix.processes import reaching
from phoenix.settings import load


async def check(
    data_dir: Path, keys: Sequence[VerifierKey], outside: Sequence[Published]
) -> Report:
    """The whole log against itself and every checkpoint outside, under `keys` or else its own.

    Raises:
        Unavailable: the database cannot be reached.
        Invalid: Phoenix runs over another database.
    """
    database = reaching.database(data_dir)
    await database.open()
    try:
        settings = load()
        trusted = list(keys) or [parsing.parse(k.vkey) for k in await Log(database).keys()]
        kept = list(outside)
        if settings.ledger_anchor is not None:
            folder = Folder(settings.ledger_anchor)
            kept += [_mark(each) for key in trusted for each in folder.kept(key)]
        return await fsck(database, trusted, kept)
    finally:
        await database.close()


def _mark(kept: Anchored) -> Published:
    said = kept.checkpoint
    at = datetime.fromtimestamp(kept.path.stat().st_mtime, UTC)
    return Published(size=said.size, root=said.root, note=kept.note, at=at)
