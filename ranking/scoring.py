"""score_i(q) = ŷ_i(q) × w_i(q), for the candidates of a search and for the items of an old answer alike (pure)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.lexical import lexical_score
from ranking.relevance import Head, relevance
from ranking.weights.evidence import Evidence
from ranking.weights.formula import Weights, weights
from ranking.weights.options import DEFAULTS, WeightOptions

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Taste:
    """Cosines of products with a shopper's vector, (N,), NaN where there is none of the product.

    `centre` is what of it all candidates share; given when these are not all candidates, as the normaliser.
    """

    cosines: Floats
    centre: float | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """What each candidate's score is made of, shape (N,) each; `personal` is what a shopper's taste adds to the logit of ŷ."""

    dense: Floats
    lexical: Floats
    relevance: Floats
    weights: Weights
    score: Floats
    personal: Floats | None = None
    centre: float = 0.0  # of the taste


def score(
    *,
    dense: Floats,
    bm25: Floats,
    idf: list[float],
    head: Head,
    kind: str,
    evidence: Evidence,
    normaliser: float | None = None,
    taste: Taste | None = None,
    options: WeightOptions = DEFAULTS,
) -> Scores:
    """Score products from their cosine (NaN: no vector yet), BM25 sum, and evidence; `idf` of the query's terms.

    `normaliser` is given when these are not all candidates of the query (see ranking.weights.Weights). Weights count from
    ŷ without the taste: what all shoppers did is held against what was expected of all of them.
    """
    lexical = lexical_score(bm25, idf)
    y = relevance(dense, lexical, head, kind)
    w = weights(relevance=y, evidence=evidence, options=options, normaliser=normaliser)
    if taste is None:
        return Scores(dense=dense, lexical=lexical, relevance=y, weights=w, score=y * w.weight)
    centre = taste_centre(taste.cosines, y) if taste.centre is None else taste.centre
    personal = head.personal * np.nan_to_num(taste.cosines - centre, nan=0.0)
    own = relevance(dense, lexical, head, kind, personal=personal)
    return Scores(
        dense=dense, lexical=lexical, relevance=own, weights=w, score=own * w.weight, personal=personal, centre=centre
    )


def taste_centre(cosines: Floats, y: Floats) -> float:
    """The mean cosine of the candidates by their ŷ, so that taste moves those that answer the query among themselves."""
    known = ~np.isnan(cosines)
    mass = float(y[known].sum())
    return float(y[known] @ cosines[known]) / mass if mass > 0 else 0.0
