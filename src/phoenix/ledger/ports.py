"""What the sequencer needs from a signer, wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from phoenix.ledger.keys import VerifierKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The signer's public key and its last signed note."""

    key: VerifierKey
    note: bytes


class Signing(Protocol):
    """Somebody who signs checkpoints, and refuses forks by himself."""

    async def last(self) -> Signed:
        """What was signed last.

        Raises:
            SignerUnavailable: no answer.
            LogRolledBack: the signer does not know.
        """
        ...

    async def sign(self, size: int, root: bytes, proof: Sequence[bytes]) -> bytes:
        """The signed note of a larger tree.

        Raises:
            SignerUnavailable: no answer; it may have signed.
            LogRolledBack: the tree is smaller than the last one.
            ForkRefused: the tree does not begin with the last one.
        """
        ...
