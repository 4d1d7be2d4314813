"""What a strategy is: it may propose products, and says how much speaks for each candidate, whoever proposed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ranking.visits.asked import Asked, Floats, Ints, Pool

Evidence = Callable[[Asked, Pool], Floats]
Propose = Callable[[Asked], Ints]


def _nothing(asked: Asked) -> Ints:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """`evidence` gives (N,) numbers >= 0 for the candidates, 0 where nothing speaks for one, the same for the same input.

    `propose` gives numbers of visited products, at most MOST, best first; strategies that have none propose by the one
    statement that reads the candidates.
    """

    name: str
    evidence: Evidence
    propose: Propose = field(default=_nothing)


MOST = 200


def log_odds_like(share: Floats, unit: float) -> Floats:
    """log(1 + share / unit): 0 of nothing, then slower and slower; `unit` is what counts as little."""
    return np.log1p(share / unit)
