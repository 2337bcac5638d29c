"""Money is an integer of minor units with its currency; it is never a float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

_EXPONENT = {"JPY": 0, "KRW": 0, "BHD": 3, "KWD": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount in the currency's smallest unit (ISO 4217)."""

    minor: int
    currency: str

    @classmethod
    def of(cls, amount: Decimal, currency: str) -> Money:
        """`amount` in whole units, rounded half to even to the currency's minor unit."""
        scale = Decimal(10) ** _EXPONENT.get(currency, 2)
        minor = int((amount * scale).to_integral_value(rounding=ROUND_HALF_EVEN))
        return cls(minor=minor, currency=currency)

    def __sub__(self, other: Money) -> Money:
        assert self.currency == other.currency, "amounts of two currencies do not subtract"
        return Money(minor=self.minor - other.minor, currency=self.currency)

    def __str__(self) -> str:
        exponent = _EXPONENT.get(self.currency, 2)
        whole = Decimal(self.minor) / (Decimal(10) ** exponent)
        return f"{whole:,.{exponent}f} {self.currency}"
