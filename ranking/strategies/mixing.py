"""ŷ of a recommendation: how much each strategy has to say, by the coefficients of a mix (pure).

ŷ_i = sigmoid(Σ_k (coefficient_k + known · coefficient_k_known) · evidence_k(i) + intercept)

`known` is how well the shopper is known, 0 to 1: to whom one has seen once what is popular says much, and of whom one has seen
fifty times her own taste says more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log1p

import numpy as np

from ranking.relevance import sigmoid
from ranking.strategies.registry import NAMES, STRATEGIES
from ranking.strategies.strategy import Strategy
from ranking.visits.asked import Asked, Floats, Ints, Pool

KNOWN = 50  # products that a shopper had to do with: beyond, she is known
TERMS = (*NAMES, *(f"{name}_known" for name in NAMES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """One way to mix strategies; those without a coefficient have no say. `coefficients` are those of TERMS."""

    name: str
    coefficients: Mapping[str, float]
    intercept: float

    @property
    def vector(self) -> Floats:
        """Coefficients in the order of TERMS, (2K,)."""
        return np.array([self.coefficients.get(name, 0.0) for name in TERMS])

    def parts(self, evidence: Floats) -> dict[str, float]:
        """What each strategy adds to the logit of a candidate, from its evidence (2K,); without those that add nothing."""
        added = (evidence * self.vector).reshape(2, -1).sum(axis=0)
        return {name: float(part) for name, part in zip(NAMES, added, strict=True) if part}


def known(asked: Asked) -> float:
    """How well the shopper is known, in [0, 1]."""
    return min(1.0, log1p(len(asked.owned)) / log1p(KNOWN))


def evidence_of(asked: Asked, pool: Pool, strategies: Sequence[Strategy] = STRATEGIES) -> Floats:
    """What each strategy says of each candidate, and the same as far as the shopper is known, (N, 2K)."""
    said = np.stack([each.evidence(asked, pool) for each in strategies], axis=1)
    return np.concatenate([said, known(asked) * said], axis=1)


def proposals(asked: Asked, most: int, strategies: Sequence[Strategy] = STRATEGIES) -> Ints:
    """Numbers of the visited products that any strategy proposes among its `most` best, each once."""
    return np.unique(np.concatenate([each.propose(asked)[:most] for each in strategies]))


def relevance_of(evidence: Floats, mix: Mix) -> Floats:
    """ŷ in (0, 1), (N,)."""
    return sigmoid(evidence @ mix.vector + mix.intercept)
