"""ŷ of a recommendation: how much each strategy has to say, by the coefficients of a mix (pure).

ŷ_i = sigmoid(Σ_k coefficient_k · evidence_k(i) + intercept)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ranking.relevance import sigmoid
from ranking.strategies.registry import NAMES, STRATEGIES
from ranking.strategies.strategy import Strategy
from ranking.visits.asked import Asked, Floats, Ints, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """One way to mix strategies; those without a coefficient have no say."""

    name: str
    coefficients: Mapping[str, float]
    intercept: float

    @property
    def vector(self) -> Floats:
        """Coefficients in the order of the registry, (K,)."""
        return np.array([self.coefficients.get(name, 0.0) for name in NAMES])


def evidence_of(asked: Asked, pool: Pool, strategies: Sequence[Strategy] = STRATEGIES) -> Floats:
    """What each strategy says of each candidate, (N, K)."""
    return np.stack([each.evidence(asked, pool) for each in strategies], axis=1)


def proposals(asked: Asked, most: int, strategies: Sequence[Strategy] = STRATEGIES) -> Ints:
    """Numbers of the visited products that any strategy proposes among its `most` best, each once."""
    return np.unique(np.concatenate([each.propose(asked)[:most] for each in strategies]))


def relevance_of(evidence: Floats, mix: Mix) -> Floats:
    """ŷ in (0, 1), (N,)."""
    return sigmoid(evidence @ mix.vector + mix.intercept)
