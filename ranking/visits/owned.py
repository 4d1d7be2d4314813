"""What a shopper did with one product (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from ranking.visits.options import VISITS


@dataclass(slots=True)
class Owned:
    """What a batch adds; `reward` is decayed to `at`, that of the newest interaction."""

    purchases: int = 0
    reward: float = 0.0
    first_at: float = inf
    at: float = -inf
    bought_at: float | None = None
    dismissed_at: float | None = None

    def add(self, kind: str, at: float, pull: float) -> None:
        """Add an interaction, in any order of time."""
        newest, half_life = max(self.at, at), VISITS.owned_half_life_seconds
        self.reward = self.reward * _left(newest - self.at, half_life) + pull * _left(newest - at, half_life)
        self.first_at, self.at = min(self.first_at, at), newest
        if kind == "purchase":
            self.purchases += 1
            self.bought_at = at if self.bought_at is None else max(self.bought_at, at)
        if kind == "dismiss":
            self.dismissed_at = at if self.dismissed_at is None else max(self.dismissed_at, at)


def _left(age: float, half_life: float) -> float:
    return float(0.5 ** min(age / half_life, 1000.0))
