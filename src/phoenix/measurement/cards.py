"""The rate cards of a directory: one JSON file each."""

from __future__ import annotations

import json
from pathlib import Path

from phoenix.measurement.cost import BadRateCard, RateCard, rate_card


def default_directory() -> Path:
    """Where the rate cards lie that came with Phoenix: `config/rate_cards` of the clone, or the
    copy in an installed package."""
    packaged = Path(__file__).with_name("rate_cards")
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "config" / "rate_cards"


def load(directory: Path | None = None) -> list[RateCard]:
    """All rate cards, in order of their files' names; none if there is no such directory.

    Raises:
        BadRateCard: a file is no rate card.
    """
    cards = []
    for path in sorted((directory or default_directory()).glob("*.json")):
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as reason:
            raise BadRateCard(f"{path.name} is not JSON.", remedy="Mend or remove it.") from reason
        if not isinstance(value, dict):
            raise BadRateCard(f"{path.name} is not a JSON object.", remedy="Mend or remove it.")
        cards.append(rate_card(value))
    return cards
