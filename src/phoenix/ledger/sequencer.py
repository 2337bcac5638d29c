"""Outbox to log: give entries their places, then sign, then publish, always in that order.

Each step is one transaction that a crash undoes whole, and each can be done again:
1. *Sequence*: the next entries move into the log with their tiles, and the state row advances. A
   crash leaves them in the outbox.
2. *Sign*: what was committed is read back, hashed again and compared, and only then shown to the
   signer, which checks by itself that it continues what it signed last.
3. *Publish*: the signed note becomes a row. A crash in between leaves the note in the signer's
   memory, from where the next start publishes it.

One sequencer acts at a time. Three guards see to that, each of which is enough: an advisory lock,
the epoch and size in the state row, and the keys of the log itself.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from phoenix.base.errors import PhoenixError, Tampered
from phoenix.ledger import anchor, checkpoint, facts, nodes, note, readback, store, tiles
from phoenix.ledger.errors import (
    AnchorUnavailable,
    LogDamaged,
    LogRolledBack,
    SequencerOvertaken,
    SignerForeign,
)
from phoenix.ledger.keys import VerifierKey
from phoenix.ledger.ports import Signed, Signing
from phoenix.ledger.readback import BATCH_MAX, FSCK
from phoenix.ledger.tiles import WIDTH
from phoenix.ledger.tree import Frontier
from phoenix.storage.database import Database, Transaction
from phoenix.storage.leases import Leases

LEASE = "ledger-sequencer"
LEASE_S = 5.0
RENEW_S = 1.0
#: While entries come, the outbox is looked at this often; else less and less often.
BUSY_S = 0.02
IDLE_S = 0.2
#: While entries come without end, their words are made searchable this often.
WORDS_S = 0.5
#: A supervisor that ends us waits longer than that.
FINISH_WITHIN_S = 3.0
#: As often is a checkpoint kept outside, and at the end.
ANCHOR_S = 300.0
#: After evidence that does not agree with itself nothing gets better by trying.
ALARM_S = 10.0

log = structlog.get_logger()


@dataclass(slots=True)
class _Lead:
    """What a sequencer knows while it leads: its epoch, and the tree that was signed last."""

    epoch: int
    signed: Frontier
    confirmed_at: float


class Sequencer:
    """The loop over the outbox of one database."""

    def __init__(
        self, database: Database, signer: Signing, anchor: anchor.Folder | None = None
    ) -> None:
        """`anchor` is where checkpoints are kept outside the database, if anywhere."""
        self._database = database
        self._signer = signer
        self._anchor = anchor
        self._anchored_at = -math.inf
        self._leases = Leases(database)
        self._holder = f"ledger-{secrets.token_hex(4)}"
        self._lead: _Lead | None = None
        self._words_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Sequence, sign and publish until `stop` is set; trouble is told once a change."""
        said, pause_s = "", BUSY_S
        while not stop.is_set():
            try:
                done = await self.run_cycle()
                await self.anchor_if_due()
                pause_s = BUSY_S if done else min(IDLE_S, pause_s * 1.5)
                sentence = "in order"
            except PhoenixError as error:
                self._lead = None
                sentence = f"nothing signed: {error}"
                pause_s = ALARM_S if isinstance(error, Tampered) else 1.0
            except Exception:  # the loop outlives every mistake, and tells it
                log.exception("cycle failed")
                self._lead = None
                sentence, pause_s = "nothing signed: a mistake of ours; the log tells more", 1.0
            if sentence != said:
                (log.info if sentence == "in order" else log.error)(sentence)
                said = sentence
            try:
                await asyncio.wait_for(stop.wait(), pause_s)
            except TimeoutError:
                continue
        await self._finish()
        await self._release()

    async def run_cycle(self) -> int:
        """One round; how many entries it sequenced or made searchable, none while another leads.

        Raises:
            LogDamaged: what is stored does not agree with itself.
            LogRolledBack: the database is older than what was signed.
            ForkRefused: the signer has signed something else.
            Unavailable: the database or the signer cannot be reached.
        """
        lead = await self._leading()
        if lead is None:
            return 0
        async with self._database.transaction() as tx:
            waits = await store.anything_waits(tx)
        moved = await self.sequence(lead.epoch) if waits else 0
        await self.sign_and_publish(lead)
        now = asyncio.get_running_loop().time()
        if not moved or now - self._words_at > WORDS_S:
            self._words_at = now
            return moved + await facts.catch_up(self._database)
        return moved

    async def _leading(self) -> _Lead | None:
        now = asyncio.get_running_loop().time()
        if self._lead is not None and now - self._lead.confirmed_at < RENEW_S:
            return self._lead
        lease = await self._leases.acquire(LEASE, self._holder, LEASE_S)
        if lease is None:
            self._lead = None
        elif self._lead is None or self._lead.epoch != lease.epoch:
            self._lead = await self.take_over(lease.epoch, now)
        else:
            self._lead.confirmed_at = now
        return self._lead

    async def take_over(self, epoch: int, now: float = 0.0) -> _Lead:
        """Shut out every earlier sequencer, and see whether database and signer agree.

        Publishes what was signed and never published.

        Raises:
            LogRolledBack: one of the two is older than the other.
            LogDamaged: they know different trees of the same size.
            SignerForeign: the log is another signer's.
            SequencerOvertaken: one with a later epoch leads.
        """
        signed = await self._signer.last()
        last = checkpoint.parse(note.parse(signed.note).text)
        async with self._database.transaction() as tx:
            if not await store.begin_epoch(tx, epoch):
                raise SequencerOvertaken(remedy=_WAITS)
            state = await store.state(tx)
            if not await store.name_log(tx, last.origin):
                raise SignerForeign(
                    f"The log is {state.origin}; the signer's key is {last.origin}.",
                    remedy="Start Phoenix with the data folder that the log was begun with.",
                )
            await store.keep_key(tx, signed.key.text, last.size)
            published = await store.last_checkpoint(tx)
            known = published.size if published else 0
            if state.size < last.size or known > last.size:
                raise _rolled_back(state.size, known, last.size)
            if published is not None:
                _same_key(signed, published.note)
            await self._agree_with_anchors(tx, signed.key, state.size)
            if last.size == 0:
                return _Lead(epoch, Frontier(), now)
            frontier = await nodes.frontier(tx, last.size)
            if frontier.root() != last.root:
                raise LogDamaged(
                    f"The first {last.size} entries have another root than the one signed.",
                    remedy=FSCK,
                )
            if known < last.size:
                await store.publish(tx, last.size, last.root, signed.note)
        return _Lead(epoch, frontier, now)

    async def sequence(self, epoch: int, limit: int = BATCH_MAX) -> int:
        """Give the next entries their places; how many there were.

        Raises:
            LogDamaged: the state row does not agree with itself or with a row of hashes.
        """
        async with self._database.transaction() as tx:
            if not await store.only_one(tx):
                return 0
            state = await store.state(tx)
            leaves = await store.move(tx, state.size, limit)
            if not leaves:
                return 0
            frontier = Frontier.from_bytes(state.size, state.frontier)
            if frontier.root() != state.root:
                raise LogDamaged("The state row disagrees with itself.", remedy=FSCK)
            above = frontier.extend(leaves)
            await self._fill_tiles(tx, state.size, leaves, above)
            if not await store.advance(tx, epoch=epoch, old=state.size, frontier=frontier):
                self._lead = None
                raise SequencerOvertaken(remedy=_WAITS)
        return len(leaves)

    async def sign_and_publish(self, lead: _Lead) -> bool:
        """Sign the tree as it is committed, if it has grown; whether it had.

        Raises:
            LogDamaged: what was committed does not agree with itself, or with what was signed.
            ForkRefused: the signer does not see it as a continuation.
        """
        async with self._database.transaction() as tx:
            state = await store.state(tx)
            if state.size == lead.signed.size:
                return False
            grown, proof = await readback.read_back(tx, lead.signed, state)
        signed = await self._signer.sign(grown.size, grown.root(), proof)
        async with self._database.transaction() as tx:
            await store.publish(tx, grown.size, grown.root(), signed)
        lead.signed = grown
        return True

    async def _fill_tiles(
        self,
        tx: Transaction,
        size: int,
        leaves: Sequence[bytes],
        above: dict[tuple[int, int], bytes],
    ) -> None:
        """Keep the tiles that became full, row by row, as far up as one did."""
        level, first, hashes = 0, size, list(leaves)
        while True:
            begin = first - first % WIDTH
            if begin + WIDTH > first + len(hashes):
                return
            before = await store.row(tx, level, begin, first) if begin < first else []
            filled = [
                (n, data, tiles.tile_root(data))
                for n, data in tiles.full_tiles(begin, before + hashes)
            ]
            if any(above[8 * (level + 1), n] != root for n, _, root in filled):
                raise LogDamaged("A row of hashes disagrees with the state row.", remedy=FSCK)
            await store.insert_tiles(tx, level, filled)
            level, first, hashes = level + 1, begin // WIDTH, [root for _, _, root in filled]

    async def anchor_if_due(self, *, every_s: float = ANCHOR_S) -> bool:
        """Keep the newest checkpoint outside, if it is newer than the last one kept there.

        Nothing waits for it: what fails is told and tried again after `every_s` seconds.
        """
        now = asyncio.get_running_loop().time()
        if self._anchor is None or self._lead is None or now - self._anchored_at < every_s:
            return False
        self._anchored_at = now
        async with self._database.transaction() as tx:
            newest = await store.last_checkpoint(tx)
            known = await store.last_anchor(tx)
        if newest is None or newest.size <= known:
            return False
        try:
            await asyncio.to_thread(self._anchor.keep, newest.note)
        except AnchorUnavailable as error:
            log.error("no checkpoint was kept outside", error=error.message)
            return False
        async with self._database.transaction() as tx:
            await store.keep_anchor(tx, newest.size, self._anchor.kind)
        return True

    async def _agree_with_anchors(self, tx: Transaction, key: VerifierKey, size: int) -> None:
        """Every checkpoint that is kept outside is one of this log."""
        if self._anchor is None:
            return
        for each in await asyncio.to_thread(self._anchor.kept, key):
            kept = each.checkpoint
            if kept.size > size:
                raise LogRolledBack(
                    f"{each.path} holds a checkpoint of {kept.size} entries; there are {size}.",
                    remedy="Restore a newer backup of the database: entries are missing.",
                )
            if (await nodes.frontier(tx, kept.size)).root() != kept.root:
                raise LogDamaged(
                    f"{each.path} holds another root of the first {kept.size} entries.",
                    remedy=FSCK,
                )

    async def _finish(self) -> None:
        """Sequence what still waits: a start long after would find it old, and refuse changes."""
        try:
            async with asyncio.timeout(FINISH_WITHIN_S):
                while await self.run_cycle():
                    continue
        except (PhoenixError, TimeoutError):
            log.info("what waits is left to the next start")

    async def _release(self) -> None:
        try:
            await self.anchor_if_due(every_s=0)
            await self._leases.release(LEASE, self._holder)
        except PhoenixError:
            log.info("the lease could not be given back; it ends by itself")


def _same_key(signed: Signed, published: bytes) -> None:
    """The newest published note is one of this signer's."""
    try:
        note.parse(published).verified_by([signed.key])
    except Tampered as error:
        raise LogDamaged("The newest checkpoint does not verify.", remedy=FSCK) from error


def _rolled_back(size: int, published: int, signed: int) -> LogRolledBack:
    if published > signed:
        return LogRolledBack(
            f"A checkpoint of {published} entries is published; the signer remembers {signed}.",
            remedy="Restore the newest `ledger` folder of the data folder: its memory is too old.",
        )
    return LogRolledBack(
        f"A checkpoint of {signed} entries was signed; the database has {size}.",
        remedy="Restore a newer backup of the database: entries that were proved are missing.",
    )


_WAITS = "It waits until the other ends."
