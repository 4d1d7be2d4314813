"""score = relevance × weight, to the digit, for any evidence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ranking.relevance import head_default
from ranking.scoring import Scores, score
from ranking.weights.evidence import ShopEvidence, no_evidence

HEAD = head_default("all-minilm-l6-v2")
DENSE = np.array([0.9, 0.4, np.nan, -0.2])
BM25 = np.array([3.0, 0.0, 1.5, 0.0])
IDF = [2.0, 1.0]
amounts = st.lists(st.floats(0, 1e6), min_size=4, max_size=4).map(np.array)


def scored(evidence: object = None, **more: float) -> Scores:
    given = no_evidence(4) if evidence is None else evidence
    return score(dense=DENSE, bm25=BM25, idf=IDF, head=HEAD, kind="query", evidence=given, **more)  # type: ignore[arg-type]


def test_without_feedback_the_score_is_the_relevance() -> None:
    found = scored()

    assert np.array_equal(found.score, found.relevance)
    assert np.array_equal(found.weights.weight, np.ones(4))
    assert found.weights.basis == "none"


def test_operators_multiply_the_relevance_exactly() -> None:
    found = scored(replace(no_evidence(4), operator=np.array([0.0, 0.3, 1.0, 100.0])))

    assert np.array_equal(found.score, found.relevance * np.array([0.0, 0.3, 1.0, 100.0]))


@given(amounts, amounts)
def test_the_score_is_relevance_times_three_factors_whatever_happened(reward, exposure) -> None:
    evidence = replace(
        no_evidence(4), product_reward=reward, product_exposure=exposure, context_reward=reward,
        context_exposure=exposure, context_reward_total=float(reward.sum()),
        context_exposure_total=float(exposure.sum()),
        shop=ShopEvidence(reward=float(reward.sum()), exposure=float(exposure.sum()), products=4),
    )  # fmt: skip

    found = scored(evidence)

    w = found.weights
    assert np.array_equal(found.score, found.relevance * w.weight)
    assert np.array_equal(w.weight, w.global_ * w.query * w.operator)
    assert np.isfinite(found.score).all()
    assert (found.score >= 0).all()


def test_some_of_the_candidates_score_as_they_did_among_all_with_the_normaliser() -> None:
    evidence = replace(no_evidence(4), context_reward=np.array([0.0, 9.0, 0.0, 1.0]), context_reward_total=10.0)
    among_all = scored(evidence)

    again = scored(evidence, normaliser=among_all.weights.normaliser)

    assert np.array_equal(again.score, among_all.score)


def test_nothing_is_scored_when_there_are_no_candidates() -> None:
    empty = np.array([])
    found = score(dense=empty, bm25=empty, idf=[], head=HEAD, kind="query", evidence=no_evidence(0))

    assert found.score.shape == (0,)
