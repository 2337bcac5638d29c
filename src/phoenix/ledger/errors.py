"""What the ledger refuses: evidence that does not verify, questions about what is not there."""

from __future__ import annotations

from phoenix.base.errors import Conflict, Invalid, NotFound, Tampered, Unavailable


class ProofRejected(Tampered):
    """A proof does not show what it claims."""


class NoteRejected(Tampered):
    """A signed note is malformed, or no key that was asked for signed it."""


class CheckpointRejected(Tampered):
    """The text of a checkpoint is malformed."""


class KeyInvalid(Invalid):
    """That is no verifier key."""


class TileInvalid(Invalid):
    """That is no tile or entry bundle."""


class BundleRejected(Tampered):
    """A bundle of evidence does not verify."""


class LogDamaged(Tampered):
    """What is stored of the log does not agree with itself; nothing was signed."""


class LogRolledBack(Tampered):
    """The database knows less than what was signed already; nothing was signed."""


class ForkRefused(Tampered):
    """The signer was asked for a checkpoint that contradicts its last one."""


class SignerForeign(Conflict):
    """The log in this database was begun with another key."""


class SequencerOvertaken(Conflict):
    """Another sequencer leads; nothing was changed by this one."""


class LedgerBehind(Unavailable):
    """Changes wait until the ledger has caught up."""

    retry_after_s = 5.0


class SignerUnavailable(Unavailable):
    """The signer does not answer."""


class AnchorUnavailable(Unavailable):
    """The folder outside the database cannot be used."""


class NotInLog(NotFound):
    """The log has no such entry, tile or receipt."""


class NotCheckpointed(Conflict):
    """That entry is not covered by a checkpoint yet."""

    retry_after_s = 1.0


class RangeInvalid(Invalid):
    """Those sizes do not describe a part of this log."""
