"""How much a product is visited, by three half-lives, as sums decayed to the product's newest visit (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log

from ranking.weights.options import DAY_SECONDS

HALF_LIVES = {"day": DAY_SECONDS, "week": 7 * DAY_SECONDS, "month": 30 * DAY_SECONDS}


def popularity_order(name: str) -> str:
    """In SQL, log of a decayed sum at time 0: how two products compare does not depend on when. The index is on this text."""
    return f"(ln({name}) + at / {HALF_LIVES[name] / log(2):.3f}::double precision)"


@dataclass(slots=True)
class Visited:
    """What a batch adds to a product: decayed sums as of the newest visit, in the order of HALF_LIVES."""

    id: int
    first_at: float = inf
    at: float = -inf
    sums: Sequence[float] = (0.0, 0.0, 0.0)

    def add(self, pull: float, at: float) -> None:
        """Add a visit, in any order of time."""
        newest = max(self.at, at)
        self.sums = [
            before * _left(newest - self.at, half_life) + pull * _left(newest - at, half_life)
            for before, half_life in zip(self.sums, HALF_LIVES.values(), strict=True)
        ]
        self.first_at, self.at = min(self.first_at, at), newest


def _left(age: float, half_life: float) -> float:
    return float(0.5 ** min(age / half_life, 1000.0))
