"""The whole log, checked against itself: entries, leaves, tiles, state, and every checkpoint.

Everything is computed again from the bytes of entries. Each finding says which check made it, so
that somebody who repairs or investigates knows where to look. Without findings the stored log is
exactly the one that was signed, up to its newest checkpoint; what a checkpoint held by somebody
outside says on top of that, only he can tell.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

from phoenix.base.errors import PhoenixError
from phoenix.ledger import checkpoint, note, store, tiles
from phoenix.ledger.errors import ProofRejected
from phoenix.ledger.keys import VerifierKey
from phoenix.ledger.store import Published, State
from phoenix.ledger.tiles import WIDTH
from phoenix.ledger.tree import Frontier, leaf_hash
from phoenix.storage.database import Database, Transaction

_BATCH = 4 * WIDTH
_FINDINGS_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that does not agree: which check saw it, and what."""

    check: str
    what: str


@dataclass(slots=True)
class Report:
    """What was checked and what was found."""

    entries: int = 0
    tiles: int = 0
    checkpoints: int = 0
    waiting: int = 0
    root: bytes = b""
    findings: list[Finding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def found(self, check: str, what: str) -> None:
        """Keep a finding; a damaged log can have as many as entries."""
        if len(self.findings) < _FINDINGS_MAX:
            self.findings.append(Finding(check=check, what=what))


async def fsck(
    database: Database,
    keys: Iterable[VerifierKey],
    outside: Iterable[Published] = (),
) -> Report:
    """Check the whole log in one snapshot.

    Args:
        database: where the log is.
        keys: whose signatures count.
        outside: checkpoints that were kept elsewhere; each must be one of this log too.

    Raises:
        Unavailable: the database cannot be reached.
    """
    report, trusted = Report(), list(keys)
    async with database.transaction() as tx:
        await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        state = await store.state(tx)
        marks = [each async for each in _checkpoints(tx)]
        report.checkpoints = len(marks)
        for each in marks:
            _check_note(report, each, state, trusted)
        roots = [(each.size, each.root, "checkpoint") for each in marks]
        roots += [(each.size, each.root, "outside") for each in outside]
        frontier = await _check_entries(tx, report, sorted(roots))
        _check_state(report, state, frontier)
        await _check_tiles(tx, report, frontier.size)
        report.waiting = len(await store.outbox(tx))
    report.root = frontier.root()
    return report


async def _checkpoints(tx: Transaction) -> AsyncIterator[Published]:
    after = 0
    while batch := await store.checkpoints(tx, after, _BATCH):
        for each in batch:
            yield each
        after = batch[-1].size


def _check_note(
    report: Report, published: Published, state: State, keys: list[VerifierKey]
) -> None:
    name = f"checkpoint {published.size}"
    try:
        signed = note.parse(published.note)
        signed.verified_by(keys)
        said = checkpoint.parse(signed.text)
    except PhoenixError as error:
        report.found("note", f"{name}: {error.message}")
        return
    if (said.origin, said.size, said.root) != (state.origin, published.size, published.root):
        report.found("note", f"{name}: its note speaks of another tree than its row")


async def _check_entries(
    tx: Transaction, report: Report, roots: list[tuple[int, bytes, str]]
) -> Frontier:
    """Every entry from the first on, and the root at every size that somebody signed."""
    frontier, waiting, whole = Frontier(), list(roots), True
    while whole and (batch := await store.entries(tx, frontier.size, frontier.size + _BATCH)):
        for each in batch:
            if each.seq != frontier.size:
                report.found("sequence", f"entry {frontier.size} is missing")
                whole = False
                break
            leaf = leaf_hash(each.entry)
            if leaf != each.leaf:
                report.found("leaf", f"entry {each.seq} is not what its leaf says")
            frontier.extend([leaf])
            while waiting and waiting[0][0] == frontier.size:
                _, root, whose = waiting.pop(0)
                if root != frontier.root():
                    report.found(whose, f"size {frontier.size}: the entries have another root")
        report.entries = frontier.size
    for size, _, whose in waiting:
        report.found(whose, f"size {size} was signed; there are {frontier.size} entries")
    return frontier


def _check_state(report: Report, state: State, frontier: Frontier) -> None:
    if state.size != frontier.size:
        report.found("state", f"the state says {state.size} entries, there are {frontier.size}")
    try:
        kept = Frontier.from_bytes(state.size, state.frontier)
    except ProofRejected as error:
        report.found("state", error.message)
        return
    if kept.root() != state.root:
        report.found("state", "the frontier of the state has another root than the state")
    if state.size == frontier.size and state.root != frontier.root():
        report.found("state", "the entries have another root than the state")


async def _check_tiles(tx: Transaction, report: Report, size: int) -> None:
    """Every full tile against the row below it."""
    level, end = 0, size // WIDTH
    while end:
        for first in range(0, end, 64):
            last = min(end, first + 64)
            below = await store.row(tx, level, first * WIDTH, last * WIDTH)
            made = dict(tiles.full_tiles(first * WIDTH, below))
            kept = {
                n: (data, root) for n, data, root in await store.full_tiles(tx, level, first, last)
            }
            for n in range(first, last):
                path = tiles.Tile(level=level, n=n).path
                data, root = kept.get(n, (b"", b""))
                if data != made.get(n):
                    report.found("tile", f"{path} is not what the row below it says")
                elif root != tiles.tile_root(data):
                    report.found("tile", f"the root of {path} is not that of its hashes")
            report.tiles += len(kept)
        level, end = level + 1, end // WIDTH
