"""Evergreen: what the whole shop visited over years."""

from __future__ import annotations

from ranking.strategies.popular import UNIT
from ranking.strategies.strategy import Strategy, log_odds_like
from ranking.visits.asked import Asked, Floats, Pool


def evidence(asked: Asked, pool: Pool) -> Floats:
    return log_odds_like(pool.year / max(pool.shop[3], 1.0), UNIT)


EVERGREEN = Strategy(name="evergreen", evidence=evidence)
