"""What near contexts lend: what shoppers taught for "red sneakers" also moves "red trainers" (pure)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranking.weights.options import DEFAULTS, WeightOptions

Floats: TypeAlias = NDArray[np.float64]


def context_similarity(cosine: ArrayLike, unrelated: float) -> Floats:
    """Cosine of two contexts stretched so that unrelated ones have 0 and equal ones 1.

    `unrelated` is the mean cosine of unrelated queries under the encoder: 0.79 for multilingual-e5-small, 0.13 for
    all-MiniLM-L6-v2. Raw cosines of e5 are all above 0.6, so that everything would be near to everything.
    """
    return np.clip((np.asarray(cosine, dtype=np.float64) - unrelated) / (1.0 - unrelated), 0.0, 1.0)


def neighbour_weight(similarity: ArrayLike, reward_total: ArrayLike = 0.0, options: WeightOptions = DEFAULTS) -> Floats:
    """Share of its evidence that a context lends: 0 at similarity 0.6, 1 at 1, times m / (R + m) of its own total R.

    So a neighbour lends at most m clicks, and a busy one does not drown those that are nearer.
    """
    room = 1.0 - options.near_similarity
    share = np.clip((np.asarray(similarity, dtype=np.float64) - options.near_similarity) / room, 0.0, 1.0)
    earned = np.maximum(np.asarray(reward_total, dtype=np.float64), 0.0)
    return np.power(share, options.near_power) * options.pseudo_count / (earned + options.pseudo_count)


def near_share(near_reward_total: float, options: WeightOptions = DEFAULTS) -> float:
    """Factor that keeps all neighbours together at no more than `near_cap` clicks."""
    return min(1.0, options.near_cap / near_reward_total) if near_reward_total > 0.0 else 1.0


# What shoppers ask for in unrelated aisles. Their mean cosine is 0.793 under multilingual-e5-small and 0.134 under
# all-MiniLM-L6-v2; over 3,592 real queries of one shop it is 0.793 and 0.189.
UNRELATED_QUERIES = (
    "red running shoes", "wireless mouse", "garden hose", "cat food", "birthday card", "winter coat", "coffee machine",
    "phone charger", "wooden desk", "baby blanket", "tennis racket", "hair dryer", "蓝牙耳机", "咖啡杯", "Kinderwagen",
    "lampe de bureau", "zapatos de mujer", "screwdriver set", "face cream", "board game",
)  # fmt: skip


def unrelated_cosine(vectors: NDArray[np.float32]) -> float:
    """Mean cosine between different rows of unit vectors (N, D): of UNRELATED_QUERIES, what `context_similarity` needs."""
    unit = vectors.astype(np.float64)
    count = len(unit)
    return float((np.square(unit.sum(axis=0)).sum() - count) / (count * (count - 1)))
