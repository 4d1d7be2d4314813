"""The factors g and v as formulas over arrays of candidates, shape (N,): empirical-Bayes lifts (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ranking.weights.options import DEFAULTS, WeightOptions

Floats: TypeAlias = NDArray[np.float64]
TINY = 1e-300  # keeps 0/0 out of shares of products whose relevance underflowed; far below any real share


def examination(rank: ArrayLike, curve: Sequence[float] = ()) -> Floats:
    """P(a shopper looks at `rank`), rank counted from 1: the discount of DCG, until a curve is estimated from the log.

    Beyond the ranks of a curve it goes on as that discount falls.
    """
    ranks = np.maximum(np.asarray(rank, dtype=np.float64), 1.0)
    discount: Floats = 1.0 / np.log2(1.0 + ranks)
    if not len(curve):
        return discount
    known = np.asarray(curve, dtype=np.float64)
    beyond = known[-1] * np.log2(1.0 + len(known)) * discount
    within = known[np.minimum(ranks, len(known)).astype(np.int64) - 1]
    return np.where(ranks <= len(known), within, beyond)


def clip_factor(factor: Floats, options: WeightOptions = DEFAULTS) -> Floats:
    return np.clip(factor, options.least_factor, options.most_factor)


def global_weight(reward: ArrayLike, exposure: ArrayLike, base_rate: float, m: float) -> Floats:
    """g = (R + m) / (b · E + m), reward against what the same exposure earns on average; R below 0 counts as 0."""
    earned = np.maximum(np.asarray(reward, dtype=np.float64), 0.0)
    expected: Floats = base_rate * np.asarray(exposure, dtype=np.float64)
    return (earned + m) / (expected + m)


def context_weight_from_impressions(
    *,
    reward: Floats,
    exposure: Floats,
    relevance: Floats,
    global_: Floats,
    base_rate: float,
    m: float,
    mean_relevance: float | None = None,
) -> Floats:
    """v = (R_qi + m) / (b · E_qi · g_i · ŷ_i/ȳ_q + m): reward against what ŷ · g expected of the same exposure.

    ȳ_q is the exposure-weighted mean ŷ of what the context has shown.
    """
    if mean_relevance is None:
        mean_relevance = shown_relevance(exposure, relevance)
    lift = relevance / mean_relevance if mean_relevance > 0.0 else np.ones_like(relevance)
    return (np.maximum(reward, 0.0) + m) / (base_rate * exposure * global_ * lift + m)


def shown_relevance(exposure: Floats, relevance: Floats) -> float:
    """ȳ_q, 0 when nothing was shown."""
    shown = float(exposure.sum())
    return float(exposure @ relevance) / shown if shown > 0.0 else 0.0


def prior_mass(relevance: Floats, global_: Floats) -> Floats:
    """ŷ_i g_i, kept above 0."""
    mass: Floats = np.maximum(relevance * global_, TINY)
    return mass


def prior_share(relevance: Floats, global_: Floats, total: float | None = None) -> Floats:
    """π_i = ŷ_i g_i / Σ ŷ_j g_j over the candidates: the share of the context's rewards that the model expects."""
    mass = prior_mass(relevance, global_)
    share: Floats = mass / (mass.sum() if total is None else total)
    return share


def context_weight_from_clicks(*, reward: Floats, reward_total: float, prior: Floats, m: float) -> Floats:
    """v = (R_qi + m · π_i) / ((R_q + m) · π_i): a Dirichlet posterior over its prior π, mean share over prior share."""
    return (np.maximum(reward, 0.0) + m * prior) / ((max(reward_total, 0.0) + m) * prior)
