"""A list that does not say the same thing ten times: maximal marginal relevance over product vectors, and a cap a group.

Pure, no I/O. Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
Summaries", 1998. What it costs is said with it: the reward that shoppers were expected to find by the order of scores, less
what they find by this one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.weights.factors import examination

Floats = NDArray[np.float64]
CANDIDATES = 100  # of the best scores: a product beyond costs more than its difference is worth


@dataclass(frozen=True, slots=True)
class Diverse:
    """Indices of the products in the order of the list, (k,); `cost` is the share of expected reward that it gives away."""

    order: NDArray[np.int64]
    cost: float


def diversify(
    scores: Floats,
    vectors: NDArray[np.floating[Any]],
    groups: Sequence[str | None],
    *,
    k: int,
    strength: float,
    most_per_group: float | None = None,
    curve: Sequence[float] = (),
) -> Diverse:
    """Choose and order k of N products by (1 - strength) · score - strength · the largest similarity to one above.

    `scores` (N,) are ŷ × w, of any size: for each place they count as shares of the best that is left, so that a product
    worth less than 1 - strength / (1 - strength) of that never comes before it. `vectors` (N, D), rows of NaN where there is
    none; `groups` (N,) a brand or category each, None where it has none. `strength` 0 is the order of scores, ties as
    given. Of one group at most `most_per_group` are chosen, below 1 a share of the list, as long as there are others.
    `curve` says how likely ranks are looked at, where it was estimated.
    """
    best = np.argsort(-scores, kind="stable")[: max(k, CANDIDATES)]
    if strength <= 0.0 and most_per_group is None:
        return Diverse(best[:k], 0.0)
    own = distinctive(vectors[best]) if strength > 0.0 else np.zeros((len(best), 0), dtype=np.float32)
    chosen = _choose(scores[best], own, strength, [groups[i] for i in best], k, _number(most_per_group, k))
    order = best[chosen]
    return Diverse(order, cost(scores[best[:k]], scores[order], curve))


def distinctive(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Unit vectors of products (N, D) after what all of them share was taken out, (N, D); 0 where there is none.

    Raw cosines of some encoders are above 0.7 whatever is compared; of a list, only what distinguishes its products counts.
    """
    own = np.array(vectors, dtype=np.float32)  # (N, D), a copy
    unknown = np.isnan(own[:, 0]) if own.size else np.zeros(len(own), dtype=np.bool_)
    own[unknown] = 0.0
    own -= own.sum(axis=0) / np.float32(max(1, len(own) - int(unknown.sum())))
    own[unknown] = 0.0
    own /= np.maximum(np.sqrt(np.einsum("nd,nd->n", own, own)), np.float32(1e-6))[:, None]
    return own


def similarity(own: NDArray[np.float32], i: int) -> NDArray[np.float32]:
    """Cosines in [0, 1] of one of N distinctive vectors (N, D) with each, (N,).

    Not by BLAS: its threads wait for each other, for tens of milliseconds where the cores are busy.
    """
    found: NDArray[np.float32] = np.maximum(np.einsum("nd,d->n", own, own[i]), np.float32(0.0))
    return found


def cost(before: Floats, after: Floats, curve: Sequence[float] = ()) -> float:
    """Share of Σ P(looked at rank) · score that an order (k,) gives away against that of the best scores (k,)."""
    looked_at = examination(np.arange(1, len(before) + 1), curve)
    expected, kept = float(looked_at @ before), float(looked_at @ after)
    # an estimated curve may rise somewhere; then the order of scores was not the best one either
    return max(0.0, 1.0 - kept / expected) if expected > 0.0 else 0.0


def _shares(left: Floats) -> Floats:
    """Scores as shares of the best; -inf, of what is chosen already, stays."""
    top = float(left.max(initial=0.0))
    return left / top if top > 0.0 else np.where(np.isfinite(left), 0.0, left)


def _number(most_per_group: float | None, k: int) -> int | None:
    if most_per_group is None:
        return None
    return max(1, ceil(most_per_group * k)) if most_per_group < 1 else int(most_per_group)


def _choose(
    scores: Floats, own: NDArray[np.float32], strength: float, groups: Sequence[str | None], k: int, most: int | None
) -> NDArray[np.int64]:
    """Greedily, one after the other: the largest share less the penalty of the most similar one above; ties as given.

    A group that is full waits until nothing else is left.
    """
    count = min(k, len(scores))
    chosen = np.zeros(count, dtype=np.int64)
    left, nearest = scores.copy(), np.zeros(len(scores))
    number, taken = _numbers(groups), Counter[int]()
    full = np.zeros(len(scores), dtype=np.bool_)
    for rank in range(count):
        marginal = (1.0 - strength) * _shares(left) - nearest
        i = int(np.argmax(marginal))
        if most is not None and full[i]:
            marginal = np.where(full, -np.inf, marginal)
            other = int(np.argmax(marginal))
            i = other if marginal[other] > -np.inf else i
        chosen[rank] = i
        left[i] = -np.inf
        if strength > 0.0:
            np.maximum(nearest, strength * similarity(own, i), out=nearest)
        group = int(number[i])
        taken[group] += 1
        if group >= 0 and taken[group] == most:
            full |= number == group
    return chosen


def _numbers(groups: Sequence[str | None]) -> NDArray[np.int64]:
    """A number for each group, -1 for none."""
    known: dict[str, int] = {}
    return np.array([-1 if group is None else known.setdefault(group, len(known)) for group in groups], dtype=np.int64)
