"""Trending: visited more today than over the last weeks."""

from __future__ import annotations

import numpy as np

from ranking.strategies.strategy import Strategy
from ranking.visits.asked import Asked, Floats, Pool

SMOOTHING = 3.0  # visits


def evidence(asked: Asked, pool: Pool) -> Floats:
    # sums of a steady stream are as their half-lives: 1 to 30
    return np.log((pool.day * 30 + SMOOTHING) / (pool.month + SMOOTHING)).clip(min=0.0)


TRENDING = Strategy(name="trending", evidence=evidence)
