"""Whether a shopper's taste goes into ŷ: only where click-throughs say so, and never by chance; and what it does there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ranking.learning.examples import Example
from ranking.learning.personal import LEAST, MOST, Case, personal_decide, personal_fit
from ranking.relevance import Head, head_default, relevance
from ranking.scoring import Taste, score
from ranking.weights.evidence import no_evidence
from ranking.weights.formula import weights

HEAD = replace(head_default("minilm"), dense=7.0)
N = 30


def cases(count: int, *, truth: float, seed: int, shown: bool = True) -> list[Case]:
    """Click-throughs of shoppers who want what is near in taste, this much more than what answers the query."""
    rng = np.random.default_rng(seed)
    found = []
    for n in range(count):
        logits, personal = rng.normal(size=N), rng.normal(scale=0.3, size=N)
        rows = np.sort(rng.choice(N, size=10, replace=False)) if shown else np.arange(N)
        chance = np.exp((logits + truth * personal)[rows])
        wanted = rng.choice(rows, p=chance / chance.sum())
        rows = rows if shown else np.array([wanted])
        gains = (rows == wanted).astype(np.float32)
        found.append(Case(Example(n, "q", "q", rows, gains, np.ones_like(gains), shown), logits, personal))
    return found


@pytest.mark.parametrize("shown", [True, False])
def test_the_slope_that_shoppers_have_is_found(shown: bool) -> None:
    assert personal_fit(cases(2000, truth=3.0, seed=1, shown=shown), head=HEAD) == pytest.approx(3.0, abs=0.4)


def test_a_slope_is_neither_negative_nor_many_times_that_of_the_query() -> None:
    small = replace(HEAD, dense=2.0)

    assert personal_fit(cases(500, truth=-3.0, seed=1), head=small) == 0.0
    assert personal_fit(cases(500, truth=30.0, seed=1), head=small) == pytest.approx(MOST * 2.0)


def test_taste_that_helps_is_turned_on_with_its_figures() -> None:
    decided = personal_decide(fitting=cases(150, truth=5.0, seed=1), judging=cases(200, truth=5.0, seed=2), head=HEAD)

    assert 3.0 < decided.slope < 7.0
    assert decided.figures["reason"] is None
    assert decided.figures["accuracy_gain"] > 0.05


def test_taste_of_nobody_in_particular_stays_off() -> None:
    decided = [
        personal_decide(
            fitting=cases(60, truth=0.0, seed=seed), judging=cases(90, truth=0.0, seed=seed + 100), head=HEAD
        )
        for seed in range(40)
    ]

    assert sum(each.slope > 0 for each in decided) <= 1
    assert "no gain" in decided[0].figures["reason"]


def test_what_helped_once_and_harms_now_stays_off() -> None:
    decided = personal_decide(fitting=cases(150, truth=5.0, seed=1), judging=cases(200, truth=-5.0, seed=2), head=HEAD)

    assert decided.slope == 0.0
    assert decided.figures["fitted"] > 3.0


def test_too_few_click_throughs_decide_nothing() -> None:
    enough, few = cases(200, truth=5.0, seed=1), cases(LEAST - 1, truth=5.0, seed=2)

    assert personal_decide(fitting=enough, judging=few, head=HEAD).slope == 0.0
    assert personal_decide(fitting=few, judging=enough, head=HEAD).slope == 0.0


def scored(head: Head, taste: Taste | None):
    dense, bm25 = np.array([0.5, 0.5, 0.1]), np.zeros(3)
    evidence = replace(no_evidence(3), context_reward=np.array([3.0, 0.0, 0.0]), context_reward_total=3.0)
    return score(dense=dense, bm25=bm25, idf=[1.0], head=head, kind="query", evidence=evidence, taste=taste)


def test_taste_moves_relevance_and_no_weight_and_leaves_a_product_without_a_vector_alone() -> None:
    head = replace(HEAD, personal=4.0)
    neutral, own = scored(head, None), scored(head, Taste(np.array([0.1, 0.5, np.nan])))

    assert np.array_equal(own.weights.weight, neutral.weights.weight)
    assert own.relevance[1] > neutral.relevance[1]
    assert own.relevance[0] < neutral.relevance[0]
    assert own.relevance[2] == neutral.relevance[2]
    assert np.array_equal(own.score, own.relevance * own.weights.weight)
    assert own.personal == pytest.approx([-0.8, 0.8, 0.0])


def test_some_of_the_candidates_score_as_all_when_the_centre_is_known() -> None:
    head = replace(HEAD, personal=4.0)
    own = scored(head, Taste(np.array([0.1, 0.5, 0.2])))

    again = scored(head, Taste(np.array([0.1, 0.5, 0.2]), own.centre))

    assert np.array_equal(own.score, again.score)


def test_without_taste_relevance_is_bit_by_bit_what_it_was() -> None:
    dense, lexical = np.random.default_rng(1).random((2, 100))

    plain = relevance(dense, lexical, HEAD, "query")

    assert np.array_equal(plain, relevance(dense, lexical, replace(HEAD, personal=9.0), "query"))
    assert weights(relevance=plain, evidence=no_evidence(100)).weight.tolist() == [1.0] * 100
