"""The candidates of a recommendation, read and scored: what strategies and feedback say of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ranking.filters import Filter
from ranking.listing import Ruled, candidates_boosted
from ranking.product_vectors import product_vectors
from ranking.projections.vectors import embedding_table
from ranking.retrieval import Candidates, Snapshot
from ranking.rules.relations import accessories_of
from ranking.rules.selectors import Standing
from ranking.scoring import Scores
from ranking.serving import evidence_of as weights_evidence
from ranking.strategies.candidates import Found, candidates_read
from ranking.strategies.content import content_vector, items_matrix
from ranking.strategies.depth import Depth
from ranking.strategies.mixing import Mix, evidence_of, proposals, relevance_of
from ranking.strategies.nearness import nearness
from ranking.towers import Model
from ranking.visits.asked import Asked, Pool
from ranking.visits.reading import Items
from ranking.weights.evidence import Evidence
from ranking.weights.formula import weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What candidates are read for."""

    shop_id: int
    product_ids: Sequence[str]  # of the page or basket
    filters: Sequence[Filter]
    depth: Depth
    now: float
    standing: Standing
    seen: Snapshot
    model: Model
    asked: Asked
    items: Items


@dataclass(frozen=True, slots=True)
class Scored:
    """Candidates with what strategies and feedback say of each."""

    found: Found
    ruled: Ruled
    strength: NDArray[np.float64]
    evidence: Evidence
    scores: Scores


def scored_read(reading: Reading, mix: Mix, wanted: Sequence[str]) -> Scored:
    """Read the candidates, those that are `wanted` in any case among them, and score them by a mix."""
    seen, now = reading.seen, reading.now
    found, ruled = found_read(reading, wanted)
    strength = evidence_of(reading.asked, pool_near(reading, found))
    relevance = relevance_of(strength, mix)
    expected = reading.model.expected_of(found.candidates.product_ids)
    evidence = weights_evidence(found.candidates, seen, now, expected=expected)
    w = weights(relevance=relevance, evidence=evidence, options=seen.options)
    nothing = np.zeros(len(relevance))
    scores = Scores(
        dense=found.candidates.dense, lexical=nothing, relevance=relevance, weights=w, score=relevance * w.weight
    )
    return Scored(found, ruled, strength, evidence, scores)


def pool_near(reading: Reading, found: Found) -> Pool:
    """The candidates with how near each is to single items of the context."""
    table = embedding_table(reading.shop_id, reading.model.major)
    vectors = (
        product_vectors(table, found.candidates.ids, found.candidates.vector_versions)
        if reading.seen.has_vectors
        else None
    )
    items = items_matrix(reading.items.vectors)
    near = nearness(reading.asked, found.pool.numbers, vectors, items, unrelated=reading.model.head.unknown)
    return replace(found.pool, nearest=near.nearest, around=near.around)


def found_read(reading: Reading, wanted: Sequence[str]) -> tuple[Found, Ruled]:
    """The candidates with the operator's boosts in r, and what rules look at of each, where there are any."""
    seen, model, asked = reading.seen, reading.model, reading.asked
    vector = content_vector(asked, reading.items.vectors)
    accessories = (
        accessories_of(shop_id=reading.shop_id, product_ids=reading.product_ids) if reading.product_ids else ()
    )
    numbers = proposals(asked, reading.depth.proposed).tolist()

    def read(wanted: Sequence[str]) -> Found:
        return candidates_read(
            shop_id=reading.shop_id,
            snapshot=seen,
            numbers=numbers,
            depth=reading.depth,
            vector=vector,
            major=model.major,
            unrelated=model.head.unknown,
            filters=reading.filters,
            without=reading.product_ids,
            accessories=accessories,
            wanted=wanted,
            now=reading.now,
        )

    if not reading.standing.rules:
        return read(wanted), Ruled(reading.standing)
    every: list[Found] = []

    def candidates(*, wanted: Sequence[str]) -> Candidates:
        every.append(read(wanted))
        return every[-1].candidates

    boosted, ruled = candidates_boosted(reading.standing, candidates)
    return replace(every[-1], candidates=boosted), ruled
