"""What judgements teach and how they judge: each judged query is a list, some queries are kept from the trainer.

The queries kept are always the same ones of a shop, whichever version is trained: else a second supervised version
would be judged by what had taught its parent.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from ranking.judgements import JudgedQuery
from ranking.learning.calibrate import Encode
from ranking.learning.catalogue import CatalogueAt, Floats
from ranking.learning.evaluate import Doubles, Ranker, ndcg_at_k
from ranking.learning.examples import Example
from ranking.learning.options import TrainOptions

KEPT_SHARE = 0.3  # of the queries, as much as the gate has of click-throughs
RELEVANT = 2.0  # a rating from which ŷ should say yes
DEPTH = 10


def is_kept(shop_id: int, key: str) -> bool:
    """Whether a judged query judges versions and teaches none; follows from the query alone."""
    digest = sha256(f"{shop_id}/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < KEPT_SHARE


def judged_gain(rating: float) -> float:
    """What a judged product is worth, 2^rating - 1 as in nDCG (Burges et al., 2005): 0, 1, 3 or 7."""
    return float(2.0**rating) - 1.0


def judged_examples(
    queries: Sequence[JudgedQuery], *, catalogue: CatalogueAt, encode: Encode, options: TrainOptions
) -> list[Example]:
    """Turn judged queries into examples: what was judged, and the nearest products that nobody judged as likely wrong.

    Judges look at what searches found: what stands near and was not judged is mostly no answer, but nobody said so.
    """
    found = []
    for n, query in enumerate(queries):
        known = {catalogue.rows[p]: rating for p, rating in query.ratings.items() if p in catalogue.rows}
        if not known:
            continue
        near = catalogue.nearest(encode(query.text), options.hard_negatives + len(known))
        mined = [int(row) for row in near if int(row) not in known][: options.hard_negatives]
        gains = [judged_gain(rating) for rating in known.values()] + [0.0] * len(mined)
        weights = [1.0] * len(known) + [options.hard_weight] * len(mined)
        found.append(
            Example(
                position=n,
                text=query.text,
                key=query.key,
                products=np.array([*known, *mined], dtype=np.int64),
                gains=np.array(gains, dtype=np.float32),
                weights=np.array(weights, dtype=np.float32),
                shown=True,
            )
        )
    return found


def relevant_examples(queries: Sequence[JudgedQuery], catalogue: CatalogueAt) -> list[Example]:
    """Judged products alone, with gain 1 from RELEVANT on: what a probability of relevance is fitted to."""
    found = []
    for n, query in enumerate(queries):
        known = {catalogue.rows[p]: rating for p, rating in query.ratings.items() if p in catalogue.rows}
        if known:
            gains = np.array([rating >= RELEVANT for rating in known.values()], dtype=np.float32)
            rows = np.array(list(known), dtype=np.int64)
            found.append(Example(n, query.text, query.key, rows, gains, np.ones_like(gains), shown=True))
    return found


def judged_products(queries: Sequence[JudgedQuery]) -> set[str]:
    """All products that were judged for any query."""
    return {product_id for query in queries for product_id in query.ratings}


def wanted_rows(queries: Sequence[JudgedQuery], catalogue: CatalogueAt) -> dict[str, set[int]]:
    """Rows of the products that are worth something for each query's key: nobody's negatives there."""
    return {
        query.key: {catalogue.rows[p] for p, rating in query.ratings.items() if rating > 0 and p in catalogue.rows}
        for query in queries
    }


def list_ndcg(ranker: Ranker, queries: Sequence[JudgedQuery], catalogue: CatalogueAt) -> Doubles:
    """nDCG@10 of ŷ over all products of the catalogue for each query, (Q,); what was not judged gains 0.

    Queries without any product to find are left out: they are the same for every ranker.
    """
    found = []
    for query in queries:
        gains: Floats = np.zeros(len(catalogue.product_ids), dtype=np.float32)
        for product_id, rating in query.ratings.items():
            if product_id in catalogue.rows:
                gains[catalogue.rows[product_id]] = judged_gain(rating)
        if gains.any():
            scores = ranker.relevance(query.text, catalogue)
            found.append(ndcg_at_k(scores, gains.astype(np.float64), k=DEPTH))
    return np.array(found, dtype=np.float64)
