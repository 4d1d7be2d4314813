"""How much a product is visited, by four half-lives, as sums decayed to the product's newest visit (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ranking.weights.decay import decay
from ranking.weights.options import DAY_SECONDS

Floats: TypeAlias = NDArray[np.float64]
HALF_LIVES = {"day": DAY_SECONDS, "week": 7 * DAY_SECONDS, "month": 30 * DAY_SECONDS, "year": 365 * DAY_SECONDS}


def popularity_order(name: str) -> str:
    """In SQL, log of a decayed sum at time 0: how two products compare does not depend on when. The index is on this text."""
    return f"(ln({name}) + at / {HALF_LIVES[name] / log(2):.3f}::double precision)"


@dataclass(frozen=True, slots=True)
class Visited:
    """What a batch adds to G products or shops, (G,) each, and decayed sums (4, G) as of the newest visit of each."""

    first_at: Floats
    at: Floats
    sums: Floats


def visited(groups: NDArray[np.int64], count: int, pull: Floats, at: Floats) -> Visited:
    """Sum E visits, each of one of `count` groups, in any order of time."""
    first, newest = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first, groups, at)
    np.maximum.at(newest, groups, at)
    sums = [
        np.bincount(groups, weights=pull * decay(newest[groups] - at, half_life), minlength=count)
        for half_life in HALF_LIVES.values()
    ]
    return Visited(first, newest, np.array(sums, dtype=np.float64))
