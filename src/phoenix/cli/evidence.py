"""Evidence fetched from the API, verified on its way into a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from phoenix.base.clock import rfc3339
from phoenix.cli.client import Client
from phoenix.ledger import bundle, checkpoint, keys, note, proof
from phoenix.ledger.bundle import File
from phoenix.ledger.keys import ED25519, VerifierKey

LOG = "/api/v1/log"
_PAGE = 200


def contents(
    client: Client, head: list[File], wanted: list[int], trusted: Sequence[VerifierKey]
) -> Iterator[File]:
    """The files of a bundle, fetched as they are written."""
    yield from head
    if wanted:
        yield from proved(client, wanted, trusted, dict(head)["checkpoint"])
        return
    signed = dict(head)["checkpoint"]
    paths = list(bundle.paths_of_all(checkpoint.parse(note.parse(signed).text).size))
    fetched = client.files(f"{LOG}/{path}" for path in paths)
    yield from zip(paths, fetched, strict=True)


def proved(
    client: Client, indexes: list[int], trusted: Sequence[VerifierKey], signed: bytes
) -> Iterator[File]:
    """Entries and their receipts in the checkpoint `signed`, each verified."""
    said = checkpoint.parse(note.parse(signed).text)
    paths = (
        path
        for index in indexes
        for path in (f"{LOG}/entries/{index}", f"{LOG}/proof/{index}?size={said.size}")
    )
    fetched = client.files(paths)
    for index in indexes:
        entry, receipt = next(fetched), next(fetched)
        proof.parse(receipt).verify(entry, said.origin, trusted)
        yield from bundle.with_proof(index, entry, receipt)


def newest(client: Client) -> bytes:
    """The newest checkpoint."""
    (signed,) = client.files([f"{LOG}/checkpoint"])
    return signed


def all_about(client: Client, target: str) -> Iterator[dict[str, Any]]:
    """Every line of the audit log about one thing, newest first."""
    return _all(client, {"target": target})


def indexes_between(client: Client, since: datetime, until: datetime) -> list[int]:
    """The entries whose times are from `since` up to, not including, `until`."""
    span = {"since": rfc3339(since), "until": rfc3339(until)}
    return [each["index"] for each in _all(client, span)]


def _all(client: Client, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every line that a search finds, page by page."""
    query: dict[str, Any] = {**asked, "limit": _PAGE}
    while True:
        page = client.call("GET", f"{LOG}/entries", params=query)["items"]
        yield from page
        if len(page) < _PAGE:
            return
        query["before"] = page[-1]["index"]


def the_keys(client: Client) -> list[VerifierKey]:
    """Those that the log names itself."""
    return parsed([each["vkey"] for each in client.call("GET", f"{LOG}/keys")["items"]])


def parsed(texts: list[str] | None) -> list[VerifierKey]:
    """Keys from their lines.

    Raises:
        KeyInvalid: one of them is none.
    """
    return [keys.parse(each) for each in texts or []]


def signer_of(signed: bytes, trusted: Sequence[VerifierKey]) -> VerifierKey:
    """The log's own key among those that signed.

    Raises:
        NoteRejected: none that is trusted did.
    """
    return next(k for k in note.parse(signed).verified_by(trusted) if k.kind == ED25519)
