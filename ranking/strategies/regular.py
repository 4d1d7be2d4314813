"""Regular: how much of what this shopper buys is this product, as a share of what she buys most."""

from __future__ import annotations

import numpy as np

from ranking.strategies.strategy import Strategy
from ranking.visits.asked import Asked, Floats, Pool, spread


def evidence(asked: Asked, pool: Pool) -> Floats:
    bought = asked.owned[asked.owned["purchases"] > 0]
    most = float(bought["reward"].max()) if len(bought) else 0.0
    if most <= 0.0:
        return np.zeros(len(pool))
    return spread(pool.numbers, bought["id"], bought["reward"] / most)


REGULAR = Strategy(name="regular", evidence=evidence)
