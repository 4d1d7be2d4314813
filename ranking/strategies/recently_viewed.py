"""Recently viewed: what this shopper looked at and did not buy."""

from __future__ import annotations

import numpy as np

from ranking.strategies.strategy import MOST, Strategy
from ranking.visits.asked import Asked, Floats, Ints, Pool, spread
from ranking.weights.options import DAY_SECONDS

HALF_LIFE_SECONDS = 3 * DAY_SECONDS


def _viewed(asked: Asked) -> tuple[Ints, Floats]:
    viewed = asked.owned[asked.owned["purchases"] == 0]
    return viewed["id"], np.exp2(-np.maximum(asked.now - viewed["at"], 0.0) / HALF_LIFE_SECONDS)


def propose(asked: Asked) -> Ints:
    ids, left = _viewed(asked)
    return ids[np.argsort(-left, kind="stable")[:MOST]]


def evidence(asked: Asked, pool: Pool) -> Floats:
    return spread(pool.numbers, *_viewed(asked))


RECENTLY_VIEWED = Strategy(name="recently_viewed", evidence=evidence, propose=propose)
