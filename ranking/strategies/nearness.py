"""How near candidates are in meaning to each item of the context (pure).

The mean of a context of three interests is near to none of them; the nearest item is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.strategies.next_for_you import lately
from ranking.visits.asked import Asked, Floats, Ints, stretched

Floats32 = NDArray[np.float32]
POWER = 3  # of a cosine: what is only somewhat alike counts nearly nothing


@dataclass(frozen=True, slots=True)
class Nearness:
    """Of N candidates, (N,) each, in [0, 1]: to the nearest of the other items, and to all of them, newer ones before older."""

    nearest: Floats
    around: Floats


def nearness(asked: Asked, numbers: Ints, vectors: Floats32 | None, items: Floats32, *, unrelated: float) -> Nearness:
    """`vectors` (N, D) are of the candidates, `items` (T, D) of the newest items, each of unit length.

    Zeros or NaN where there is none; `numbers` (N,) of the candidates tell which is an item itself.
    """
    if vectors is None or not len(items):
        return Nearness(np.zeros(len(numbers)), np.zeros(len(numbers)))
    cosines = (np.nan_to_num(vectors) @ np.nan_to_num(items).T).astype(np.float64)  # (N, T), 0 where there is no vector
    same = (numbers[:, None] == asked.ids[: len(items)]) & (numbers[:, None] > 0)
    near = np.where(same, 0.0, stretched(cosines, unrelated)).clip(0.0, 1.0)
    return Nearness(near.max(axis=1), near**POWER @ lately(asked)[: len(items)])
