"""Next for you: what goes of late with what this shopper visited last."""

from __future__ import annotations

import numpy as np

from ranking.strategies import together
from ranking.strategies.strategy import MOST, Strategy, log_odds_like
from ranking.visits.asked import Asked, Floats, Ints, Pool, spread

ITEMS = 3.0  # an item counts half as much as the one so many places before it


def lately(asked: Asked) -> Floats:
    """Newer items count more, (T,); those of one moment alike."""
    _, place = np.unique(-asked.at, return_inverse=True)
    counts = np.exp2(-place / ITEMS)
    return counts / counts.sum() if len(counts) else counts


def propose(asked: Asked) -> Ints:
    ids, sums = together.shares(asked, lately(asked), "recent")
    return ids[np.argsort(-sums, kind="stable")[:MOST]]


def evidence(asked: Asked, pool: Pool) -> Floats:
    return log_odds_like(spread(pool.numbers, *together.shares(asked, lately(asked), "recent")), together.UNIT)


NEXT_FOR_YOU = Strategy(name="next_for_you", evidence=evidence, propose=propose)
