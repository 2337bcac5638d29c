"""What storage refuses, in words that a domain can act on without knowing the driver."""

from __future__ import annotations

from phoenix.base.errors import Conflict, Unavailable


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached now."""


class OutcomeUnknown(DatabaseUnavailable):
    """The connection broke at COMMIT, so the change may or may not be stored; look it up by key."""


class TransactionConflict(Conflict):
    """Another transaction got in the way; nothing was changed and the same may be tried again."""


class AlreadyThere(Conflict):
    """A row with that key is already there."""


class MigrationFailed(Unavailable):
    """The database schema could not be brought up to date."""


class EmbeddedServerFailed(Unavailable):
    """The embedded PostgreSQL server could not be started."""
