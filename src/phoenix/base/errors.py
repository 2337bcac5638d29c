"""Every refusal of Phoenix belongs to one of seven categories, and each door translates categories.

PhoenixError                      HTTP   exit
├── NotFound       not there       404     4
├── Conflict       not now         409     5
├── Invalid        never           422     2
├── Denied         not you         403     3
├── Throttled      not so fast     429     7
├── Unavailable    not reachable   503     6
└── Tampered       do not trust    500     9

The docstring of a class is its default message, `code` is stable and documented, and `remedy` says
what the reader can do about it. Our own mistakes are `assert`, never one of these.
"""

from __future__ import annotations

import re
from typing import ClassVar


class PhoenixError(Exception):
    """Something was refused."""

    code: ClassVar[str] = "phoenix_error"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(
        self, message: str | None = None, *, remedy: str | None = None, **context: object
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.remedy = remedy
        self.context = context
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else self.message


class NotFound(PhoenixError):
    """There is no such thing."""


class Conflict(PhoenixError):
    """That cannot be done in the present state."""


class Invalid(PhoenixError):
    """That input can never be accepted."""


class Denied(PhoenixError):
    """You may not do that."""


class Throttled(PhoenixError):
    """Too much at once; try again later."""

    retry_after_s: float = 1.0


class Unavailable(PhoenixError):
    """Something that Phoenix needs cannot be reached now."""

    retry_after_s: float = 2.0


class Tampered(PhoenixError):
    """Evidence does not verify; do not trust it."""
