"""Bestsellers: what the whole shop visited over the last months."""

from __future__ import annotations

from ranking.strategies.popular import UNIT
from ranking.strategies.strategy import Strategy, log_odds_like
from ranking.visits.asked import Asked, Floats, Pool


def evidence(asked: Asked, pool: Pool) -> Floats:
    return log_odds_like(pool.month / max(pool.shop[2], 1.0), UNIT)


BESTSELLERS = Strategy(name="bestsellers", evidence=evidence)
