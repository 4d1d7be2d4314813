"""Strongest: what goes with the items of this context most often, as a share of what goes with them most of all.

Not by how often each item was met with, as for what is bought together: an item that is met with often has said more.
"""

from __future__ import annotations

import numpy as np

from ranking.strategies.strategy import Strategy
from ranking.visits.asked import Asked, Floats, Pool, spread


def evidence(asked: Asked, pool: Pool) -> Floats:
    of = asked.joined
    summed = np.bincount(of.place, weights=of.sums["sum"], minlength=len(of.ids))
    most = float(summed.max()) if len(summed) else 0.0
    return spread(pool.numbers, of.ids, summed / most) if most > 0.0 else np.zeros(len(pool))


STRONGEST = Strategy(name="strongest", evidence=evidence)
