"""Accessories: what the catalogue says goes with the product of the page, or with what is in the basket."""

from __future__ import annotations

from ranking.strategies.strategy import Strategy
from ranking.visits.asked import Asked, Floats, Pool


def evidence(asked: Asked, pool: Pool) -> Floats:
    return pool.accessory


ACCESSORIES = Strategy(name="accessories", evidence=evidence)
