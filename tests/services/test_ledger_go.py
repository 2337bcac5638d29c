"""Go's golang.org/x/mod/sumdb beside us: the same notes, proofs and tiles, judged the same."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phoenix.collectors.toolchain import build_environment, find_go
from phoenix.ledger import keys, note, tiles
from phoenix.ledger.checkpoint import Checkpoint
from phoenix.ledger.keys import LogKey
from phoenix.ledger.note import Note, Signature
from phoenix.ledger.proof import Receipt
from phoenix.ledger.tree import Node, hash_of, inclusion_ranges, leaf_hash, root_of

TESTS = Path(__file__).parents[1]
PROGRAM = TESTS / "interop/ledger"
VECTORS = TESTS / "vectors/ledger"
NOTES: dict[str, Any] = json.loads((VECTORS / "notes.json").read_text())
PROOFS: dict[str, Any] = json.loads((VECTORS / "merkle_proofs.json").read_text())
SEED = bytes(range(32))
LOG = LogKey.from_seed("phoenix.example/ledger", SEED)

Ask = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Asks the Go program many questions at once."""
    folder = tmp_path_factory.mktemp("go")
    # Where the collector was built, what it needs has been fetched already.
    environment = build_environment(TESTS.parent / ".phoenix") | {"GOTMPDIR": str(folder)}
    subprocess.run(
        [find_go().path, "build", "-buildvcs=false", "-o", str(folder / "ledger"), "."],
        cwd=PROGRAM, env=environment, check=True,
    )  # fmt: skip

    def put(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        done = subprocess.run(
            [str(folder / "ledger")],
            input="\n".join(json.dumps(each) for each in questions),
            capture_output=True,
            text=True,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    return put


def test_go_judges_every_published_proof_as_we_do(ask: Ask) -> None:
    kinds = ("inclusion", "consistency")
    cases = [{**each, "ask": kind} for kind in kinds for each in PROOFS[kind]]
    # Go counts in signed numbers of 64 bits, and its hashes have 32 bytes by their type.
    asked = [
        each
        for each in cases
        if max(each.get(n, 0) for n in ("index", "old", "size")) < 2**63 and len(each["root"]) == 64
    ]
    assert len(asked) > 170
    judged = [each["ok"] for each in ask(asked)]
    assert judged == [each["valid"] for each in asked]


def test_go_reads_what_we_sign_and_refuses_what_we_refuse(ask: Ask) -> None:
    whole = NOTES["log"]["note"]
    text, _, line = whole.partition("\n\n")
    unsigned_line = line.replace("68Nu", "68Nv")
    false = line[:60] + ("A" if line[60] != "A" else "B") + line[61:]
    other = LogKey.from_seed("other.example/log", bytes(32))
    extra = Signature(name=other.name, raw=other.sign(text + "\n")).line
    tried = [
        whole,
        f"{text}\n\n{extra}\n{line}",
        f"{text}\n\n{line}{extra}\n",
        f"{text}\n\n{unsigned_line}",
        f"{text}\n\n{false}",
        f"{text}\n\n{extra}\n",
        f"{text}\n\n{line}\n",
        f"{text}\n{line}",
        whole.replace("\n8\n", "\n9\n"),
        whole.replace("— ", "- "),
        whole.replace("—", "— "),
        whole[:-1],
        whole + "x\n",
        "\x01" + whole,
        "",
    ]
    answers = ask([{"ask": "open", "note": each, "key": LOG.verifier.text} for each in tried])
    ours = [opens(each) for each in tried]
    assert [each["ok"] for each in answers] == ours
    assert ours == [True] * 3 + [False] * 12
    assert answers[0]["text"] == text + "\n"


def opens(text: str) -> bool:
    try:
        note.parse(text.encode()).verified_by([LOG.verifier])
    except note.NoteRejected:
        return False
    return True


def test_we_read_what_go_signs(ask: Ask) -> None:
    private = base64.b64encode(bytes([keys.ED25519]) + SEED).decode()
    key = f"PRIVATE+KEY+{LOG.name}+{LOG.verifier.id.hex()}+{private}"
    texts = [
        "a\n", "a\n\nb\n", "\n", "ü\n", Checkpoint(origin="o", size=1, root=bytes(32)).text,
    ]  # fmt: skip
    for text, answer in zip(
        texts, ask([{"ask": "sign", "text": each, "key": key} for each in texts]), strict=True
    ):
        assert answer["ok"], answer
        opened = note.parse(answer["note"].encode())
        assert opened.text == text
        opened.verified_by([LOG.verifier])
        ours = Note(text=text, signatures=(Signature(name=LOG.name, raw=LOG.sign(text)),))
        assert ours.to_bytes().decode() == answer["note"]


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700])
def test_go_cuts_a_log_into_the_same_tiles(ask: Ask, size: int) -> None:
    entries = [str(i) for i in range(size)]
    leaves = [leaf_hash(each.encode()) for each in entries]
    (answer,) = ask([{"ask": "tiles", "entries": entries}])
    assert answer["root"] == root_of(leaves).hex()
    above = [root_of(leaves[i : i + 256]) for i in range(0, size - 255, 256)]
    rows = [leaves, above]
    ours = {
        tile.path: b"".join(rows[tile.level][tile.n * 256 : tile.n * 256 + tile.width]).hex()
        for tile in tiles.tiles_of(size)
    }
    assert answer["tiles"] == ours


def test_go_verifies_a_receipt_of_ours(ask: Ask) -> None:
    entries = [f"entry {i}".encode() for i in range(11)]
    leaves = [leaf_hash(each) for each in entries]
    text = Checkpoint(origin=LOG.name, size=11, root=root_of(leaves)).text
    signed = Note(text=text, signatures=(Signature(name=LOG.name, raw=LOG.sign(text)),))

    def node(wanted: Node) -> bytes:
        return root_of(leaves[wanted[1] << wanted[0] : (wanted[1] + 1) << wanted[0]])

    hashes = tuple(hash_of(part, node) for part in inclusion_ranges(6, 11))
    file = Receipt(index=6, hashes=hashes, note=signed).to_bytes().decode()
    head, _, whole = file.partition("\n\n")
    _, index, *proof = head.split("\n")
    opened, included, other = ask(
        [
            {"ask": "open", "note": whole, "key": LOG.verifier.text},
            *(
                {
                    "ask": "inclusion",
                    "index": int(index.removeprefix("index ")),
                    "size": int(whole.split("\n")[1]),
                    "root": base64.b64decode(whole.split("\n")[2]).hex(),
                    "leaf": leaf.hex(),
                    "proof": [base64.b64decode(each).hex() for each in proof],
                }
                for leaf in (leaves[6], leaves[7])
            ),
        ]
    )
    assert (opened["ok"], opened["text"]) == (True, text)
    assert (included["ok"], other["ok"]) == (True, False)
