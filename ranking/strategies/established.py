"""Established: how long a product has been visited; of two that are visited as much the newer one is on its way up."""

from __future__ import annotations

import numpy as np

from ranking.strategies.strategy import Strategy
from ranking.visits.asked import Asked, Floats, Pool
from ranking.weights.options import DAY_SECONDS


def evidence(asked: Asked, pool: Pool) -> Floats:
    return np.where(pool.month > 0.0, np.log1p(np.maximum(pool.age, 0.0) / DAY_SECONDS), 0.0)


ESTABLISHED = Strategy(name="established", evidence=evidence)
