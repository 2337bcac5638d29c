"""What the meter refuses. Each is the sender's to mend, except MeterBusy and MeterBlind."""

from __future__ import annotations

from phoenix.base.errors import Conflict, Denied, Invalid, NotFound, Throttled, Unavailable


class MalformedBody(Invalid):
    """The body is not what its Content-Type and Content-Encoding say."""


class TooLarge(Invalid):
    """The body is larger than the meter accepts, as sent or once unpacked."""


class UnsupportedMedia(Invalid):
    """The meter reads OTLP as protobuf or JSON, plain or packed with gzip or zstd."""


class WrongToken(Denied):
    """The token does not belong to this arm of this experiment."""


class MissingToken(Denied):
    """A bearer token is needed."""


class UnknownExperiment(NotFound):
    """The meter counts no such experiment."""


class AlreadySubscribed(Conflict):
    """The meter counts this experiment already."""


class MeterBusy(Throttled):
    """The meter holds as much unwritten data as it may; try again."""


class MeterBlind(Unavailable):
    """The database is away, so the meter does not know whether this experiment exists."""
