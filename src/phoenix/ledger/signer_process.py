"""The signer as a process of its own: one JSON question a line on its input, one answer a line.

The key never enters the process that talks to the database and the network. The signer ends when
its input does, which is when whoever started it ends, however that ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from phoenix.base.errors import PhoenixError
from phoenix.ledger import keys
from phoenix.ledger.errors import ForkRefused, LogRolledBack, SignerUnavailable
from phoenix.ledger.ports import Signed
from phoenix.ledger.signing import Signer

_ANSWER_WITHIN_S = 10.0
_LINE_BYTES_MAX = 65_536
_REFUSALS = {each.code: each for each in (ForkRefused, LogRolledBack, SignerUnavailable)}


def serve(folder: Path, questions: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the input ends."""
    # A Ctrl-C of the terminal is for whoever asks us; we end when he does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signer: Signer | None = None
    for line in questions:
        try:
            signer = signer or Signer(folder)
            answer = _answer(signer, json.loads(line))
        except PhoenixError as error:
            answer = {"code": error.code, "message": error.message, "remedy": error.remedy}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"code": "invalid", "message": f"no question: {error}", "remedy": None}
        except OSError as error:  # the disk: nothing was handed out that was not remembered
            answer = {"code": SignerUnavailable.code, "message": str(error), "remedy": None}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def _answer(signer: Signer, question: Mapping[str, Any]) -> dict[str, Any]:
    if question["ask"] == "sign":
        proof = [bytes.fromhex(each) for each in question["proof"]]
        note = signer.sign(int(question["size"]), bytes.fromhex(question["root"]), proof)
    elif question["ask"] == "last":
        note = signer.last.note
    else:
        raise ValueError("what is asked?")
    return {"note": note.decode(), "key": signer.last.key.text}


class SignerProcess:
    """Asks a signer that runs as a child of ours; starts it again when it has ended."""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        """`command` starts a program that calls `serve`; by default our own role."""
        self._command = list(command or (sys.executable, "-m", "phoenix", "serve", "signer"))
        self._child: asyncio.subprocess.Process | None = None
        self._one_at_a_time = asyncio.Lock()

    async def last(self) -> Signed:
        """What was signed last."""
        answer = await self._ask({"ask": "last"})
        return Signed(key=keys.parse(answer["key"]), note=answer["note"].encode())

    async def sign(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        """The signed note of a larger tree."""
        answer = await self._ask(
            {"ask": "sign", "size": size, "root": root.hex(), "proof": [p.hex() for p in proof]}
        )
        note: bytes = answer["note"].encode()
        return note

    async def close(self) -> None:
        """End the signer."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            assert child.stdin is not None
            child.stdin.close()
            try:
                await asyncio.wait_for(child.wait(), _ANSWER_WITHIN_S)
            except TimeoutError:
                child.kill()
                await child.wait()

    async def _ask(self, question: Mapping[str, object]) -> dict[str, Any]:
        async with self._one_at_a_time:
            child = await self._running()
            assert child.stdin is not None and child.stdout is not None
            try:
                child.stdin.write(json.dumps(question).encode() + b"\n")
                await child.stdin.drain()
                line = await asyncio.wait_for(child.stdout.readline(), _ANSWER_WITHIN_S)
                answer: dict[str, Any] = json.loads(line)
            except (OSError, ValueError, TimeoutError) as error:
                # A late answer must not be taken for the next question's.
                child.kill()
                await child.wait()
                raise SignerUnavailable(remedy="It is started again by itself.") from error
        if "note" not in answer:
            refusal = _REFUSALS.get(answer["code"], SignerUnavailable)
            raise refusal(answer["message"], remedy=answer["remedy"])
        return answer

    async def _running(self) -> asyncio.subprocess.Process:
        if self._child is None or self._child.returncode is not None:
            self._child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES_MAX,
                # It needs no database, so it gets no way into one.
                env={k: v for k, v in os.environ.items() if k != "DATABASE_URL"},
                start_new_session=True,
            )
        return self._child
