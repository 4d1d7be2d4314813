"""Nearest: like one of the items of this context, whatever the others are."""

from __future__ import annotations

from ranking.strategies.strategy import Strategy
from ranking.visits.asked import Asked, Floats, Pool


def evidence(asked: Asked, pool: Pool) -> Floats:
    return pool.nearest


NEAREST_ITEM = Strategy(name="nearest", evidence=evidence)
