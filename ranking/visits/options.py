"""What can be tuned about visits, each default with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2

from ranking.weights.options import DAY_SECONDS, VALUES


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitOptions:
    """Everything that can be tuned about co-visitation, histories and popularity."""

    steps: int = 50
    """Newest interactions of a subject that are kept, and that a new one is paired with."""
    gap_half_life_seconds: float = 180 * DAY_SECONDS
    """How fast two interactions of one shopper stop saying anything of each other."""
    pair_half_life_seconds: float = 365 * DAY_SECONDS
    """How fast a pair itself ages: assortments live for seasons."""
    recent_half_life_seconds: float = 60 * DAY_SECONDS
    """The same for what goes together of late: of all sums tried, the one that says most of what is visited next."""
    companions: int = 150
    """Companions of a product that are kept: state grows with products, not with their square. A list is cut back to so
    many when it has twice as many."""
    owned_half_life_seconds: float = 180 * DAY_SECONDS
    """Of what a shopper did with a product: what is bought again is bought again within months."""


VISITS = VisitOptions()


def pull(kind: str, values: Mapping[str, float] = VALUES) -> float:
    """How much an interaction of a kind says of what a shopper wants, >= 0, a click 1: log2(1 + its value)."""
    return log2(1.0 + max(0.0, values[kind]))
