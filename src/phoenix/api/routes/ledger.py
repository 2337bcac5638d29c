"""/api/v1/log: the ledger as a tile log (c2sp.org/tlog-tiles), and proofs made for you.
/api/v1/receipts: how far an entry has come.

What never changes may be kept for ever by whoever fetched it; the newest checkpoint for a second.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime

from phoenix.api.queries import Whole
from phoenix.base.clock import rfc3339
from phoenix.ledger.checkpoint import encoded
from phoenix.ledger.errors import NotInLog, RangeInvalid
from phoenix.ledger.log import Log
from phoenix.ledger.tree import SIZE_MAX

router = APIRouter(prefix="/api/v1/log", tags=["ledger"])
receipts = APIRouter(prefix="/api/v1/receipts", tags=["ledger"])

_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_A_SECOND = "public, max-age=1"
_TEXT = "text/plain; charset=utf-8"
_INDEX = re.compile(r"0|[1-9][0-9]{0,17}")
_RECEIPT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Size = Annotated[Whole, Query(ge=0, le=SIZE_MAX)]
Word = Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


def _log(request: Request) -> Log:
    log: Log = request.app.state.services.log
    return log


@router.get("")
async def status(request: Request) -> dict[str, Any]:
    """How far the log is, and what waits to get into it."""
    return asdict(await _log(request).status())


@router.get("/checkpoint")
async def checkpoint(request: Request) -> Response:
    """The newest signed checkpoint (c2sp.org/tlog-checkpoint)."""
    newest = await _log(request).checkpoint()
    tag = f'"{newest.size}-{newest.root.hex()[:8]}"'
    headers = {"Cache-Control": _A_SECOND, "ETag": tag}
    known = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
    if tag in known or known == ["*"]:
        return Response(status_code=304, headers=headers)
    return Response(newest.note, headers=headers, media_type=_TEXT)


@router.get("/keys")
async def keys(request: Request) -> dict[str, Any]:
    """The log's public keys, each with the size from which on it signed."""
    found = await _log(request).keys()
    return {
        "items": [{"vkey": k.vkey, "since": k.since, "at": rfc3339(k.at)} for k in found],
        "note": "Trust keys that reached you another way; these tell you which there are.",
    }


@router.get("/tile/{path:path}")
async def tile(request: Request, path: str) -> Response:
    """A tile of hashes, LEVEL/N or LEVEL/N.p/W, or a bundle of entries, entries/N."""
    data = await _log(request).tile(f"tile/{path}")
    return Response(data, headers=_FOR_EVER, media_type="application/octet-stream")


@router.get("/proof/{index}")
async def proof(request: Request, index: str, size: Size | None = None) -> Response:
    """The receipt of an entry (c2sp.org/tlog-proof), or its parts with `Accept: application/json`.

    It is made in the newest checkpoint, or in the one of `size`.
    """
    receipt = await _log(request).receipt(_index(index), size)
    # The proof in a checkpoint that was asked for by its size never changes.
    headers = dict(_FOR_EVER) if size is not None else {"Cache-Control": _A_SECOND}
    headers["Vary"] = "Accept"
    if "application/json" not in request.headers.get("accept", ""):
        return Response(receipt.to_bytes(), headers=headers, media_type=_TEXT)
    parts = {
        "index": receipt.index,
        "proof": [encoded(each) for each in receipt.hashes],
        "checkpoint": receipt.note.to_bytes().decode(),
    }
    return _json(parts, headers)


@router.get("/consistency")
async def consistency(
    request: Request,
    old: Annotated[Whole, Query(alias="from", ge=0, le=SIZE_MAX)],
    size: Annotated[Whole, Query(alias="to", ge=0, le=SIZE_MAX)],
) -> Response:
    """That the tree of size `to` begins with the tree of size `from`.

    From 0 the proof is empty and says so: every tree begins with nothing.
    """
    hashes = await _log(request).consistency(old, size)
    parts = {
        "from": old,
        "to": size,
        "proof": [encoded(each) for each in hashes],
        "proves_nothing": old == 0,
    }
    return _json(parts, _FOR_EVER)


@router.get("/entries")
async def search(
    request: Request,
    actor: Word = None,
    action: Word = None,
    target: Word = None,
    outcome: Word = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    before: Annotated[Whole | None, Query(ge=0, le=SIZE_MAX)] = None,
    limit: Annotated[Whole, Query(ge=1, le=1000)] = 50,
) -> dict[str, Any]:
    """Who did what, when, why, and with which result: the newest first.

    `before` is the index to go on from; `since` and `until` are times of the entries.
    """
    _sensible(since, until)
    found = await _log(request).search(
        limit=limit, actor=actor, action=action, target=target, outcome=outcome, since=since,
        until=until, before=before,
    )  # fmt: skip
    return {
        "items": [
            {
                "index": each.seq,
                "receipt": str(each.id),
                "at": rfc3339(each.at) if each.at else None,
                **{
                    name: getattr(each, name) for name in ("who", "what", "target", "why", "result")
                },
            }
            for each in found
        ]
    }


@router.get("/entries/{index}")
async def entry(request: Request, index: str) -> Response:
    """The bytes of an entry, as they were hashed."""
    data = await _log(request).entry(_index(index))
    return Response(data, headers=_FOR_EVER, media_type="application/json")


@receipts.get("/{receipt}")
async def show(request: Request, receipt: str) -> dict[str, Any]:
    """How far an entry has come: `pending`, `sequenced`, `checkpointed` (proved), `anchored`."""
    if not _RECEIPT.fullmatch(receipt):
        raise NotInLog("That is no identifier of a receipt.", remedy="It is a UUID in lower case.")
    found = await _log(request).whereabouts(UUID(receipt))
    answer: dict[str, Any] = {"id": receipt, "state": found.state}
    if found.index is not None:
        answer |= {"index": found.index, "entry": f"{router.prefix}/entries/{found.index}"}
    if found.checkpointed_at is not None:
        answer |= {
            "checkpoint_size": found.checkpoint_size,
            "checkpointed_at": rfc3339(found.checkpointed_at),
            "proof": f"{router.prefix}/proof/{found.index}",
        }
    if found.anchored_size is not None:
        answer["anchored_size"] = found.anchored_size
    return answer


def _index(text: str) -> int:
    if not _INDEX.fullmatch(text):
        raise NotInLog("An index is a whole number from 0.", remedy="The first entry is 0.")
    return int(text)


def _sensible(*times: datetime | None) -> None:
    """Times far away overflow in other zones, and nothing can have happened then.

    Raises:
        RangeInvalid: a year before 2000 or after 2100.
    """
    if any(each is not None and not 2000 <= each.year <= 2100 for each in times):
        raise RangeInvalid("Times are from the year 2000 to 2100.")


def _json(parts: dict[str, Any], headers: dict[str, str]) -> Response:
    return JSONResponse(parts, headers=headers)
