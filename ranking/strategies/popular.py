"""Popular now: what the whole shop visited of late."""

from __future__ import annotations

from ranking.strategies.strategy import Strategy, log_odds_like
from ranking.visits.asked import Asked, Floats, Pool

UNIT = 1e-5  # of the shop's visits


def evidence(asked: Asked, pool: Pool) -> Floats:
    return log_odds_like(pool.week / max(pool.shop[1], 1.0), UNIT)


POPULAR = Strategy(name="popular", evidence=evidence)
