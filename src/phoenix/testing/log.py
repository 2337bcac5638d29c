"""A log for tests: a signer in the same process, and entries with little in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from phoenix.ledger import service
from phoenix.ledger.model import Actor, Entry, entry
from phoenix.ledger.ports import Signed
from phoenix.ledger.signing import Signer
from phoenix.storage.database import Database

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


class LocalSigner:
    """The real signer, without a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.signer = Signer(folder)

    async def last(self) -> Signed:
        """What was signed last."""
        return Signed(key=self.signer.last.key, note=self.signer.last.note)

    async def sign(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        """The signed note of a larger tree."""
        return self.signer.sign(size, root, list(proof))

    def close(self) -> None:
        """Let another one use the folder."""
        self.signer.close()


def an_entry(target: str, **more: str) -> Entry:
    """Somebody did something to `target`."""
    return entry(
        kind="test", at=AT, actor=Actor(type="person", id="ada"), action="test.do", target=target,
        outcome="done", **more,
    )  # fmt: skip


async def record(database: Database, *targets: str) -> dict[UUID, bytes]:
    """One transaction with an entry for each target; their bytes by receipt."""
    made = [an_entry(each) for each in targets]
    async with database.transaction() as tx:
        for each in made:
            await service.record(tx, each)
    return {each.id: each.to_bytes() for each in made}
