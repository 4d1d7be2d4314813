"""New arrivals: what came into the catalogue of late, which no visit could speak for yet."""

from __future__ import annotations

import numpy as np

from ranking.strategies.strategy import Strategy
from ranking.visits.asked import Asked, Floats, Pool
from ranking.weights.options import DAY_SECONDS

HALF_LIFE_SECONDS = 30 * DAY_SECONDS


def evidence(asked: Asked, pool: Pool) -> Floats:
    return np.exp2(-np.maximum(pool.age, 0.0) / HALF_LIFE_SECONDS)


NEW_ARRIVALS = Strategy(name="new_arrivals", evidence=evidence)
