"""Around: like some items of this context, by how many it is like, and how much."""

from __future__ import annotations

from ranking.strategies.strategy import Strategy, log_odds_like
from ranking.visits.asked import Asked, Floats, Pool

UNIT = 1e-3


def evidence(asked: Asked, pool: Pool) -> Floats:
    return log_odds_like(pool.around, UNIT)


AROUND = Strategy(name="around", evidence=evidence)
