"""What benches measure rankings by (pure). `ranked` is best first; `ratings` maps what was judged to its rating."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from math import log2
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

Item = TypeVar("Item", bound=Hashable)


def ndcg_at_k(ranked: Sequence[Item], ratings: Mapping[Item, float], k: int) -> float:
    """Normalised discounted cumulative gain in [0, 1]: gain 2^rating - 1, what is not judged gains 0.

    The ideal is the best order of all that was judged, found or not. NaN when nothing that was judged has a gain.
    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), with Burges' gain (2005).
    """
    ideal = _dcg(sorted(ratings.values(), reverse=True)[:k])
    return _dcg([ratings.get(item, 0.0) for item in ranked[:k]]) / ideal if ideal > 0 else float("nan")


def _dcg(ratings: Sequence[float]) -> float:
    return sum((float(2.0**rating) - 1.0) / log2(rank + 1) for rank, rating in enumerate(ratings, start=1))


def recall_at_k(ranked: Sequence[Item], relevant: Collection[Item], k: int) -> float:
    """Share of the relevant that stands among the first k, in [0, 1]; NaN when nothing is relevant."""
    wanted = set(relevant)
    return len(wanted.intersection(ranked[:k])) / len(wanted) if wanted else float("nan")


def mrr_at_k(ranked: Sequence[Item], relevant: Collection[Item], k: int | None = None) -> float:
    """One over the rank of the first that is relevant, 0 when none of the first k is (all of them without k)."""
    wanted = set(relevant)
    return next((1.0 / rank for rank, item in enumerate(ranked[:k], start=1) if item in wanted), 0.0)


def map_at_k(ranked: Sequence[Item], relevant: Collection[Item], k: int) -> float:
    """Average precision among the first k, in [0, 1]; NaN when nothing is relevant.

    The sum of precisions at each relevant rank over min(k, relevant): with one relevant item 1/rank, or 0 behind k.
    """
    wanted = set(relevant)
    if not wanted:
        return float("nan")
    found, total = 0, 0.0
    for rank, item in enumerate(ranked[:k], start=1):
        if item in wanted:
            found += 1
            total += found / rank
    return total / min(k, len(wanted))


def ece(probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error in [0, 1]: how far what was promised lies from what came, over bins of equal width.

    Both are (N,). Each bin counts by its share of the pairs; NaN of none. Guo et al., "On calibration of modern neural
    networks" (2017). Raises ValueError when the lengths differ.
    """
    promised, came = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if promised.shape != came.shape:
        raise ValueError(f"{len(promised)} probabilities and {len(came)} labels")
    if not len(promised):
        return float("nan")
    bin_of = np.minimum((promised * bins).astype(np.int64), bins - 1)  # (N,)
    return float(np.abs(np.bincount(bin_of, weights=promised - came, minlength=bins)).sum() / len(promised))
