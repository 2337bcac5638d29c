"""How this domain refuses.

PhoenixError
├── NotFound  UnknownPipeline        no recipe of that name
└── Invalid
    ├── BadParameter                 unknown, of the wrong type, or out of range
    ├── BadCriticalRule              a rule of a critical process that cannot be understood
    └── BadConfiguration             a collector configuration that cannot be read or imported
"""

from __future__ import annotations

from phoenix.base.errors import Invalid, NotFound


class UnknownPipeline(NotFound):
    """There is no pipeline of that name."""


class BadParameter(Invalid):
    """That parameter cannot be used."""


class BadCriticalRule(Invalid):
    """That rule does not say which processes are critical."""


class BadConfiguration(Invalid):
    """That is not a collector configuration which Phoenix can read."""
