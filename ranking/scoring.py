"""score_i(q) = ŷ_i(q) × w_i(q), for the candidates of a search and for the items of an old answer alike (pure)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.lexical import lexical_score
from ranking.relevance import Head, relevance
from ranking.weights.evidence import Evidence
from ranking.weights.formula import Weights, weights

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """What each candidate's score is made of, shape (N,) each."""

    dense: Floats
    lexical: Floats
    relevance: Floats
    weights: Weights
    score: Floats


def score(
    *,
    dense: Floats,
    bm25: Floats,
    idf: list[float],
    head: Head,
    kind: str,
    evidence: Evidence,
    normaliser: float | None = None,
) -> Scores:
    """Score products from their cosine (NaN: no vector yet), BM25 sum, and evidence; `idf` of the query's terms.

    `normaliser` is given when these are not all candidates of the query (see ranking.weights.Weights).
    """
    lexical = lexical_score(bm25, idf)
    y = relevance(dense, lexical, head, kind)
    w = weights(relevance=y, evidence=evidence, normaliser=normaliser)
    return Scores(dense=dense, lexical=lexical, relevance=y, weights=w, score=y * w.weight)
