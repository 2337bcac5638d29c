"""The log over HTTP: what tile clients fetch, proofs made for people, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from phoenix.ledger import checkpoint, keys, note, proof, tiles
from phoenix.ledger.sequencer import Sequencer
from phoenix.ledger.tree import leaf_hash, root_of, verify_consistency
from phoenix.testing.log import LocalSigner, an_entry, record

from .conftest import Door, open_door

LOG = "/api/v1/log"


class Served:
    """A door over a log of 600 entries in three checkpoints."""

    def __init__(self, door: Door, folder: Path) -> None:
        self.door = door
        self.signer = LocalSigner(folder)
        self.sequencer = Sequencer(door.services.database, self.signer)
        self.entries: list[bytes] = []
        for count in (3, 300, 297):
            self.record(count)
            self.settle()

    def record(self, count: int) -> dict[Any, bytes]:
        first = len(self.entries)
        targets = [f"thing-{i}" for i in range(first, first + count)]
        made: dict[Any, bytes] = self.door.loop.run(record(self.door.services.database, *targets))
        self.entries += [made[each] for each in sorted(made)]
        return made

    def settle(self) -> None:
        while self.door.loop.run(self.sequencer.run_cycle()):
            continue

    def get(self, path: str, **more: Any) -> Any:
        return self.door.ask("GET", LOG + path, **more)


@pytest.fixture(scope="module")
def served(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with asyncio.Runner() as loop:
        door = open_door(loop, database_url, tmp_path_factory.mktemp("data"))
        made = Served(door, tmp_path_factory.mktemp("signer"))
        yield made
        made.signer.close()
        loop.run(door.client.aclose())
        loop.run(door.services.database.close())


def test_a_client_of_tile_logs_can_fetch_and_verify_everything(served: Served) -> None:
    answer = served.get("/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=1"
    (key,) = [keys.parse(each["vkey"]) for each in served.get("/keys").json()["items"]]
    signed = note.parse(answer.content)
    signed.verified_by([key])
    said = checkpoint.parse(signed.text)
    assert said.size == 600
    entries: list[bytes] = []
    for tile in tiles.tiles_of(said.size):
        body = served.get(f"/{tile.path}")
        assert body.headers["content-type"] == "application/octet-stream"
        assert "immutable" in body.headers["cache-control"]
        if tile.level == 0:
            bundle = served.get("/" + tile.path.replace("tile/0", "tile/entries"))
            entries += tiles.unbundle(bundle.content, tile.width)
            assert tiles.hashes_in(body.content) == [leaf_hash(e) for e in entries[-tile.width :]]
    assert entries == served.entries
    assert root_of(leaf_hash(each) for each in entries) == said.root


def test_a_partial_tile_of_an_older_checkpoint_is_served_for_ever(served: Served) -> None:
    assert len(served.get("/tile/0/001.p/47").content) == 47 * 32  # of size 303
    assert served.get("/tile/0/000.p/3").content == served.get("/tile/0/000").content[: 3 * 32]
    assert len(served.get("/tile/1/000.p/1").content) == 32


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/003", "/tile/0/002.p/89", "/tile/2/000.p/1", "/tile/64/000", "/tile/0/000.p/0",
        "/tile/0/000.p/256", "/tile/0/0", "/tile/entries/002", "/tile/x", "/tile/0/-01", "/tile/",
        "/tile/0/x999/x999/x999/x999/x999/x999/x999/999", "/proof/600", "/proof/-1", "/proof/x",
        "/proof/01", "/proof/99999999999999999999", "/proof/0?size=7", "/entries/600", "/entries/x",
    ],
)  # fmt: skip
def test_what_the_newest_checkpoint_does_not_have_is_not_found(served: Served, path: str) -> None:
    answer = served.get(path)
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_receipt_proves_its_entry(served: Served) -> None:
    key = served.signer.signer.last.key
    for index in (0, 255, 256, 599):
        answer = served.get(f"/proof/{index}")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        entry = served.get(f"/entries/{index}").content
        assert entry == served.entries[index]
        proof.parse(answer.content).verify(entry, key.name, [key])
    old = served.get("/proof/1?size=3")
    assert "immutable" in old.headers["cache-control"]
    assert proof.parse(old.content).verify(served.entries[1], key.name, [key]).size == 3


def test_a_receipt_can_be_had_as_json(served: Served) -> None:
    found = served.get("/proof/5", headers={"Accept": "application/json"}).json()
    text = proof.parse(served.get("/proof/5").content)
    assert [base64.b64decode(each) for each in found["proof"]] == list(text.hashes)
    assert (found["index"], found["checkpoint"]) == (5, text.note.to_bytes().decode())


def test_a_checkpoint_that_does_not_cover_the_entry_is_no_proof(served: Served) -> None:
    answer = served.get("/proof/5?size=3")
    assert (answer.status_code, answer.json()["code"]) == (422, "range_invalid")


def test_growth_between_two_sizes_is_proved(served: Served) -> None:
    found = served.get("/consistency?from=3&to=600").json()
    leaves = [leaf_hash(each) for each in served.entries]
    verify_consistency(
        3, 600, [base64.b64decode(each) for each in found["proof"]],
        root_of(leaves[:3]), root_of(leaves),
    )  # fmt: skip
    assert served.get("/consistency?from=0&to=600").json() == {
        "from": 0, "to": 600, "proof": [], "proves_nothing": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "status"),
    [("from=4&to=3", 422), ("from=1&to=601", 422), ("from=-1&to=3", 422), ("from=1", 422),
     ("from=1&to=x", 422), ("from=1&to=2&to=3", 400), ("from=1&to=2&x=1", 400)],
)  # fmt: skip
def test_sizes_that_are_none_are_refused(served: Served, query: str, status: int) -> None:
    assert served.get(f"/consistency?{query}").status_code == status


def test_the_checkpoint_is_not_sent_again_to_who_has_it(served: Served) -> None:
    tag = served.get("/checkpoint").headers["etag"]
    root = served.signer.signer.last.checkpoint.root
    assert tag == f'"600-{root.hex()[:8]}"'
    again = served.get("/checkpoint", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert served.get("/checkpoint", headers={"If-None-Match": '"599-00000000"'}).content


def test_the_audit_log_can_be_searched(served: Served) -> None:
    found = served.get("/entries?target=thing-7").json()["items"]
    place = next(i for i, e in enumerate(served.entries) if b'"target":"thing-7"' in e)
    assert [each["index"] for each in found] == [place]
    assert found[0]["who"] == "ada"
    assert found[0]["what"] == "test.do"
    assert found[0]["result"] == "done"
    page = served.get("/entries?actor=ada&limit=5").json()["items"]
    assert [each["index"] for each in page] == [599, 598, 597, 596, 595]
    more = served.get("/entries?actor=ada&limit=2&before=595").json()["items"]
    assert [each["index"] for each in more] == [594, 593]
    assert served.get("/entries?actor=eve").json()["items"] == []
    assert served.get("/entries?since=2026-01-02T00:00:00Z").json()["items"] == []
    assert served.get("/entries?action=test.do&until=2026-01-02T00:00:00Z&limit=1").json()["items"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "actor=", "since=2026-01-01T00:00:00", "since=1",
     "until=9999-12-31T23:59:59-14:00", "before=-1", "actor=%00", "before=9223372036854775808"],
)  # fmt: skip
def test_a_search_that_makes_no_sense_is_refused(served: Served, query: str) -> None:
    assert served.get(f"/entries?{query}").status_code == 422


def test_a_receipt_tells_how_far_its_entry_is(served: Served) -> None:
    (receipt,) = served.record(1)

    def told() -> Any:
        return served.door.ask("GET", f"/api/v1/receipts/{receipt}").json()

    assert told() == {"id": str(receipt), "state": "pending"}
    index = len(served.entries) - 1
    lead = served.sequencer._lead
    assert lead is not None
    served.door.loop.run(served.sequencer.sequence(lead.epoch))
    assert told()["state"] == "sequenced"
    early = served.get(f"/proof/{index}")
    assert (early.status_code, early.json()["code"]) == (409, "not_checkpointed")
    assert early.headers["retry-after"] == "1"
    assert served.get("").json()["checkpointed"] == index
    served.settle()
    found = told()
    assert (found["state"], found["index"], found["checkpoint_size"]) == (
        "checkpointed", index, index + 1,
    )  # fmt: skip
    assert served.door.ask("GET", found["proof"]).status_code == 200
    assert json.loads(served.door.ask("GET", found["entry"]).content)["id"] == str(receipt)


def test_an_unknown_receipt_is_not_found(served: Served) -> None:
    for name in (str(uuid4()), "x", "0", str(uuid4()).upper(), "{" + str(uuid4()) + "}"):
        answer = served.door.ask("GET", f"/api/v1/receipts/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_in_log")


def test_an_empty_log_says_so(fresh_database_url: str, tmp_path: Path, run: asyncio.Runner) -> None:
    door = open_door(run, fresh_database_url, tmp_path)
    assert door.ask("GET", f"{LOG}/checkpoint").status_code == 404
    assert door.ask("GET", f"{LOG}/tile/0/000").status_code == 404
    assert door.ask("GET", f"{LOG}/keys").json()["items"] == []
    found = door.ask("GET", LOG).json()
    assert found == {
        "origin": None, "entries": 0, "checkpointed": 0, "anchored": 0, "waiting": 0,
        "oldest_s": None,
    }  # fmt: skip
    run.run(record(door.services.database, "one"))
    found = door.ask("GET", LOG).json()
    assert found["waiting"] == 1
    assert 0 <= found["oldest_s"] < 60
    run.run(door.client.aclose())
    run.run(door.services.database.close())


def test_an_entry_that_is_no_json_harms_nobody(served: Served) -> None:
    """Whoever writes into the outbox by hand can write what he likes."""
    made = an_entry("x")

    async def smuggle() -> None:
        async with served.door.services.database.transaction() as tx:
            await tx.execute(
                "INSERT INTO ledger_outbox (id, entry) VALUES (%(id)s, %(entry)s)",
                {"id": made.id, "entry": b'{"reason":"\\u0000\\ud800", \xff'},
            )

    served.door.loop.run(smuggle())
    served.settle()
    found = served.get("/entries?limit=1").json()["items"][0]
    assert (found["receipt"], found["who"]) == (str(made.id), None)
