"""Check the ledger of this machine's Phoenix, over its database alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from phoenix.ledger import keys as parsing
from phoenix.ledger.fsck import Report, fsck
from phoenix.ledger.keys import VerifierKey
from phoenix.ledger.log import Log
from phoenix.ledger.store import Published
from phoenix.processes import reaching


async def check(
    data_dir: Path, keys: Sequence[VerifierKey], outside: Sequence[Published]
) -> Report:
    """The whole log against itself, under `keys` or else those that the log names.

    Raises:
        Unavailable: the database cannot be reached.
        Invalid: Phoenix runs over another database.
    """
    database = reaching.database(data_dir)
    await database.open()
    try:
        trusted = list(keys) or [parsing.parse(k.vkey) for k in await Log(database).keys()]
        return await fsck(database, trusted, outside)
    finally:
        await database.close()
