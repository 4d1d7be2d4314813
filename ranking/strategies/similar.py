"""Similar: near in meaning to the items of this context; what a new product has from its first minute."""

from __future__ import annotations

import numpy as np

from ranking.strategies.strategy import Strategy
from ranking.visits.asked import Asked, Floats, Pool


def evidence(asked: Asked, pool: Pool) -> Floats:
    return np.maximum(np.nan_to_num(pool.dense, nan=0.0), 0.0)


SIMILAR = Strategy(name="similar", evidence=evidence)
