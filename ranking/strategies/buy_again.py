"""Buy again: what this shopper bought before."""

from __future__ import annotations

import numpy as np

from ranking.strategies.strategy import MOST, Strategy
from ranking.visits.asked import Asked, Floats, Ints, Pool, spread


def propose(asked: Asked) -> Ints:
    bought = asked.owned[asked.owned["purchases"] > 0]
    return np.asarray(bought["id"][np.argsort(-bought["reward"], kind="stable")[:MOST]])


def evidence(asked: Asked, pool: Pool) -> Floats:
    bought = asked.owned[asked.owned["purchases"] > 0]
    return np.log1p(spread(pool.numbers, bought["id"], bought["reward"]))


BUY_AGAIN = Strategy(name="buy_again", evidence=evidence, propose=propose)
