"""Bought together: what the same shoppers visited besides the items of this context."""

from __future__ import annotations

import numpy as np

from ranking.strategies.strategy import MOST, Strategy, log_odds_like
from ranking.visits.asked import Asked, Floats, Ints, Pool, spread
from ranking.visits.companions import scale

SMOOTHING = 5.0  # visits: a product that was met with twice says little of what goes with it
UNIT = 1e-4


def shares(asked: Asked, by: Floats, name: str = "sum") -> tuple[Ints, Floats]:
    """P(other | item), summed over the items by these weights (T,): numbers of the others (M,), and their sums.

    `name` says by which half-life.
    """
    totals = asked.totals if name == "sum" else asked.recent_totals
    weights = by / (totals + SMOOTHING) / scale(asked.now, name)
    of = asked.joined
    each = of.sums[name] * weights[of.item]
    summed: Floats = np.bincount(of.place, weights=each, minlength=len(of.ids)).astype(np.float64)
    return of.ids, summed


def evenly(asked: Asked) -> Floats:
    """Every item counts alike, (T,)."""
    return np.full(len(asked.ids), 1.0 / max(len(asked.ids), 1))


def propose(asked: Asked) -> Ints:
    ids, sums = shares(asked, evenly(asked))
    return ids[np.argsort(-sums, kind="stable")[:MOST]]


def evidence(asked: Asked, pool: Pool) -> Floats:
    return log_odds_like(spread(pool.numbers, *shares(asked, evenly(asked))), UNIT)


TOGETHER = Strategy(name="together", evidence=evidence, propose=propose)
