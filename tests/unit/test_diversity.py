"""MMR and caps: what they promise whatever the scores, the vectors and the groups."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ranking.diversity import cost, distinctive, diversify, similarity

SCORES = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 100, width=32))
STRENGTH = st.floats(0, 0.9)


def vectors_of(count: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(count, 8))
    unit: np.ndarray = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


@given(SCORES, st.integers(1, 40))
def test_no_strength_and_no_cap_change_nothing(scores, k):
    found = diversify(scores, vectors_of(len(scores)), ["a"] * len(scores), k=k, strength=0.0)

    assert found.order.tolist() == np.argsort(-scores, kind="stable")[:k].tolist()
    assert found.cost == 0.0


@given(SCORES, st.integers(1, 40), STRENGTH, st.integers(1, 5))
def test_each_product_comes_once_and_the_list_is_as_long_as_it_can_be(scores, k, strength, most):
    groups = [f"g{n % 3}" for n in range(len(scores))]
    found = diversify(scores, vectors_of(len(scores)), groups, k=k, strength=strength, most_per_group=most)

    assert len(found.order) == len(set(found.order.tolist())) == min(k, len(scores))


@given(SCORES, st.integers(1, 20), STRENGTH, st.integers(1, 5), st.randoms())
def test_a_cap_holds_while_there_are_others(scores, k, strength, most, random):
    groups = [random.choice(["a", "b", "c", None]) for _ in scores]
    found = diversify(scores, vectors_of(len(scores)), groups, k=k, strength=strength, most_per_group=most)

    there = Counter(groups)
    possible = there[None] + sum(min(most, count) for group, count in there.items() if group is not None)
    chosen = Counter(groups[i] for i in found.order[:possible])
    assert all(count <= most for group, count in chosen.items() if group is not None)


@given(SCORES, st.integers(1, 20), STRENGTH, st.none() | st.integers(1, 5), st.integers(0, 5))
def test_it_never_gains_expected_reward(scores, k, strength, most, seed):
    groups = [f"g{n % 4}" for n in range(len(scores))]
    found = diversify(scores, vectors_of(len(scores), seed), groups, k=k, strength=strength, most_per_group=most)

    assert 0.0 <= found.cost <= 1.0


@given(SCORES, st.floats(0.01, 1000), STRENGTH)
def test_the_size_of_scores_is_no_matter(scores, times, strength):
    vectors, groups = vectors_of(len(scores)), [None] * len(scores)
    one = diversify(scores, vectors, groups, k=5, strength=strength)
    other = diversify(scores * 2.0 ** round(np.log2(times)), vectors, groups, k=5, strength=strength)

    assert one.order.tolist() == other.order.tolist()


def test_two_of_a_kind_are_parted():
    mug, other = np.eye(2, dtype=np.float32)
    scores = np.array([1.0, 0.99, 0.9])

    found = diversify(scores, np.stack([mug, mug, other]), [None] * 3, k=2, strength=0.3)

    assert found.order.tolist() == [0, 2]
    assert found.cost == pytest.approx(1 - (1 + 0.9 * 0.6309) / (1 + 0.99 * 0.6309), abs=1e-4)


@given(SCORES, st.integers(1, 20), st.floats(0, 0.5), st.integers(0, 5))
def test_no_product_comes_before_one_that_is_worth_far_more(scores, k, strength, seed):
    found = diversify(scores, vectors_of(len(scores), seed), [None] * len(scores), k=k, strength=strength)

    least = 1 - strength / (1 - strength)
    left = sorted(scores.tolist())
    for i in found.order:
        assert scores[i] >= least * left[-1] - 1e-9
        left.remove(scores[i])


def test_a_share_of_the_list_is_a_cap_as_well():
    scores = np.linspace(1.0, 0.5, 20)
    groups = ["HP"] * 10 + [f"other {n}" for n in range(10)]

    found = diversify(scores, vectors_of(20), groups, k=8, strength=0.0, most_per_group=0.25)

    assert [groups[i] for i in found.order].count("HP") == 2


def test_a_product_without_a_vector_is_like_nothing():
    vectors = vectors_of(3)
    vectors[1] = np.nan

    own = distinctive(vectors)

    assert not similarity(own, 1).any()
    assert similarity(own, 0)[0] == pytest.approx(1.0)


def test_no_candidates_make_an_empty_list():
    found = diversify(np.zeros(0), np.zeros((0, 8)), [], k=5, strength=0.5, most_per_group=2)

    assert found.order.tolist() == []
    assert found.cost == 0.0


def test_a_curve_says_what_a_rank_is_worth():
    before, after = np.array([1.0, 0.5]), np.array([0.5, 1.0])

    assert cost(before, after, [1.0, 0.5]) == pytest.approx(1 - 1.0 / 1.25)
    assert cost(before, before) == cost(np.zeros(2), np.zeros(2)) == 0.0
