"""Notes, keys, checkpoints and receipts: published vectors, round trips, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from hypothesis import given
from hypothesis import strategies as st

from phoenix.base.errors import PhoenixError
from phoenix.ledger import checkpoint, keys, note, proof
from phoenix.ledger.checkpoint import Checkpoint
from phoenix.ledger.errors import CheckpointRejected, KeyInvalid, NoteRejected, ProofRejected
from phoenix.ledger.keys import LogKey, VerifierKey, WitnessKey
from phoenix.ledger.note import Note, Signature
from phoenix.ledger.proof import Receipt
from phoenix.ledger.tree import EMPTY_ROOT, leaf_hash, node_hash, root_of

NOTES: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors/ledger/notes.json").read_text()
)
LOG = LogKey.from_seed(NOTES["log"]["name"], bytes.fromhex(NOTES["log"]["seed"]))
OTHER = LogKey.from_seed("other.example/log", bytes(32))
WITNESS = WitnessKey.from_seed(NOTES["witness"]["name"], bytes.fromhex(NOTES["witness"]["seed"]))
WHOLE = NOTES["log"]["note"].encode()
TEXT = NOTES["log"]["note"].partition("\n\n")[0] + "\n"


def signed(text: str, *signers: LogKey) -> Note:
    lines = tuple(Signature(name=each.name, raw=each.sign(text)) for each in signers)
    return Note(text=text, signatures=lines)


def test_the_example_of_the_specification_verifies() -> None:
    key = keys.parse(NOTES["example"]["vkey"])
    found = note.parse(NOTES["example"]["note"].encode())
    assert found.verified_by([key]) == [key]
    assert found.text == "This is an example message.\n"


def test_the_known_seed_signs_the_known_note() -> None:
    assert LOG.verifier.text == NOTES["log"]["vkey"]
    assert signed(TEXT, LOG).to_bytes() == WHOLE
    assert hashlib.sha256(WHOLE).hexdigest() == NOTES["log"]["sha256"]
    assert checkpoint.parse(TEXT).size == 8


def test_the_known_witness_signs_the_known_line() -> None:
    raw = WITNESS.sign(TEXT, NOTES["witness"]["time"])
    line = Signature(name=WITNESS.name, raw=raw)
    assert WITNESS.verifier.text == NOTES["witness"]["vkey"]
    assert line.line == NOTES["witness"]["line"]
    both = Note(text=TEXT, signatures=(*note.parse(WHOLE).signatures, line))
    assert both.verified_by([LOG.verifier, WITNESS.verifier]) == [LOG.verifier, WITNESS.verifier]
    assert keys.timestamp(raw[4:]) == NOTES["witness"]["time"]


def test_a_witness_line_does_not_hold_for_another_time_or_as_a_log_signature() -> None:
    raw = WITNESS.sign(TEXT, 1_790_000_000)
    later = raw[:4] + (1_790_000_001).to_bytes(8, "big") + raw[12:]
    assert not WITNESS.verifier.verifies(TEXT, later[4:])
    same_key = VerifierKey(name=WITNESS.name, kind=keys.ED25519, public=WITNESS.verifier.public)
    assert not same_key.verifies(TEXT, raw[12:])


def test_a_witness_of_ml_dsa_44_is_verified() -> None:
    private = mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
    key = VerifierKey(
        name="pq.example/w", kind=keys.ML_DSA_44, public=private.public_key().public_bytes_raw()
    )
    message = keys.cosigned_tree(key.name, 7, TEXT)
    assert message.startswith(b"subtree/v1\n\0\x0cpq.example/w" + (7).to_bytes(8, "big"))
    raw = (7).to_bytes(8, "big") + private.sign(message)
    assert keys.parse(key.text) == key
    assert key.verifies(TEXT, raw)
    assert not key.verifies(TEXT, (8).to_bytes(8, "big") + raw[8:])
    assert not key.verifies("no checkpoint\n", raw)


def test_lines_of_unknown_keys_are_passed_over() -> None:
    found = note.parse(signed(TEXT, OTHER, LOG).to_bytes())
    assert found.verified_by([LOG.verifier]) == [LOG.verifier]
    same_name = LogKey.from_seed(LOG.name, bytes(32))
    assert note.parse(signed(TEXT, same_name, LOG).to_bytes()).verified_by([LOG.verifier])


def test_sixteen_signatures_are_accepted() -> None:
    many = [LogKey.from_seed(f"key{i}.example", bytes([i]) * 32) for i in range(16)]
    found = note.parse(signed(TEXT, *many).to_bytes())
    assert len(found.verified_by([each.verifier for each in many])) == 16


def test_one_false_line_of_a_known_key_makes_the_note_worthless() -> None:
    false = Signature(name=OTHER.name, raw=OTHER.sign("another text\n"))
    found = Note(text=TEXT, signatures=(*signed(TEXT, LOG).signatures, false))
    with pytest.raises(NoteRejected, match=r"other\.example"):
        found.verified_by([LOG.verifier, OTHER.verifier])


def test_a_note_that_nobody_known_signed_is_worthless() -> None:
    with pytest.raises(NoteRejected, match="No key"):
        note.parse(WHOLE).verified_by([OTHER.verifier])
    with pytest.raises(NoteRejected, match="No key"):
        note.parse(WHOLE).verified_by([])


SIGNATURE = NOTES["log"]["note"].split("\n")[-2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        f"{TEXT}{SIGNATURE}\n".encode(),  # no empty line
        f"{TEXT}\n{SIGNATURE}".encode(),  # no newline at the end
        f"{TEXT}\n{SIGNATURE}\n\n".encode(),
        f"{TEXT}\n{SIGNATURE}\nmore\n".encode(),
        f"{TEXT}\n{SIGNATURE.replace('— ', '- ')}\n".encode(),
        f"{TEXT}\n{SIGNATURE.replace('— ', '—  ')}\n".encode(),
        f"{TEXT}\n{SIGNATURE} \n".encode(),
        f"{TEXT}\n{SIGNATURE.replace('phoenix.example/ledger', '')}\n".encode(),
        f"{TEXT}\n{SIGNATURE.replace('phoenix.example', 'phoenix+example')}\n".encode(),
        f"{TEXT}\n{SIGNATURE.replace('=', '')}\n".encode(),
        f"{TEXT}\n{SIGNATURE[:-3]}p= =\n".encode(),
        f"{TEXT}\n— phoenix.example/ledger 68Nuow==\n".encode(),  # an identifier alone
        f"{TEXT}\n{SIGNATURE}\n".replace("\n", "\r\n").encode(),
        f"{TEXT}\x00\n\n{SIGNATURE}\n".encode(),
        f"{TEXT}\n{SIGNATURE}\n".encode().replace(b"8", b"\xff", 1),
        f"{TEXT}\n{SIGNATURE}\n".encode("utf-16"),
        f"{TEXT}\n".encode() + f"{SIGNATURE}\n".encode() * 101,
        b"a" * 1_000_001,
    ],
    ids=range(22),
)
def test_a_malformed_note_is_refused(data: bytes) -> None:
    with pytest.raises(NoteRejected):
        note.parse(data)


def test_spare_bits_in_base64_are_refused() -> None:
    """Else one signature has several texts, and a copy differs from its original."""
    assert SIGNATURE.endswith("pwo=")
    with pytest.raises(NoteRejected):
        note.parse(f"{TEXT}\n{SIGNATURE[:-2]}p=\n".encode())


@given(at=st.integers(0, len(WHOLE) * 8 - 1))
def test_a_note_with_one_flipped_bit_is_not_believed(at: int) -> None:
    flipped = bytearray(WHOLE)
    flipped[at // 8] ^= 1 << at % 8
    with pytest.raises(PhoenixError):
        note.parse(bytes(flipped)).verified_by([LOG.verifier])


@given(st.binary(max_size=400))
def test_no_bytes_make_the_parsers_fail_in_another_way(data: bytes) -> None:
    for tried in (data, WHOLE[:100] + data, b"c2sp.org/tlog-proof@v1\nindex 0\n" + data):
        for parse in (note.parse, proof.parse):
            try:
                assert parse(tried).to_bytes() == tried
            except (NoteRejected, ProofRejected):
                continue


@pytest.mark.parametrize(
    "text",
    [
        "", "a\n1\n", TEXT + "\n", TEXT[:-1], TEXT.replace("\n8\n", "\n08\n"),
        TEXT.replace("\n8\n", "\n-8\n"), TEXT.replace("\n8\n", "\n8 \n"), "\n" + TEXT,
        TEXT.replace("\n8\n", "\n\u0668\n"), TEXT.replace("\n8\n", "\n9223372036854775808\n"),
        TEXT.replace("\n8\n", "\n0\n"), TEXT.replace("Xcna", "Xcn"), TEXT.replace("Qyg=", "Qyg"),
        TEXT.replace("Qyg=", "Qyh="), "origin\n0\n\n",
    ],
    ids=range(15),
)  # fmt: skip
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(CheckpointRejected):
        checkpoint.parse(text)


def test_a_checkpoint_is_written_as_it_is_read() -> None:
    for made in (
        Checkpoint(origin="a.example/log", size=0, root=EMPTY_ROOT),
        Checkpoint(origin="ü log", size=2**63 - 1, root=bytes(32), extensions=("more",)),
    ):
        assert checkpoint.parse(made.text) == made


VKEY = NOTES["log"]["vkey"]


@pytest.mark.parametrize(
    "text",
    [
        "", "a+b+c", VKEY + "\n", VKEY.replace("ebc36ea3", "ebc36ea4"), VKEY.replace("+AQ", "+Ag"),
        VKEY.replace("phoenix", "phoenyx"), VKEY.replace("ebc36ea3", "EBC36EA3"), VKEY[:-4],
        VKEY.replace("phoenix.example", "phoenix example"), "+" + VKEY,
    ],
)  # fmt: skip
def test_a_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(KeyInvalid):
        keys.parse(text)


def test_a_private_key_does_not_show_itself() -> None:
    for key in (LOG, WITNESS):
        assert "private" not in repr(key).lower()
        assert key.name in repr(key)


ENTRIES = [b"one", b"two", b"three"]


def receipt() -> Receipt:
    leaves = [leaf_hash(each) for each in ENTRIES]
    text = Checkpoint(origin=LOG.name, size=3, root=root_of(leaves)).text
    return Receipt(index=2, hashes=(node_hash(*leaves[:2]),), note=signed(text, LOG))


def test_a_receipt_proves_its_entry_from_its_file_alone() -> None:
    for made in (receipt(), dataclasses.replace(receipt(), extra=b"more")):
        read = proof.parse(made.to_bytes())
        assert read == made
        assert read.verify(b"three", LOG.name, [LOG.verifier]).size == 3


def test_a_receipt_proves_nothing_else() -> None:
    made = receipt()
    with pytest.raises(ProofRejected):
        made.verify(b"four", LOG.name, [LOG.verifier])
    with pytest.raises(ProofRejected, match="of the log"):
        made.verify(b"three", "another.example/log", [LOG.verifier])
    with pytest.raises(NoteRejected):
        made.verify(b"three", LOG.name, [OTHER.verifier])
    with pytest.raises(ProofRejected):
        dataclasses.replace(made, index=1).verify(b"three", LOG.name, [LOG.verifier])


HEAD, _, SIGNED = receipt().to_bytes().partition(b"\n\n")


@pytest.mark.parametrize(
    "head",
    [
        b"c2sp.org/tlog-proof@v2\nindex 2", b"c2sp.org/tlog-proof@v1",
        HEAD.replace(b"2\n", b"02\n"),
        HEAD.replace(b"index ", b"index"), HEAD.replace(b"index 2", b"index -2"), HEAD + b"\nAAAA",
        HEAD.replace(b"index", b"extra AA\nindex"), b"\n" + HEAD,
        HEAD + (b"\n" + b"A" * 43 + b"=") * 63,
        HEAD.replace(b"index 2", b"index 9223372036854775808"), HEAD.replace(b"\n", b"\r\n"),
        HEAD.replace(b"index", b"index 1\nindex"), HEAD + b"\xff",
    ],
    ids=range(13),
)  # fmt: skip
def test_a_malformed_receipt_is_refused(head: bytes) -> None:
    with pytest.raises(ProofRejected):
        proof.parse(head + b"\n\n" + SIGNED)
